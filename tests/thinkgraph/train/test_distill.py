"""Distillation: its parts are apart, and nothing is written that the gate doesn't pass."""

import asyncio
import json
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest

from thinkgraph.evaluate.metrics.find import find_metric
from thinkgraph.evaluate.runs.row import Draft, Row
from thinkgraph.evaluate.runs.variant import Variant, parse_variants
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.evaluate.tasks.task import Task
from thinkgraph.train.distillation import (
    Cost,
    Plan,
    _competitors,
    _distinct,
    _train,
    asked,
    check_out,
    divide_task,
    in_thread,
)
from thinkgraph.train.errors import TrainError
from thinkgraph.train.example import refuse_shared
from thinkgraph.train.progress import TrainProgress
from thinkgraph.train.settings import TrainSettings


def task(*texts):
    questions = [Question(id=str(n), text=text, reference="1") for n, text in enumerate(texts)]
    return Task(name="t", questions=tuple(questions))


def test_no_question_is_drawn_from_and_tested_on():
    drawn, test = divide_task(task(*(f"Q{n // 2}" for n in range(40))), 5, seed=0)
    assert len(test.questions) == 10
    parts = [[asked(each) for each in part.questions] for part in (drawn, test)]
    refuse_shared(*parts)
    with pytest.raises(TrainError, match="1 of 1 questions of the test data are trained on"):
        refuse_shared(
            [asked(each) for each in task("One  more", "two").questions],
            [asked(each) for each in task("one MORE").questions],
            "the test data",
        )
    with pytest.raises(TrainError, match="lower --test"):
        divide_task(task("One  more", "one MORE"), 1, seed=0)


def test_training_pays_for_itself_after_the_seconds_that_it_saves():
    cost = Cost(
        sampled_tokens=0, sampled_s=60, trained_tokens=0, trained_s=40, before_tokens=0,
        before_s=3, after_tokens=0, after_s=1,
    )  # fmt: skip
    assert cost.pays_after == 50
    assert cost.model_copy(update={"sampled_s": 61}).pays_after == 51
    assert cost.model_copy(update={"after_s": 3}).pays_after is None


