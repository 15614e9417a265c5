"""Training from a data file to an adapter that the engine loads, on a tiny random model."""

import json
import subprocess
import sys
import time

import pytest

import thinkgraph.train as package
from tests.thinkgraph.train.conftest import write_family
from thinkgraph.evaluate.metrics.find import find_metric
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.models.catalogue import load
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Message, ModelRequest, Sampling
from thinkgraph.train.errors import TrainError
from thinkgraph.train.example import (
    Conversation,
    Example,
    divide,
    read_conversations,
    tokenized,
)
from thinkgraph.train.fine_tuning import Report, _examples, fine_tune, opened_vocabulary
from thinkgraph.train.folder import ADAPTER, CHECKPOINTS, REPORT, find_record, working_folder
from thinkgraph.train.reinforcement import score, without_second_bos
from thinkgraph.train.settings import TrainSettings
from thinkgraph.train.supervised import IGNORED, adapted, all_right, collate, last_checkpoint
from thinkgraph.train.weights.base import load_base

torch = pytest.importorskip("torch", reason="needs thinkgraph[train]")
pytest.importorskip("peft", reason="needs thinkgraph[train]")
pytest.importorskip("transformers", reason="needs thinkgraph[train]")

QUICK = ("-s", "threads=1", "-s", "batch=4", "-s", "rank=8", "-s", "held_out=2", "-s", "patience=0")


def read_report(out):
    return Report.model_validate_json((working_folder(out) / REPORT).read_text("utf-8"))


