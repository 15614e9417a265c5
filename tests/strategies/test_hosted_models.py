"""On a model behind a chat API every strategy runs, or is refused before the first request."""

import re
from typing import Any

import pytest
from langchain_core.language_models.chat_models import SimpleChatModel
from typer.testing import CliRunner

import thinkgraph as tg
from thinkgraph.cli.app import app
from thinkgraph.graphs.planning.plan import plan
from thinkgraph.graphs.requirements import Incapable
from thinkgraph.graphs.runtime.models import lacking
from thinkgraph.models.backends.from_langchain import from_langchain
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.capabilities import HOSTED
from thinkgraph.models.chat import ChatGGUF
from thinkgraph.models.errors import ThinkgraphError

QUESTION = "Tom has 8 apples and buys 5. How many has he?"
NAME = "openai:qwen@http://127.0.0.1:9/v1"  # where nobody listens
UNKNOWN = "no logprob is known of any candidate"
BY_FORM = "; set `{}: heuristic`, which needs none"


class Hosted(SimpleChatModel):
    """A chat model of a provider's: text, and nothing beside it."""

    asked: int = 0

    @property
    def _llm_type(self) -> str:
        return "hosted"

    def _call(self, messages: Any, stop: Any = None, run_manager: Any = None, **rest: Any) -> str:
        self.asked += 1
        if "solution()" in str(messages):
            return "```python\ndef solution():\n    return 8 + 5\n```"
        if "program" in str(messages) or "answer = " in str(messages):
            return "answer = 8 + 5"
        if "one letter" in str(messages):
            return "A"
        return f"Count them. The answer is {12 + self.asked % 2}. It is correct. Yes"


@pytest.mark.slow
def test_every_strategy_runs_or_is_refused_with_a_way_out(strategy: Any) -> None:
    graph, small = strategy
    model = Hosted()
    try:
        result = graph.run(QUESTION, model=model, seed=1, **small)
    except Incapable as refused:
        assert model.asked == 0
        said = str(refused)
        assert "use a GGUF model" in said and "needs" in said
        for name, value in re.findall(r"-p (\S+?)=(\S+?)(?=,| or|$)", said):
            again = graph.run(QUESTION, model=Hosted(), seed=1, **{**small, name: value})
            assert again.usage.model_calls
    else:
        assert result.usage.model_calls and model.asked
        told = {why for failures in result.failures.values() for why in failures}
        assert told <= {UNKNOWN, UNKNOWN + BY_FORM.format("scorer"), UNKNOWN + BY_FORM.format("by")}


@pytest.mark.parametrize(
    ("name", "params", "remedy"),
    [
        ("self-refine", {}, "-p verdict=text"),
        ("self-verify-pool", {}, "-p verdict=text"),
        ("universal-self-consistency", {}, "-p verdict=text"),
        ("best-of-n", {"scorer": "judge"}, "-p scorer=logprob or -p scorer=heuristic"),
        ("best-of-n", {"scorer": "certainty"}, "-p scorer=logprob"),
        ("adaptive-branching", {}, "-p scorer=logprob"),
        ("tree-of-thoughts", {}, "use a GGUF model"),
        ("deepconf", {}, "use a GGUF model"),
    ],
)
def test_the_name_of_an_endpoint_is_enough_to_tell(
    name: str, params: dict[str, Any], remedy: str
) -> None:
    with pytest.raises(Incapable, match=re.escape(remedy)):
        tg.load(name).run(QUESTION, model=NAME, **params)
    command = ["run", name, QUESTION, "--model", NAME]
    command += [word for key, value in params.items() for word in ("-p", f"{key}={value}")]
    told = CliRunner().invoke(app, command)
    assert told.exit_code and remedy in str(told.exception)


def judged(**settings: Any) -> tg.Graph:
    graph = tg.Graph("judged")
    graph.add(draft=tg.Generate(), critic=tg.Critique(), rate=tg.Score(by="judge", **settings))
    return graph.edge(tg.START, "draft", "critic", "rate", tg.END)


def test_the_settings_of_nodes_that_help_are_told_as_a_spec_has_them(tmp_path: Any) -> None:
    with pytest.raises(Incapable) as refused:
        judged().run(QUESTION, model=NAME)
    way_out = "set `verdict: text` in node 'critic' and `verdict: text` in node 'rate', or use a"
    assert way_out in str(refused.value)
    with pytest.raises(
        Incapable, match="give; set `verdict: text` in node 'critic', or use a GGUF"
    ):
        judged(verdict="text").run(QUESTION, model=NAME)
    with pytest.raises(Incapable, match="give; use a GGUF model"):
        judged(prefix="It is").run(QUESTION, model=NAME)
    judged().save(tmp_path / "judged.yaml")
    told = CliRunner().invoke(app, ["show", str(tmp_path / "judged.yaml")]).output
    assert f"doesn't give; {way_out} GGUF model" in told