@pytest.mark.model
def test_where_no_sample_is_right_it_is_said_and_nothing_is_written(cli, family, tmp_path):
    pytest.importorskip("torch", reason="needs thinkgraph[train]")
    pytest.importorskip("peft", reason="needs thinkgraph[train]")
    data = tmp_path / "d.jsonl"
    rows = [{"question": f"What is {n} + 1?", "answer": n + 1} for n in range(12)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    out = tmp_path / "a.gguf"
    ended = cli(
        "distill", "self-consistency", "--data", data, "-m", family("llama"), "--out", out,
        "--test", 8, "-p", "samples=2", "-p", "max_tokens=4", "-e", "threads=1", "-q",
    )  # fmt: skip
    assert ended.status == 2
    assert ended.err.count("\n") == 1
    assert "too few to train on" in ended.err
    assert not out.exists()


@pytest.mark.slow
@pytest.mark.model
def test_an_adapter_that_is_not_better_is_not_the_result(cli, family, tmp_path):
    """A model that knows the answers can't get better at them: two rounds, and no adapter."""
    pytest.importorskip("torch", reason="needs thinkgraph[train]")
    pytest.importorskip("peft", reason="needs thinkgraph[train]")
    data, model, out = tmp_path / "d.jsonl", tmp_path / "knows.gguf", tmp_path / "a.gguf"
    rows = [{"question": f"say {w} {n}", "answer": w} for n in range(10) for w in ("red", "blue")]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    quick = ("-s", "threads=1", "-s", "held_out=2", "-s", "batch=4", "-s", "patience=0", "-q")
    taught = cli(
        "train", "--data", data, "-m", family("llama"), "--out", tmp_path / "t.gguf",
        "--merge", model, "-s", "steps=80", "-s", "learning_rate=0.02", *quick,
    )  # fmt: skip
    assert (taught.status, taught.err) == (0, "")
    out.write_bytes(b"earlier")
    ended = cli(
        "distill", "direct", "--data", data, "-m", model, "--out", out, "--test", 8,
        "--rounds", 2, "-p", "max_tokens=8", "-s", "steps=2",
        "-e", "threads=1", "--per-question", 1, "--replace", *quick,
    )  # fmt: skip
    assert (ended.status, ended.err) == (1, "")
    assert "kept, of 12 questions (10 trained on, 2 held out, 0 too long)" in ended.out
    assert "The gate is not passed" in ended.out
    assert "round 2: 12 samples" in ended.out
    assert f"{out} is an earlier run's" in ended.out
    assert out.read_bytes() == b"earlier"
    assert (tmp_path / "a.gguf.distill" / "round-2.gguf").exists()


def test_a_strategy_that_is_direct_itself_has_a_label_of_its_own(tmp_path):
    strategy = Variant.parse("direct", {"temperature": 0.7}, {})
    plan = Plan(
        strategy=strategy, model="smollm2", out=tmp_path / "a.gguf",
        beside=parse_variants("direct,arithmetic", {}, {}),
    )  # fmt: skip
    labels = [each.label for each in _competitors(plan, [])]
    assert len(labels) == len(set(labels)) == 4


async def test_a_training_that_is_cancelled_ends_at_its_next_step():
    began, ended, free = asyncio.Event(), threading.Event(), asyncio.get_running_loop()

    def train(tell):
        try:
            while True:
                tell(1, 10, None)
                free.call_soon_threadsafe(began.set)
        finally:
            ended.set()

    task = asyncio.create_task(in_thread(train, lambda step, of, point: None))
    await began.wait()  # the loop is free while it trains
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(ended.wait, 60)


def test_an_output_that_could_not_be_loaded_is_refused_before_anything_is_drawn(cli, tmp_path):
    pytest.importorskip("peft", reason="needs thinkgraph[train]")
    ended = cli("distill", "direct", "--data", "word-problems:20", "--test", 8, "--out", "words")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "must end in .gguf" in ended.err


@pytest.mark.model
def test_a_vote_needs_no_right_answers_in_the_data_that_is_drawn_from(cli, family, tmp_path):
    pytest.importorskip("peft", reason="needs thinkgraph[train]")
    data, gate = tmp_path / "d.jsonl", tmp_path / "gate.jsonl"
    data.write_text("".join(json.dumps({"question": f"say {n}"}) + "\n" for n in range(4)))
    gate.write_text(
        "".join(json.dumps({"question": f"tell {n}", "answer": n}) + "\n" for n in range(8))
    )
    words = (
        "distill", "self-consistency", "--data", data, "-m", family("llama"), "--out",
        tmp_path / "a.gguf", "-p", "samples=2", "-p", "max_tokens=4", "-e", "threads=1", "-q",
    )  # fmt: skip
    ended = cli(*words, "--test-data", gate, "--verify", "vote")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "of a clear vote's answer" in ended.err  # drawn, and a random model agrees on nothing
    for more in (("--test-data", gate), ("--verify", "vote", "--test", 8)):
        ended = cli(*words, *more)
        assert (ended.status, ended.err.count("\n")) == (2, 1)
        assert "no field looks like the answer" in ended.err


def test_a_repeated_question_is_asked_once():
    told = []
    found = _distinct(task("One", "two", " one", "ONE"), "of the gate", told.append)
    assert [each.id for each in found.questions] == ["0", "1"]
    assert told == ["2 repeated questions of the gate were dropped"]
    assert _distinct(found, "of the gate", told.append) == found
    assert len(told) == 1


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (("-p", "smaples=4"), "did you mean 'samples'"),
        (("-s", "seed=7"), "set --seed"),
        (("--test", "8", "--test-data", "d.jsonl"), "--test doesn't apply to --test-data"),
        (("--clear", "0.8"), "--clear is for --verify vote"),
        (("--extract", "nmuber"), "--extract nmuber"),
    ],
)
def test_an_option_that_would_have_no_effect_is_refused(cli, tmp_path, words, reason):
    pytest.importorskip("peft", reason="needs thinkgraph[train]")
    ended = cli(
        "distill", "self-consistency", "--data", "word-problems:20", "--out", tmp_path / "a.gguf",
        *words,
    )  # fmt: skip
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert reason in ended.err