@pytest.fixture
def data(tmp_path):
    path = tmp_path / "data.jsonl"
    rows = [
        {"question": f"say {word} {n}", "answer": word} for n in range(8) for word in ("a", "b")
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def train(cli, path, data, out, *more):
    return cli("train", "--data", data, "-m", path, "--out", out, "-q", *QUICK, *more)


@pytest.mark.model
async def test_what_was_trained_is_what_the_engine_says(cli, family, data, tmp_path):
    path, out = family("llama"), tmp_path / "learnt.gguf"
    more = ("-s", "steps=60", "-s", "learning_rate=0.005", "-s", "evaluate_every=20")
    ended = train(cli, path, data, out, *more, "--merge", tmp_path / "whole.gguf")
    assert (ended.status, ended.err) == (0, "")
    report = read_report(out)
    assert report.steps == 60
    assert [point.step for point in report.points] == [20, 40, 60]
    losses = [point.held_out_loss for point in report.points]
    assert min(losses) < losses[0] < 8
    assert (working_folder(out) / "curve.svg").read_bytes().startswith(b"<?xml")
    assert not (working_folder(out) / "checkpoints").exists()
    asked = ModelRequest(
        [Message(role="user", content="say b 3")], Sampling(temperature=0, max_tokens=5), [1]
    )
    for name in (f"{path}+{out}", tmp_path / "whole.gguf"):
        (said,) = await load(str(name)).generate(asked).completions()
        assert (said.text, said.finish_reason) == ("b", "stop")
    (bare,) = await load(str(path)).generate(asked).completions()
    assert bare.text != "b"


def test_an_adapter_begins_as_its_seed_says(family):
    def begun(seed):
        torch.rand(3)  # whatever was drawn before
        base = load_base(family("llama"), None, precision="float32")
        model = adapted(base, TrainSettings(rank=4, seed=seed))
        return torch.cat([p.flatten() for n, p in model.named_parameters() if "lora_A" in n])

    assert begun(1).equal(begun(1))
    assert not begun(1).equal(begun(2))


@pytest.mark.slow
@pytest.mark.model
def test_a_killed_training_goes_on_from_its_last_checkpoint(cli, family, data, tmp_path):
    path, out = family("llama"), tmp_path / "killed.gguf"
    more = ("-s", "steps=120", "-s", "evaluate_every=10")
    words = ["train", "--data", data, "-m", path, "--out", out, "-q", *QUICK, *more]
    process = subprocess.Popen([sys.executable, "-m", "thinkgraph", *map(str, words)])
    folder = working_folder(out) / "checkpoints"
    for _ in range(1200):
        if list(folder.glob("*/trainer_state.json")) or process.poll() is not None:
            break
        time.sleep(0.1)
    process.kill()
    process.wait()
    kept = last_checkpoint(folder)
    assert kept is not None and not out.exists()
    (kept.parent / "checkpoint-9999").mkdir()  # as one that was being written
    ended = train(cli, path, data, out, *more)
    assert (ended.status, ended.err) == (0, "")
    report = read_report(out)
    assert report.steps == 120
    assert [point.step for point in report.points] == list(range(10, 121, 10))


@pytest.mark.model
def test_another_training_in_the_same_place_is_refused(cli, family, data, tmp_path):
    out = tmp_path / "one.gguf"
    assert train(cli, family("llama"), data, out, "-s", "steps=2").status == 0
    written = out.read_bytes()
    ended = train(cli, family("llama"), data, out, "-s", "steps=3")
    assert ended.status == 2
    assert "--replace" in ended.err
    assert train(cli, family("llama"), data, out, "-s", "steps=2").status == 0  # the same: done
    assert out.read_bytes() == written
    assert train(cli, family("llama"), data, out, "-s", "steps=3", "--replace").status == 0


@pytest.mark.model
@pytest.mark.parametrize("architecture", ["mamba", "gemma2"])
def test_a_model_of_another_family_is_refused(cli, tiny, data, tmp_path, architecture):
    ended = train(cli, tiny(architecture), data, tmp_path / "a.gguf")
    assert ended.status == 2
    assert ended.err.count("\n") == 1
    assert architecture in ended.err and "llama, qwen2, qwen3" in ended.err


@pytest.mark.model
def test_a_full_disk_is_told_in_one_line(cli, family, data, tmp_path, monkeypatch):
    def full(*given, **more):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("transformers.Trainer._save_optimizer_and_scheduler", full)
    ended = train(cli, family("llama"), data, tmp_path / "a.gguf", "-s", "steps=4")
    assert ended.status == 2
    assert ended.err.count("\n") == 1
    assert "No space left on device" in ended.err
    assert not (tmp_path / "a.gguf").exists()


def test_a_setting_that_is_none_is_told(cli, data, tmp_path):
    ended = cli("train", "--data", data, "--out", tmp_path / "a.gguf", "-s", "rnak=3")
    assert ended.status == 2
    assert "did you mean 'rank'" in ended.err


def test_a_loss_is_of_answers_alone():
    batch = collate([Example([1, 2, 3], [4, 5]), Example([6], [7])])
    assert batch["input_ids"].tolist() == [[1, 2, 3, 4, 5], [0, 0, 0, 6, 7]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [0, 0, 0, 1, 1]]
    assert batch["logits_to_keep"] == 3
    assert batch["labels"].tolist() == [[IGNORED, 4, 5], [IGNORED, IGNORED, 7]]


def test_an_answer_is_right_if_every_token_is():
    labels = torch.tensor([[IGNORED, 1, 2], [IGNORED, IGNORED, 1]])
    logits = torch.nn.functional.one_hot(torch.tensor([[1, 2, 0], [0, 1, 0]]), 3).float()
    assert all_right(logits, labels).tolist() == [[True], [True]]
    logits[0, 1] = torch.tensor([1.0, 0, 0])
    assert all_right(logits, labels).tolist() == [[False], [True]]


def test_a_question_is_never_in_both_parts(tmp_path):
    path = tmp_path / "d.jsonl"
    rows = [{"question": f"{space}Q {n}", "answer": n} for n in range(20) for space in ("", "  ")]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    parts = divide(read_conversations(path), 5, seed=1)
    assert len(parts.held_out) == 10
    assert not {each.key for each in parts.train} & {each.key for each in parts.held_out}


def test_every_answer_of_a_conversation_is_learnt(tmp_path):
    path = tmp_path / "d.jsonl"
    turns = [("system", "S"), ("user", "a"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    path.write_text(json.dumps({"messages": [{"role": r, "content": c} for r, c in turns]}))
    one, two = read_conversations(path)
    assert [m.content for m in one.messages] == ["S", "a", "b"]
    assert [m.content for m in two.messages] == ["S", "a", "b", "c", "d"]
    assert isinstance(one, Conversation)


@pytest.mark.slow
@pytest.mark.model
def test_what_a_metric_finds_right_is_reinforced(cli, family, data, tmp_path):
    pytest.importorskip("trl", reason="needs thinkgraph[train]")
    path, out = family("llama"), tmp_path / "grpo.gguf"
    more = ("-s", "batch=8", "-s", "steps=2", "-s", "threads=1", "-s", "rank=4")
    words = ["train", "--data", data, "-m", path, "--out", out, "-q"]
    ended = cli(*words, "--reinforce", "contains", *more, "--merge", tmp_path / "whole.gguf")
    assert (ended.status, ended.err) == (0, "")
    assert ended.out.startswith("2 steps; the mean reward")
    load(f"{path}+{out}")
    load(str(tmp_path / "whole.gguf"))
    written = out.read_bytes()
    for other in ((*QUICK, "-s", "steps=2"), ("--reinforce", "exact", *more)):
        ended = cli(*words, *other)
        assert (ended.status, ended.err.count("\n")) == (2, 1)
        assert "--replace" in ended.err
        assert out.read_bytes() == written
    out.unlink()
    again = cli(*words, "--reinforce", "contains", *more, "--json")  # done, and written again
    assert (again.status, json.loads(again.out)["steps"]) == (0, 2)
    assert out.read_bytes() == written
    supervised = cli(*words, *QUICK, "-s", "steps=2", "--replace")
    assert (supervised.status, supervised.err) == (0, "")
    assert out.read_bytes() != written


@pytest.mark.model
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--held-out", "d"), "--held-out"),
        (("-s", "patience=2"), "patience"),
        (("-s", "batch=12"), "try --set batch=8"),
    ],
)
def test_flags_that_reinforcement_has_no_use_for_are_refused(
    cli, family, data, tmp_path, words, said
):
    pytest.importorskip("trl", reason="needs thinkgraph[train]")
    ended = cli(
        "train", "--data", data, "-m", family("llama"), "--out", tmp_path / "a.gguf",
        "--reinforce", "contains", *(data if each == "d" else each for each in words),
    )  # fmt: skip
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert said in ended.err


def test_any_right_answer_is_rewarded():
    asked = Question(id="q", text="Who?", reference="Ada Lovelace", alternatives=("Ada",))
    assert score(asked, "Ada", find_metric("exact")) == 1
    assert score(asked, "Bob", find_metric("exact")) == 0


def test_a_prompt_has_one_token_that_begins_it():
    class Tokenizer:
        bos_token, bos_token_id, adds = "<s>", 1, True

        def __call__(self, text):
            own = [1] if text.startswith("<s>") else []
            return {"input_ids": [1] * self.adds + own + [7]}

    tokenizer = Tokenizer()
    assert without_second_bos("<s>hi", tokenizer) == "hi"
    tokenizer.adds = False
    assert without_second_bos("<s>hi", tokenizer) == "<s>hi"


@pytest.mark.model
@pytest.mark.parametrize(
    ("targets", "said"), [("lm_head", "lm_head"), ("embed_tokens", "train only linear layers")]
)
def test_targets_that_no_adapter_holds_are_refused_before_the_training(
    cli, family, data, tmp_path, targets, said
):
    ended = train(cli, family("llama"), data, tmp_path / "a.gguf", "-s", f"targets={targets}")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert said in ended.err
    assert not (tmp_path / "a.gguf.train" / "checkpoints").exists()


@pytest.mark.model
def test_a_model_that_is_named_with_an_adapter_is_refused(cli, family, data, tmp_path):
    (tmp_path / "a.gguf").write_bytes(b"")
    name = f"{family('llama')}+{tmp_path / 'a.gguf'}"
    more = ("--data", data, "-m", name, "--out", tmp_path / "b.gguf")
    for words in (("train", *more), ("distill", "direct", *more, "--test", 8)):
        ended = cli(*words)
        assert (ended.status, ended.err.count("\n")) == (2, 1)
        assert "has an adapter" in ended.err


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("learning_rate=inf", "finite"),
        ("epochs=inf", "finite"),
        ("micro_batch=5", "micro_batch=5 doesn't divide batch=16"),
    ],
)
def test_a_setting_that_can_not_be_is_told_in_one_line(cli, data, tmp_path, setting, said):
    ended = cli("train", "--data", data, "--out", tmp_path / "a.gguf", "-s", setting)
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert said in ended.err


