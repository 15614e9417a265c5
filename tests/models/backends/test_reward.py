"""Reward models: tiny GGUFs of random weights with a classification head."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

import thinkgraph as tg
from tests.conftest import EMBEDDING, FEED, HEADS, LAYERS, shapes, write_vocabulary
from thinkgraph.evaluate.runs.identity import identity
from thinkgraph.graphs.planning.plan import plan
from thinkgraph.graphs.requirements import Incapable
from thinkgraph.models.backends import reward
from thinkgraph.models.backends.reward import RewardModel
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.engine.llama.devices import Device
from thinkgraph.models.errors import ModelError, PromptTooLong
from thinkgraph.models.model import Message

pytestmark = pytest.mark.model
WIDTH = EMBEDDING // HEADS
ASKED = [Message(role="user", content="What is 2 + 3?")]
RERANK = "<|im_start|>judge: {query} / {document}<|im_end|>"


def write_reward(
    path: Path, labels: tuple[str, ...] = ("yes", "no"), *, head: bool = True, rerank: str = ""
) -> Path:
    """A tiny Qwen3 with a head of one row a label; the rows are each other's reverse in order."""
    writer = gguf.GGUFWriter(path, "qwen3")
    size = write_vocabulary(writer, "bytes")
    writer.add_context_length(256)
    writer.add_embedding_length(EMBEDDING)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_key_length(WIDTH)
    writer.add_value_length(WIDTH)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(WIDTH)
    writer.add_vocab_size(size)
    writer.add_pooling_type(gguf.PoolingType.RANK)
    if labels:
        writer.add_classifier_output_labels(list(labels))
    if rerank:
        writer.add_string("tokenizer.chat_template.rerank", rerank)
    tensors = shapes("llama", size)
    for layer in range(LAYERS):
        tensors |= {f"blk.{layer}.attn_{k}_norm.weight": (WIDTH,) for k in "qk"}
    random = np.random.default_rng(7)
    rows = {label: random.normal(0, 0.2, EMBEDDING) for label in sorted(labels)}
    for name, shape in tensors.items():
        data = random.normal(0, 1.5 / np.sqrt(shape[-1]), shape).astype(np.float32)
        writer.add_tensor(name, 1 + data / 10 if name.endswith("norm.weight") else data)
    if head:
        weights = np.array([rows[label] for label in labels] or [random.normal(size=EMBEDDING)])
        writer.add_tensor("cls.output.weight", weights.astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Any]:
    models: list[RewardModel] = []

    def open_one(*labels: str, **rest: Any) -> RewardModel:
        path = write_reward(tmp_path / f"{len(models)}.gguf", labels or ("yes", "no"), **rest)
        models.append(RewardModel(path, threads=1))
        return models[-1]

    yield open_one
    for model in models:
        model.close()


async def test_the_score_is_the_probability_of_yes(opened: Any) -> None:
    answers = ["It is 5.", "It is 6.", "Who knows?"]
    scores, usage = await opened("yes", "no").rate(ASKED, answers)
    assert all(0 < score < 1 for score in scores) and len(set(scores)) == 3
    assert (usage.model_calls, usage.completion_tokens) == (3, 0)
    turned, _ = await opened("no", "yes").rate(ASKED, answers)
    assert turned == pytest.approx(scores, abs=1e-5)  # the label tells, and not its place


async def test_an_answer_has_its_score_whatever_is_scored_beside_it(opened: Any) -> None:
    model = opened()
    (alone,), _ = await model.rate(ASKED, ["It is 5."])
    (_, beside, _), _ = await model.rate(ASKED, ["A much longer answer.", "It is 5.", ""])
    assert beside == pytest.approx(alone, abs=1e-6)


def test_two_files_of_one_name_are_two_models(tmp_path: Path) -> None:
    """Else a comparison would take one's scores for the other's."""
    paths = [tmp_path / each / "reward.gguf" for each in ("a", "b")]
    for path, labels in zip(paths, [("yes", "no"), ("no", "yes")], strict=True):
        path.parent.mkdir()
        write_reward(path, labels)
    models = [RewardModel(path, threads=1) for path in paths]
    assert identity(models[0]) != identity(models[1])
    for model in models:
        model.close()


