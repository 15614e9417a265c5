"""Fitted params and prompts as the defaults of what a server offers."""

from __future__ import annotations

from pathlib import Path

import pytest
from openai import OpenAI

from thinkgraph.fitted import Fitted, read_fitted
from thinkgraph.graphs.graph import load
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.nodes.prompts.prompt import Prompt
from thinkgraph.serve.mcp.tools import input_model
from thinkgraph.serve.offer.strategies import Strategies

from .conftest import Serve, answer

PLAIN = Prompt(user="Brief: {{ question }}")
FITTED = Fitted(
    strategy="self-consistency",
    params={"samples": 3, "temperature": 0.4, "prompt": "question"},
    prompts={"question": PLAIN},
)


def test_a_request_gets_the_fitted_params_and_prompts_and_may_set_others(serve: Serve) -> None:
    model = ScriptedModel(answer)
    running = serve(model, offered=Strategies.load(["self-consistency", "direct"], None, [FITTED]))
    client = OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)

    def asked(strategy: str, **more: object) -> int:
        turns = [{"role": "user", "content": "3 * 4?"}]
        before = len(model.calls)
        client.chat.completions.create(model=strategy, messages=turns, **more)
        call = model.calls[before]
        assert (call.messages[-1].content == "Brief: 3 * 4?") == (strategy != "direct")
        return sum(len(each.seeds) for each in model.calls[before:])

    assert asked("self-consistency") == 3
    assert model.calls[-1].sampling.temperature == 0.4
    assert asked("self-consistency@2") == 2
    assert asked("self-consistency", temperature=0.9) == 3
    assert model.calls[-1].sampling.temperature == 0.9
    assert asked("direct") == 1


def test_an_agent_and_a_form_are_told_the_fitted_defaults() -> None:
    graph = Strategies.load((), None, [FITTED]).graphs["self-consistency"]
    assert input_model(graph).model_json_schema()["properties"]["samples"]["default"] == 3
    assert graph.spec.params["temperature"].kind == "number"
    assert load("self-consistency").spec.params["samples"].default != 3


def test_answers_of_a_json_schema_keep_them() -> None:
    schema = {"type": "object", "properties": {"answer": {"type": "string"}}}
    graph = Strategies.load(["self-consistency"], None, [FITTED]).graphs["self-consistency"]
    model = ScriptedModel(lambda messages, seed: '{"answer": "12"}')
    result = graph.answering(schema).run("3 * 4?", model=model)
    assert len(result.candidates) == 3
    assert model.calls[0].messages[-1].content.startswith("Brief: 3 * 4?")


def test_a_spec_of_a_path_is_offered_beside_the_built_in_ones(tmp_path: Path) -> None:
    spec = tmp_path / "own.yaml"
    graph = load("direct").with_defaults({"max_tokens": 99})
    spec.write_text(graph.yaml.replace("name: direct", "name: own"))
    offered = Strategies.load((), None, [Fitted(strategy=str(spec), params={"max_tokens": 7})])
    assert offered.graphs["own"].spec.params["max_tokens"].default == 7
    assert "direct" in offered.graphs


@pytest.mark.parametrize(
    ("given", "files", "said"),
    [
        (["direct"], [FITTED], "is for 'self-consistency', which isn't offered; there are direct"),
        ([], [FITTED, FITTED], "two params files are for 'self-consistency'"),
        ([], [FITTED.model_copy(update={"params": {"sample": 3}})], "no param 'sample'"),
        ([], [FITTED.model_copy(update={"prompts": {"questoin": PLAIN}})], "questoin"),
        ([], [Fitted(strategy="no-such.yaml")], "no-such.yaml"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(
    given: list[str], files: list[Fitted], said: str
) -> None:
    with pytest.raises(ThinkgraphError, match=said):
        Strategies.load(given, None, files)


def test_the_options_of_both_commands_name_it(cli, tmp_path: Path) -> None:
    file = tmp_path / "fitted.yaml"
    FITTED.save(file)
    assert read_fitted(file).params == FITTED.params
    for command in ("serve", "mcp"):
        found = cli(command, "direct", "--params", file)
        assert (found.status, len(found.err.splitlines())) == (2, 1)
        assert "'self-consistency', which isn't offered" in found.err