@pytest.mark.model
@pytest.mark.parametrize("held_out", [0, 2])
def test_a_training_that_diverges_gives_no_adapter(cli, family, data, tmp_path, held_out):
    more = ("-s", "steps=8", "-s", "learning_rate=1e30", "-s", "warmup=0")
    out = tmp_path / "a.gguf"
    ended = train(cli, family("llama"), data, out, *more, "-s", f"held_out={held_out}")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "diverged" in ended.err
    assert not out.exists()


@pytest.mark.model
def test_seconds_and_patience_outlast_a_stop(cli, family, data, tmp_path, monkeypatch):
    """Losses that only rise: two worse ones before a stop and one after it use up a patience."""
    losses = iter(range(1, 100))

    def evaluate(self, **more):
        metrics = {"eval_loss": float(next(losses)), "eval_accuracy": 0.0}
        self.log(dict(metrics))
        self.control = self.callback_handler.on_evaluate(
            self.args, self.state, self.control, metrics
        )
        return metrics

    monkeypatch.setattr("transformers.Trainer.evaluate", evaluate)
    path, out = family("llama"), tmp_path / "a.gguf"
    conversations = read_conversations(data)
    settings = TrainSettings(
        steps=20, batch=4, rank=4, threads=1, patience=3, evaluate_every=1, held_out=2
    )
    parts = divide(conversations, 2, 0)

    def stop(step, of, point):
        if step == 4:  # after the checkpoints of steps 1 to 3
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fine_tune(*parts, path, out, settings, tell=stop)
    stopped = read_report(out)
    assert stopped.seconds > 0
    long = stopped.model_copy(update={"seconds": 1000.0})
    (working_folder(out) / REPORT).write_text(long.model_dump_json(), "utf-8")
    report = fine_tune(*parts, path, out, settings)
    assert report.steps == 4
    assert report.seconds > 1000


