"""Tools and verifiers of the host: carried to the nodes by name, told where they are missing."""

from __future__ import annotations

import pytest
from langgraph.graph import START, StateGraph

import thinkgraph
from thinkgraph.graphs.graph import Graph, use
from thinkgraph.graphs.planning.plan import plan
from thinkgraph.graphs.requirements import Unbound
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.nodes import registry
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.base.param import param
from thinkgraph.nodes.population import Answer, Update
from thinkgraph.nodes.registry import register


class Probe(Node):
    """Answers with what its tool and its verifier say."""

    kind = "probe"
    about = "question → what a tool and a verifier say of it"
    output_channels = frozenset({"answer"})
    tool: str = "shout"
    verifier: str = "loud"

    @property
    def tools_wanted(self):
        return (self.tool,)

    @property
    def verifiers_wanted(self):
        return (self.verifier,)

    async def run(self, state, step):
        said = step.tools[self.tool].open().invoke(state.question)
        text = f"{said} {step.verifiers[self.verifier](said)}"
        return Update(answer=Answer(value=text, text=text, candidate=None, votes=1, of=1))


def shout(text: str) -> str:
    """Say it loud."""
    return text.upper()


def whisper(text: str) -> str:
    """Say it softly."""
    return text.lower()


def loud(text: str) -> bool:
    return text.isupper()


@pytest.fixture(autouse=True)
def registered(monkeypatch):
    monkeypatch.setattr(registry, "_registered", {})
    register(Probe)


@pytest.fixture
def graph() -> Graph:
    made = Graph("probing", params={"which": "shout"})
    made.add(look=Probe(tool=param("which")))
    made.edge("START", "look", "END")
    return made


def no_model() -> ScriptedModel:
    return ScriptedModel([])


def test_a_run_carries_them_to_the_node(graph):
    result = graph.run("Hey", model=no_model(), tools=[shout], verifiers={"loud": loud})
    assert result.answer.text == "HEY True"


def test_the_same_compiled_graph_takes_others_for_the_next_run(graph):
    for tool, said in ((shout, "HEY True"), (whisper, "hey False")):
        result = graph.run("Hey", model=no_model(), tools={"shout": tool}, verifiers={"loud": loud})
        assert result.answer.text == said


def test_a_graph_that_is_used_has_them_too(graph, tmp_path, monkeypatch):
    graph.save(tmp_path / "probing.yaml")
    outer = Graph("outer")
    outer._folder = tmp_path
    outer.add(inner=use("probing.yaml", which="whisper"))
    outer.edge("START", "inner", "END")
    given = {"model": no_model(), "verifiers": {"loud": loud}}
    assert outer.run("Hey", tools=[whisper], **given).answer.text == "hey False"
    with pytest.raises(Unbound, match="node 'inner/look' needs the tool 'whisper'"):
        outer.run("Hey", **given)


def test_every_name_that_is_not_bound_is_told_at_once_and_before_the_model_is_loaded(graph):
    with pytest.raises(Unbound) as told:
        graph.run("Hey", model="no-such-model", tools={"shouts": shout})
    assert str(told.value).splitlines() == [
        "graph 'probing': node 'look' needs the tool 'shout', which is not bound; "
        "did you mean 'shouts'?",
        "graph 'probing': node 'look' needs the verifier 'loud', which is not bound; "
        "give it by verifiers={'loud': …}, or --verifiers FILE.py",
    ]


def test_a_compiled_graph_has_its_own_and_a_context_gives_others(graph):
    app = graph.compile(model=no_model(), tools=[shout], verifiers={"loud": loud})
    assert app.invoke({"question": "Hey"})["answer"]["text"] == "HEY True"
    context = {"tools": {"shout": whisper}}
    assert app.invoke({"question": "Hey"}, context=context)["answer"]["text"] == "hey False"


def test_a_compiled_graph_without_them_says_so_when_it_is_invoked(graph):
    app = graph.compile(model=no_model(), verifiers={"loud": loud})
    with pytest.raises(Unbound, match="needs the tool 'shout'"):
        app.invoke({"question": "Hey"})
    given = {"tools": [shout]}
    assert app.invoke({"question": "Hey"}, context=given)["answer"]["text"] == "HEY True"


def test_a_subgraph_of_another_graph_has_those_it_was_compiled_with(graph):
    inner = graph.compile(model=no_model(), tools=[shout], verifiers={"loud": loud})
    outer = StateGraph(dict)
    outer.add_node("inner", lambda state: inner.invoke({"question": "Hey"}))
    outer.add_edge(START, "inner")
    assert outer.compile().invoke({})["answer"]["text"] == "HEY True"


def test_as_tool_has_them_for_every_call(graph):
    tool = graph.as_tool(model=no_model(), tools=[shout], verifiers={"loud": loud})
    assert tool.invoke({"question": "Hey"}) == "HEY True"


def test_a_plan_says_what_is_missing(graph):
    assert len(plan(graph).unbound) == 2
    assert plan(graph, tools=[shout], verifiers={"loud": loud}).unbound == ()


def test_what_is_required_follows_the_params(graph):
    assert graph.required({"which": "other"}).tools == {"other": ["look"]}


def test_a_tool_factory_is_public():
    assert thinkgraph.ToolFactory(lambda: shout).name == ""