def test_one_strategy_is_distilled(cli, tmp_path):
    pytest.importorskip("peft", reason="needs thinkgraph[train]")
    out = tmp_path / "a.gguf"
    ended = cli("distill", "direct,arithmetic", "--data", "word-problems:20", "--out", out)
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "by --beside" in ended.err


@pytest.mark.model
def test_fields_and_the_extractor_are_set_as_for_compare(cli, family, tmp_path):
    """The model says nothing right, so the error is the one at the end of sampling."""
    pytest.importorskip("peft", reason="needs thinkgraph[train]")
    data = tmp_path / "d.jsonl"
    rows = [{"ask": f"What is {n} + 1?", "right": str(n + 1), "extra": 0} for n in range(12)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    ended = cli(
        "distill", "self-consistency", "--data", data, "-m", family("llama"), "--out",
        tmp_path / "a.gguf", "--test", 8, "-p", "samples=2", "-p", "max_tokens=4",
        "-e", "threads=1", "--field", "question=ask", "--field", "answer=right",
        "--extract", "number",
    )  # fmt: skip
    assert ended.status == 2
    assert "too few to train on" in ended.err
    assert f"{data}: fields that are not used: extra" in ended.err
    assert "answers are looked for" not in ended.err  # as --extract sets how


@pytest.mark.model
def test_another_file_at_the_output_is_kept(family, tmp_path):
    model, out = family("llama"), tmp_path / "a.gguf"
    plan = Plan(strategy=Variant.parse("direct", {}, {}), model=str(model), out=out)
    out.write_bytes(b"earlier")
    with pytest.raises(TrainError, match="--replace replaces it"):
        check_out(plan)
    check_out(replace(plan, replace=True))
    plan.folder.mkdir()
    check_out(plan)


@pytest.mark.model
async def test_a_round_of_other_settings_is_kept(family, tmp_path, monkeypatch):
    pytest.importorskip("peft", reason="needs thinkgraph[train]")
    questions = task(*(f"Q{n}" for n in range(4)))
    drafts = [Draft(id="d", text="1", answer="1", tokens=1, live=True, finish_reason="stop")]
    rows = [
        Row(
            question=each.id, strategy="s", answer="1", text="1", tokens=1, prompt_tokens=1,
            calls=1, drafts=drafts,
        )
        for each in questions.questions
    ]  # fmt: skip
    sampled = SimpleNamespace(rows=rows, spent=SimpleNamespace(completion_tokens=4), seconds=1.0)
    plan = Plan(
        strategy=Variant.parse("direct", {}, {}), model=str(family("llama")),
        out=tmp_path / "a.gguf", settings=TrainSettings(steps=1, rank=2, threads=1, held_out=1),
    )  # fmt: skip

    async def trained(plan):
        return await _train(
            plan, 1, None, sampled, task=questions, metric=find_metric("exact"),
            tell=lambda line: None, progress=lambda: TrainProgress(shown=False),
        )  # fmt: skip

    found = await trained(plan)
    assert (found.kept, found.training.examples, found.training.held_out) == (4, 3, 1)
    written = found.adapter.read_bytes()
    other = replace(plan, settings=TrainSettings(steps=2, rank=2, threads=1, held_out=1))
    with pytest.raises(TrainError, match="--replace starts anew"):
        await trained(other)
    assert found.adapter.read_bytes() == written
    assert (await trained(replace(other, replace=True))).training.steps == 2