def test_text_in_parts_is_read_and_tools_are_refused(tmp_path):
    path = tmp_path / "d.jsonl"
    asked = {"role": "user", "content": [{"type": "text", "text": "hi"}]}
    said = {"role": "assistant", "content": "ho"}
    call = {"role": "assistant", "content": None, "tool_calls": [{"id": "1"}]}
    path.write_text(json.dumps({"messages": [asked, said]}))
    (read,) = read_conversations(path)
    assert [each.content for each in read.messages] == ["hi", "ho"]
    for turn in (call, {"role": "tool", "content": "2"}, {"role": "oracle", "content": "2"}):
        lines = [{"messages": [asked, said]}, {"messages": [asked, turn, said]}]
        path.write_text("\n".join(map(json.dumps, lines)))
        with pytest.raises(ThinkgraphError, match="line 2"):
            read_conversations(path)


def test_the_turns_of_a_conversation_are_in_one_part(tmp_path):
    path = tmp_path / "d.jsonl"
    turns = [("user", "hello"), ("assistant", "b"), ("user", "c"), ("assistant", "d")]
    rows = [
        {
            "messages": [
                {"role": r, "content": f"{c} {n // 2 if c == 'hello' else n}"} for r, c in turns
            ]
        }
        for n in range(20)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    parts = divide(read_conversations(path), 3, seed=1)
    assert len(parts.held_out) == 3 * 2 * 2  # two records share a question, each has two turns
    assert not {each.record for each in parts.train} & {each.record for each in parts.held_out}


def test_what_trains_is_had_from_the_package():
    for name in package.__all__:
        assert getattr(package, name).__name__ == name
    assert package.fine_tune is fine_tune
    with pytest.raises(AttributeError, match="fine_tuned"):
        package.fine_tuned  # noqa: B018


@pytest.mark.model
def test_a_full_disk_of_safetensors_is_told_in_one_line(cli, family, data, tmp_path, monkeypatch):
    from safetensors import SafetensorError  # noqa: PLC0415 (of the extra)

    def full(*given, **more):
        raise SafetensorError("Error while serializing: I/O error: No space left on device")

    monkeypatch.setattr("peft.PeftModel.save_pretrained", full)
    for held_out in (2, 0):
        out = tmp_path / f"{held_out}.gguf"
        more = ("-s", "steps=1", "-s", f"held_out={held_out}")
        ended = train(cli, family("llama"), data, out, *more)
        assert (ended.status, ended.err.count("\n")) == (2, 1)
        assert "No space left on device" in ended.err
        assert not out.exists()


@pytest.mark.model
@pytest.mark.parametrize(("name", "value"), [("FEED", 64), ("LAYERS", 1)])
def test_a_base_of_another_model_is_refused_before_the_training(
    cli, family, data, tmp_path, monkeypatch, name, value
):
    path = family("llama")
    monkeypatch.setattr(f"tests.thinkgraph.train.conftest.{name}", value)
    other = write_family(tmp_path / "other.gguf", "llama")
    load_base(other, None, precision="float32").save_pretrained(tmp_path / "hf")
    ended = train(cli, path, data, tmp_path / "a.gguf", "--base", tmp_path / "hf")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "of another model" in ended.err
    assert not (tmp_path / "a.gguf.train" / "checkpoints").exists()


@pytest.mark.model
def test_a_file_that_no_training_wrote_is_kept(cli, family, data, tmp_path):
    out = tmp_path / "a.gguf"
    out.write_bytes(b"a model")
    ended = train(cli, family("llama"), data, out, "-s", "steps=1")
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "--replace replaces it" in ended.err
    assert out.read_bytes() == b"a model"
    assert train(cli, family("llama"), data, out, "-s", "steps=1", "--replace").status == 0
    assert out.read_bytes() != b"a model"


def test_checkpoints_without_a_report_are_removed(tmp_path):
    out = tmp_path / "a.gguf"
    checkpoint = working_folder(out) / CHECKPOINTS / "checkpoint-1"
    checkpoint.mkdir(parents=True)
    assert find_record(out, Report, "digest", replace=False) is None
    assert not checkpoint.exists()
    (working_folder(out) / REPORT).write_text("broken")
    with pytest.raises(TrainError, match="--replace starts anew"):
        find_record(out, Report, "digest", replace=False)


@pytest.mark.model
def test_a_finished_adapter_that_was_moved_is_written_again(cli, family, data, tmp_path):
    out = tmp_path / "a.gguf"
    assert train(cli, family("llama"), data, out, "-s", "steps=2").status == 0
    report, written = read_report(out), out.read_bytes()
    out.rename(tmp_path / "moved.gguf")
    assert train(cli, family("llama"), data, out, "-s", "steps=2").status == 0
    assert (read_report(out), out.read_bytes()) == (report, written)


@pytest.mark.model
def test_a_training_that_continues_an_adapter_is_known_by_its_content(family, data, tmp_path):
    path, first, second = family("llama"), tmp_path / "1.gguf", tmp_path / "2.gguf"
    parts = divide(read_conversations(data), 2, 0)
    settings = TrainSettings(steps=1, batch=4, rank=4, threads=1)
    start = working_folder(first) / ADAPTER
    fine_tune(*parts, path, first, settings)
    fine_tune(*parts, path, second, settings, start=start)
    written = second.read_bytes()
    with pytest.raises(TrainError, match=r"rank=8: .* has rank=4; leave rank out"):
        fine_tune(*parts, path, second, TrainSettings(steps=1, rank=8), start=start)
    with pytest.raises(TrainError, match="targets=q_proj"):
        fine_tune(*parts, path, second, TrainSettings(steps=1, targets="q_proj"), start=start)
    with pytest.raises(TrainError, match="no peft adapter to continue from"):
        fine_tune(*parts, path, second, settings, start=tmp_path / "none")
    other = TrainSettings(steps=2, batch=4, rank=4, threads=1)
    fine_tune(*parts, path, first, other, replace=True)  # another adapter in the same folder
    with pytest.raises(TrainError, match="--replace starts anew"):
        fine_tune(*parts, path, second, settings, start=start)
    assert second.read_bytes() == written


@pytest.mark.model
def test_an_epoch_is_every_example_once_and_its_last_step_is_measured(family, data, tmp_path):
    path, out = family("llama"), tmp_path / "a.gguf"
    parts = divide(read_conversations(data), 2, 0)
    settings = TrainSettings(
        epochs=2, batch=4, rank=4, threads=1, evaluate_every=3, patience=0, learning_rate=1e-3
    )
    report = fine_tune(*parts, path, out, settings)
    examples, _ = tokenized(parts.train, opened_vocabulary(path), 1024)
    assert len(examples) == 14
    assert report.steps == 2 * 4
    assert report.tokens == 2 * sum(len(each.prompt) + len(each.answer) for each in examples)
    assert [point.step for point in report.points] == [3, 6, 8]
    assert report.kept is not None


@pytest.mark.model
def test_held_out_examples_that_are_too_long_are_counted(family):
    def asked(text):
        turns = (Message(role="user", content=text), Message(role="assistant", content="b"))
        return Conversation(turns)

    long = asked("a" * 500)
    examples, held_out, left_out = _examples(
        [asked("a"), long], [asked("c"), long], family("llama"), 200
    )
    assert (len(examples), len(held_out), left_out) == (1, 1, 2)


@pytest.mark.model
def test_ctrl_c_during_reinforcement_is_told_in_one_line(cli, family, data, tmp_path, monkeypatch):
    def stopped(*given, **more):
        raise KeyboardInterrupt

    monkeypatch.setattr("thinkgraph.cli.train._reinforce", stopped)
    out = tmp_path / "a.gguf"
    ended = cli(
        "train", "--data", data, "-m", family("llama"), "--out", out, "--reinforce", "exact"
    )
    assert (ended.status, ended.err.count("\n")) == (130, 1)
    assert "starts again" in ended.err


def test_held_out_questions_are_set_once(cli, data, tmp_path):
    ended = cli(
        "train", "--data", data, "--out", tmp_path / "a.gguf", "--held-out", data,
        "-s", "held_out=2",
    )  # fmt: skip
    assert (ended.status, ended.err.count("\n")) == (2, 1)
    assert "--held-out doesn't apply to --set held_out" in ended.err