def test_the_default_scorer_of_best_of_n_needs_no_entropies() -> None:
    graph = tg.load("best-of-n")
    result = graph.run(QUESTION, model=Hosted(), samples=2)
    assert not any(request.sampling.confidence for request in result.requests)
    assert not graph.required().missing(lambda role: HOSTED)
    assert graph.required({"scorer": "certainty"}).missing(lambda role: HOSTED)


@pytest.mark.parametrize(
    ("name", "params", "key", "way_out"),
    [
        ("best-of-n", {"samples": 3}, "score.0", BY_FORM.format("scorer")),
        (
            "self-refine",
            {"keep": "better", "verdict": "text", "rounds": 1},
            "revise.0",
            BY_FORM.format("by"),
        ),
        ("router", {"samples": 2}, "sure.0", ""),
    ],
)
def test_a_ranking_by_log_probabilities_that_there_are_not_says_so(
    name: str, params: dict[str, Any], key: str, way_out: str
) -> None:
    model = ScriptedModel(["It is 4.", "It is 5.\nwrong", "It is 5.", "Fine.\ncorrect"])
    result = tg.load(name).run(QUESTION, model=model, seed=1, **params)
    assert result.failures == {key: (UNKNOWN + way_out,)}


def test_a_selection_by_log_probabilities_that_there_are_not_says_so() -> None:
    graph = tg.Graph("likeliest")
    graph.add(draft=tg.Generate(samples=2), best=tg.Select(by="logprob"))
    graph.edge(tg.START, "draft", "best", tg.END)
    model = ScriptedModel(["It is 4.", "It is 5."])
    assert graph.run(QUESTION, model=model).failures == {"best.0": (UNKNOWN,)}


def test_what_is_known_of_some_candidates_ranks_them() -> None:
    model = ScriptedModel(["It is 4.", "It is 5."], logprobs=[-1.0])
    result = tg.load("best-of-n").run(QUESTION, model=model, samples=2)
    assert not result.failures
    assert result.answer.note == ""  # that one of one agrees says nothing


def test_what_measures_the_candidates_of_a_used_graph_asks_it_for_entropies(tmp_path: Any) -> None:
    inner = tg.Graph("inner")
    inner.add(draft=tg.Generate(samples=2))
    inner.edge(tg.START, "draft", tg.END)
    inner.save(tmp_path / "inner.yaml")
    (tmp_path / "outer.yaml").write_text(
        "thinkgraph: 1\nname: outer\n"
        "nodes: {all: {use: ./inner.yaml}, best: {kind: select, by: certainty}}\n"
        "edges: START -> all -> best -> END\n"
    )
    outer = tg.load(tmp_path / "outer.yaml")
    required = outer.required()
    model = ScriptedModel(["It is 5.", "It is 6."])
    asked = outer.run(QUESTION, model=model).requests
    assert all(request.sampling.confidence for request in asked)
    assert required.capabilities == {("", "confidence"): ["all/draft"]}


def test_only_the_model_of_the_role_matters() -> None:
    graph = tg.load("self-refine")
    with pytest.raises(Incapable, match="model of the role 'critic'"):
        graph.run(QUESTION, model="no-such-model", models={"critic": NAME})


def test_a_compiled_graph_and_its_context_are_refused_too() -> None:
    model = Hosted()
    with pytest.raises(Incapable):
        tg.load("self-refine").compile(model=model).invoke({"question": QUESTION})
    compiled = tg.load("self-refine").compile(model="no-such-model")
    with pytest.raises(Incapable):
        compiled.invoke({"question": QUESTION}, context={"model": NAME})
    assert model.asked == 0


def test_a_plan_tells_it() -> None:
    found = plan(tg.load("self-refine"), model=from_langchain(Hosted()))
    assert len(found.incapable) == 1 and "-p verdict=text" in found.incapable[0]
    assert not plan(tg.load("self-refine")).incapable


def test_a_plan_asks_of_a_role_what_its_own_model_can_do() -> None:
    refine = tg.load("self-refine")
    assert not plan(refine, model=from_langchain(Hosted()), models={"critic": "smollm2"}).incapable
    assert len(plan(refine, models={"critic": NAME}).incapable) == 1
    with pytest.raises(ThinkgraphError, match="no role 'critik'; did you mean 'critic'"):
        plan(refine, models={"critik": "smollm2"})


def test_the_plan_command_takes_a_model_by_its_role() -> None:
    done = CliRunner().invoke(app, ["plan", "self-refine", "--role", f"critic={NAME}"])
    assert isinstance(done.exception, Incapable)
    assert "-p verdict=text" in str(done.exception)


def test_a_gguf_behind_langchain_lacks_nothing() -> None:
    assert not lacking(ChatGGUF(model="smollm2").bind(temperature=0.5))
    assert lacking(NAME) == HOSTED
    assert lacking(Hosted().with_retry()) == HOSTED | {"tools"}


def test_show_tells_what_an_endpoint_can_not_do() -> None:
    shown = CliRunner().invoke(app, ["show", "self-refine"]).output
    assert "on an API endpoint: node 'critic' needs the probabilities" in shown
    assert "on an API endpoint: runs" in CliRunner().invoke(app, ["show", "direct"]).output
