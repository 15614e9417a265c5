"""A kind of one's own that waits for a human, by LangGraph's ``interrupt()``."""

from collections.abc import Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from langgraph.types import Command, interrupt
from typing_extensions import TypedDict

import thinkgraph as tg
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.nodes.registry import _registered

QUESTION = {"question": "What is 2 + 3?"}
THREAD = {"configurable": {"thread_id": "1"}}


@pytest.fixture
def approved(tmp_path: Any) -> Iterator[tg.Graph]:
    """A draft that a human answers for; the file of it is human.yaml."""

    @tg.node_kind("approve", input_channels={"candidates"}, output_channels={"answer"})
    def approve(state: tg.State, step: Any) -> tg.Update:
        "candidates → the answer that a human gives"
        draft = state.live[0]
        said = interrupt({"draft": draft.text})
        return tg.Update(answer=tg.Answer(value=said, text=said, candidate=draft.id, votes=1, of=1))

    graph = tg.Graph("human", "Asks a human.")
    graph.add(draft=tg.Generate(), approve=approve())
    graph.edge(tg.START, "draft", "approve", tg.END)
    graph.save(tmp_path / "human.yaml")
    yield graph
    _registered.pop("approve", None)


@pytest.fixture
def model() -> ScriptedModel:
    return ScriptedModel(lambda messages, seed: "It is 5.")


def test_a_run_tells_what_it_waits_for_and_goes_on_with_the_answer(
    approved: tg.Graph, model: ScriptedModel
) -> None:
    with pytest.raises(tg.Interrupted, match="waits for an answer") as waiting:
        approved.run("?", model=model, seed=1)
    assert [each.value for each in waiting.value.interrupts] == [{"draft": "It is 5."}]
    result = waiting.value.resume("six")
    assert (result.answer.value, result.seed, len(model.calls)) == ("six", 1, 1)


def test_a_graph_that_uses_it_waits_too(
    approved: tg.Graph, model: ScriptedModel, tmp_path: Any
) -> None:
    (tmp_path / "outer.yaml").write_text(
        "thinkgraph: 1\nname: outer\nnodes: {all: {use: ./human.yaml}}\n"
        "edges: START -> all -> END\n"
    )
    with pytest.raises(tg.Interrupted) as waiting:
        tg.load(tmp_path / "outer.yaml").run("?", model=model)
    assert waiting.value.resume("six").answer.value == "six"
    assert len(model.calls) == 1


def test_a_compiled_graph_waits_as_langgraphs_do(approved: tg.Graph, model: ScriptedModel) -> None:
    app = approved.compile(InMemorySaver(), model=model)
    (waiting,) = app.invoke(QUESTION, THREAD)["__interrupt__"]
    assert waiting.value == {"draft": "It is 5."}
    assert app.invoke(Command(resume="six"), THREAD)["answer"]["value"] == "six"
    assert len(model.calls) == 1


def test_a_run_in_a_node_of_another_graph_makes_that_wait(
    approved: tg.Graph, model: ScriptedModel
) -> None:
    class Parent(TypedDict, total=False):
        question: str
        reply: str

    def solve(state: Parent) -> Parent:
        return {"reply": str(approved.run(state["question"], model=model, seed=1).output)}

    parent = StateGraph(Parent)
    parent.add_node("solve", solve)
    parent.add_edge(START, "solve")
    app = parent.compile(InMemorySaver())
    (waiting,) = app.invoke(QUESTION, THREAD)["__interrupt__"]
    assert waiting.value == {"draft": "It is 5."}
    assert app.invoke(Command(resume="six"), THREAD)["reply"] == "six"


def test_a_tool_of_an_agent_makes_the_agent_wait(approved: tg.Graph, model: ScriptedModel) -> None:
    class Agent(GenericFakeChatModel):
        def bind_tools(self, tools: Any, **rest: Any) -> Any:
            return self

    call = {"name": "human", "args": QUESTION, "id": "1", "type": "tool_call"}
    said = iter([AIMessage("", tool_calls=[call]), AIMessage("done")])
    tool = approved.as_tool(model=model, seed=1)
    agent = create_agent(Agent(messages=said), [tool], checkpointer=InMemorySaver())
    (waiting,) = agent.invoke({"messages": [("user", "Ask.")]}, THREAD)["__interrupt__"]
    assert waiting.value == {"draft": "It is 5."}
    *_, told, last = agent.invoke(Command(resume="six"), THREAD)["messages"]
    assert (told.text, last.text) == ("six", "done")
