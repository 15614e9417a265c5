"""A kind of one's own that waits for a human, by LangGraph's ``interrupt()``."""

import json
import sqlite3
from collections.abc import Iterator
from typing import Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode
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


PAYMENTS = "Pay 1, then 2."


@pytest.fixture(params=["tool", "node"])
def payer(request: pytest.FixtureRequest) -> tuple[Any, ScriptedModel, list[int]]:
    """A graph whose only node pays twice, each time after an approval; its model; what was paid."""
    paid: list[int] = []

    def pay(amount: int) -> str:
        """Pay."""
        paid.append(amount)
        return f"paid {amount}"

    calls = [json.dumps({"name": "pay", "arguments": {"amount": n}}) for n in (1, 2)]
    said = [f"<tool_call>\n{call}\n</tool_call>" for call in calls]
    model = ScriptedModel([*said, "The answer is 3."])
    inner = tg.Graph("payer")
    inner.add(work=tg.Act(tools=["pay"], approve=True, max_calls=4))
    inner.edge(tg.START, "work", tg.END)
    if request.param == "tool":
        node: Any = ToolNode([inner.as_tool(model=model, tools=[pay])])
    else:

        def node(state: MessagesState) -> dict[str, Any]:
            reply = inner.run(PAYMENTS, model=model, tools=[pay]).answer
            return {"messages": [AIMessage(str(reply.value))]}

    outer = StateGraph(MessagesState)
    outer.add_node("pays", node)
    outer.add_edge(START, "pays")
    return outer, model, paid


def asked_to_pay() -> dict[str, Any]:
    call = {"name": "payer", "args": {"question": PAYMENTS}, "id": "1", "type": "tool_call"}
    return {"messages": [("user", "?"), AIMessage("", tool_calls=[call])]}


@pytest.mark.parametrize("kept_in", ["memory", "sqlite"])
def test_what_was_done_before_an_approval_is_not_done_again(payer: Any, kept_in: str) -> None:
    outer, model, paid = payer
    saver: Any = InMemorySaver()
    if kept_in == "sqlite":
        sqlite = pytest.importorskip("langgraph.checkpoint.sqlite")
        saver = sqlite.SqliteSaver(sqlite3.connect(":memory:", check_same_thread=False))
    app = outer.compile(saver)
    for expected in (asked_to_pay(), Command(resume=True)):
        assert app.invoke(expected, THREAD)["__interrupt__"]
    *_, last = app.invoke(Command(resume=True), THREAD)["messages"]
    assert (last.text, paid, len(model.calls)) == ("3", [1, 2], 3)


async def test_it_is_not_done_again_in_an_event_loop_either(payer: Any) -> None:
    outer, model, paid = payer
    app = outer.compile(InMemorySaver())
    for expected in (asked_to_pay(), Command(resume=True)):
        assert (await app.ainvoke(expected, THREAD))["__interrupt__"]
    *_, last = (await app.ainvoke(Command(resume=True), THREAD))["messages"]
    assert (last.text, paid, len(model.calls)) == ("3", [1, 2], 3)


def test_the_approved_draft_is_the_one_that_counts_without_a_seed(approved: tg.Graph) -> None:
    model = ScriptedModel(lambda messages, seed: f"It is {seed % 1000}.")
    found: list[tg.Result] = []

    def solve(state: MessagesState) -> dict[str, Any]:
        found.append(approved.run("?", model=model))
        return {}

    parent = StateGraph(MessagesState)
    parent.add_node("solve", solve)
    parent.add_edge(START, "solve")
    app = parent.compile(InMemorySaver())
    (waiting,) = app.invoke({"messages": []}, THREAD)["__interrupt__"]
    app.invoke(Command(resume="six"), THREAD)
    (result,) = found
    assert result.candidates[0].text == waiting.value["draft"]
    assert len(model.calls) == 1
    replayed = approved_again(approved, model, result.seed)
    assert replayed == waiting.value["draft"]


def approved_again(graph: tg.Graph, model: ScriptedModel, seed: int) -> str:
    """The draft of a run with this seed."""
    with pytest.raises(tg.Interrupted) as waiting:
        graph.run("?", model=model, seed=seed)
    draft: str = waiting.value.interrupts[0].value["draft"]
    return draft


def test_several_runs_in_one_node_wait_one_after_the_other(
    approved: tg.Graph, model: ScriptedModel
) -> None:
    def solve(state: MessagesState) -> dict[str, Any]:
        replies = [str(approved.run(name, model=model, seed=1).output) for name in ("a?", "b?")]
        return {"messages": [AIMessage(" ".join(replies))]}

    parent = StateGraph(MessagesState)
    parent.add_node("solve", solve)
    parent.add_edge(START, "solve")
    app = parent.compile(InMemorySaver())
    assert app.invoke({"messages": []}, THREAD)["__interrupt__"]
    assert app.invoke(Command(resume="six"), THREAD)["__interrupt__"]
    *_, last = app.invoke(Command(resume="seven"), THREAD)["messages"]
    assert (last.text, len(model.calls)) == ("six seven", 2)
