"""What every strategy does inside other people's graphs, streams and agents."""

from typing import Annotated, Any

import pytest
from langchain.agents import create_agent
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import START, MessagesState, StateGraph
from typing_extensions import TypedDict

from thinkgraph.graphs.runtime.result import Result
from thinkgraph.graphs.runtime.run import may_interrupt
from thinkgraph.graphs.runtime.state import total_usage
from thinkgraph.nodes.event import AnswerReached, NodeStarted, TextDelta

QUESTION = {"question": "How many?"}
THREAD = {"configurable": {"thread_id": "1"}}


@pytest.fixture
def compiled(strategy, oracle):
    graph, small = strategy
    return graph.compile(model=oracle(), seed=3, **small)


async def parts(app, **settings):
    return [part async for part in app.astream(QUESTION, version="v2", **settings)]


@pytest.mark.slow
async def test_streamed_messages_tell_which_text_is_the_answer(compiled):
    told, nodes, others = "", set(), set()
    for part in await parts(compiled, stream_mode="messages"):
        message, metadata = part["data"]
        if metadata.get("thinkgraph_answer"):
            told += message.text
            nodes.add(metadata["langgraph_node"])
        else:
            others.add(metadata["langgraph_node"])
    values = await compiled.ainvoke(QUESTION)
    assert told == values["messages"][-1].text == values["answer"]["text"]
    assert len(nodes) == 1
    assert nodes.isdisjoint(others - {"conclude"})


@pytest.mark.slow
async def test_each_mode_of_a_stream_tells_its_own_part(compiled):
    modes = ["updates", "values", "custom"]
    found: dict[str, list[Any]] = {mode: [] for mode in modes}
    for part in await parts(compiled, stream_mode=modes):
        found[part["type"]].append(part["data"])
    assert "answer" in found["values"][-1]
    last = found["updates"][-1]
    assert last["conclude"]["messages"][-1].text == found["values"][-1]["answer"]["text"]
    kinds = {type(event) for event in found["custom"]}
    assert kinds >= {NodeStarted, AnswerReached, TextDelta}
    ran = {name for update in found["updates"] for name in update}
    assert ran >= {event.node for event in found["custom"] if isinstance(event, NodeStarted)} - {
        event.node for event in found["custom"] if "/" in getattr(event, "node", "")
    }


@pytest.mark.slow
@pytest.mark.parametrize("limits", [{"calls": 1}, {"tokens": 7}, {"seconds": 1e-6}])
async def test_a_budget_holds_for_a_compiled_graph_as_for_a_run(strategy, oracle, limits):
    graph, small = strategy
    run = await graph.arun("How many?", model=oracle(), seed=3, budget=limits, **small)
    app = graph.compile(model=oracle(), seed=3, budget=limits, **small)
    values = await app.ainvoke(QUESTION)
    usage = total_usage(values)
    assert values["answer"] == run.answer.model_dump(mode="json")
    assert usage.completion_tokens == run.usage.completion_tokens
    assert usage.model_calls == run.usage.model_calls
    assert values["messages"][-1].response_metadata["cut"] == run.cut


@pytest.mark.slow
def test_two_side_by_side_in_one_parent(strategy, oracle):
    graph, small = strategy
    apps = [graph.compile(model=oracle(), seed=seed, **small) for seed in (3, 4)]
    parent = StateGraph(MessagesState)
    for name, app in zip("ab", apps, strict=True):
        parent.add_node(name, app)
        parent.add_edge(START, name)
    both = parent.compile(InMemorySaver())
    values = both.invoke({"messages": [("user", "How many?")]}, THREAD)
    alone = [app.invoke(QUESTION)["messages"][-1].text for app in apps]
    assert [m.text for m in values["messages"]] == ["How many?", *alone]


def gathered(old: Any, new: Any) -> list[Any]:
    """A parent's reducer of answers."""
    return [*(old if isinstance(old, list) else []), new]


class Parent(TypedDict, total=False):
    """A parent's state with a strategy's own names."""

    question: str
    answer: Annotated[Any, gathered]


@pytest.mark.slow
def test_two_side_by_side_share_a_question_and_an_answer(strategy, oracle):
    graph, small = strategy
    apps = [graph.compile(model=oracle(), seed=seed, **small) for seed in (3, 4)]
    parent = StateGraph(Parent)
    for name, app in zip("ab", apps, strict=True):
        parent.add_node(name, app)
        parent.add_edge(START, name)
    values = parent.compile().invoke({**QUESTION, "answer": []})
    assert values == {**QUESTION, "answer": [app.invoke(QUESTION)["answer"] for app in apps]}


class Agent(GenericFakeChatModel):
    """A model that calls the tool it is given, then ends."""

    def bind_tools(self, tools, **rest):
        return self


@pytest.mark.slow
async def test_as_a_tool_of_an_agent(strategy, oracle):
    graph, small = strategy
    tool = graph.as_tool(model=oracle(), seed=3, **small)
    call = {"name": tool.name, "args": QUESTION, "id": "1", "type": "tool_call"}
    with SqliteSaver.from_conn_string(":memory:") as saver:
        agent = create_agent(
            Agent(messages=iter([AIMessage("", tool_calls=[call]), AIMessage("done")])),
            [tool],
            checkpointer=saver,
        )
        asked = {"messages": [("user", "Ask.")]}
        events = list(agent.stream(asked, THREAD, stream_mode="custom"))
        stored = agent.get_state(THREAD).values["messages"]
        spaces = {each.config["configurable"]["checkpoint_ns"] for each in saver.list(None)}
    # Only a strategy that may wait for a person is kept in the agent's thread.
    assert (spaces == {""}) is not may_interrupt(graph.specs.values())
    assert {type(event) for event in events} >= {NodeStarted, TextDelta, AnswerReached}
    (told,) = [message for message in stored if isinstance(message, ToolMessage)]
    run = await graph.arun("How many?", model=oracle(), seed=3, **small)
    assert told.text == str(run.output)
    assert Result.model_validate(told.artifact).candidates == run.candidates