@pytest.mark.parametrize(("free", "copied"), [(2**30, True), (2**10, False)])
def test_weights_are_copied_for_matrix_instructions_only_if_memory_holds_them(
    opened: Any, monkeypatch: pytest.MonkeyPatch, free: int, copied: bool
) -> None:
    asked, load = [], reward.llama.llama_model_load_from_file
    monkeypatch.setattr(reward, "amx_works", lambda: True)
    monkeypatch.setattr(reward, "devices", lambda: [Device("CPU", free, free, is_gpu=False)])
    monkeypatch.setattr(
        reward.llama,
        "llama_model_load_from_file",
        lambda path, params: (asked.append(params.use_extra_bufts), load(path, params))[1],
    )
    opened()
    assert asked == [copied]


def test_the_files_own_rerank_template_joins_question_and_answer(opened: Any) -> None:
    model = opened(rerank=RERANK)
    words = model.vocabulary
    ids = model.tokens(ASKED, "{query} <|im_end|>")
    inside = words.tokenize("judge: What is 2 + 3? / {query} <|im_end|>")
    assert ids == [words.controls["<|im_start|>"], *inside, words.controls["<|im_end|>"]]
    chat = opened().tokens(ASKED, "It is 5.")
    assert words.text(chat).endswith("It is 5.")


async def test_what_does_not_fit_is_told(opened: Any) -> None:
    with pytest.raises(PromptTooLong):
        await opened().rate(ASKED, ["five " * 200])


@pytest.mark.parametrize(
    ("labels", "head", "error"),
    [
        (("bad", "fair", "good"), True, "has the classes bad, fair, good"),
        ((), True, "has one class"),
        ((), False, "has no classification head"),
    ],
)
def test_a_head_that_gives_no_score_is_told(
    tmp_path: Path, labels: tuple[str, ...], head: bool, error: str
) -> None:
    path = write_reward(tmp_path / "model.gguf", labels, head=head)
    with pytest.raises(ModelError, match=error):
        RewardModel(path)


def test_a_score_node_asks_the_model_of_its_role(tmp_path: Path) -> None:
    path = write_reward(tmp_path / "reward.gguf")
    graph = tg.Graph("rewarded")
    graph.add(
        draft=tg.Generate(samples=3),
        score=tg.Score(by="reward", model="judge"),
        best=tg.Select(best=1),
    )
    graph.edge(tg.START, "draft", "score", "best", tg.END)
    replies = ["It is 5.", "It is 6.", "It is 7."]
    result = graph.run(
        "What is 2 + 3?", model=ScriptedModel(replies), models={"judge": str(path)}, seed=1
    )
    scores = [c.score for c in result.candidates]
    assert all(score is not None and 0 < score < 1 for score in scores)
    best = max(result.candidates, key=lambda c: c.score or 0)
    assert result.answer.text == best.text
    assert result.usage.model_calls == 1 + 3
    rated = result.requests[-1]
    assert (rated.node, rated.role, rated.model) == ("score", "judge", path.as_posix())
    assert (rated.options, rated.scores) == (tuple(replies), tuple(scores))
    assert rated.usage.model_calls == 3


def test_a_model_without_a_head_and_a_reward_model_that_should_write_are_told(
    tmp_path: Path,
) -> None:
    path = str(write_reward(tmp_path / "reward.gguf"))
    graph = tg.Graph("rewarded")
    graph.add(draft=tg.Generate(), score=tg.Score(by="reward", model="judge"))
    graph.edge(tg.START, "draft", "score", tg.END)
    asked = "role 'judge' doesn't give; use a GGUF with a classification head"
    for model in (ScriptedModel([]), "smollm2"):
        with pytest.raises(Incapable, match=asked):
            graph.run("?", model=model)
    assert not plan(graph, model=ScriptedModel([])).incapable
    with pytest.raises(Incapable, match="needs scores of a classification head"):
        graph.run("?", model=ScriptedModel([]), models={"judge": "openai:m@http://127.0.0.1:9/v1"})
    with pytest.raises(ModelError, match="is a reward model: it scores answers and writes none"):
        tg.load("direct").run("?", model=path)
