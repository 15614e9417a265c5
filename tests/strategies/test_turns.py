"""A thread is a conversation: what every strategy does with a second question."""

import os
import signal
from contextlib import asynccontextmanager

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.checkpoint.sqlite.aio import AsyncSqliteSaver

from tests.strategies.conftest import ASKS_APART, timeless
from thinkgraph.graphs.graph import load
from thinkgraph.graphs.runtime.state import total_usage

FIRST, SECOND = "How many?", "And how many more?"
THREAD = {"configurable": {"thread_id": "1"}}


@asynccontextmanager
async def memory(path):
    yield InMemorySaver(), False


@asynccontextmanager
async def sqlite(path):
    with SqliteSaver.from_conn_string(str(path / "runs.sqlite")) as saver:
        yield saver, True


@asynccontextmanager
async def async_sqlite(path):
    async with AsyncSqliteSaver.from_conn_string(str(path / "runs.sqlite")) as saver:
        yield saver, False


def run_of(values):
    """What a run has made, without the times that it took."""
    made = {
        name: timeless(values[name]) for name in ("answer", "candidates", "critiques", "counts")
    }
    usage = total_usage(values)
    return {**made, "tokens": usage.completion_tokens, "calls": usage.model_calls}


def said(values):
    return [(m.type, m.content, m.usage_metadata) for m in values["messages"] if m.type == "ai"]


def words(values):
    return [(m.type, m.content) for m in values["messages"]]


@pytest.mark.slow
@pytest.mark.parametrize("saver", [memory, sqlite, async_sqlite])
async def test_two_turns_of_a_thread_are_two_runs_of_its_conversation(
    strategy, oracle, tmp_path, saver
):
    graph, small = strategy
    async with saver(tmp_path) as (checkpointer, is_sync):
        model = oracle()
        app = graph.compile(checkpointer, model=model, seed=3, **small)

        async def ask(question):
            given = {"question": question}
            return app.invoke(given, THREAD) if is_sync else await app.ainvoke(given, THREAD)

        turns = [await ask(FIRST), await ask(SECOND)]
    fresh = graph.compile(model=(other := oracle()), seed=3, **small)
    alone = await fresh.ainvoke({"question": FIRST})
    assert run_of(turns[0]) == run_of(alone)
    conversation = [*alone["messages"], HumanMessage(SECOND)]
    after = await fresh.ainvoke({"messages": conversation})
    assert run_of(turns[1]) == run_of(after)
    assert words(turns[1]) == words(after)
    assert [call.messages for call in model.calls] == [call.messages for call in other.calls]


@pytest.mark.slow
async def test_messages_after_a_question_ask_the_new_one(strategy, oracle):
    graph, small = strategy
    app = graph.compile(InMemorySaver(), model=(model := oracle()), seed=3, **small)
    await app.ainvoke({"question": FIRST}, THREAD)
    asked = len(model.calls)
    await app.ainvoke({"messages": [("user", SECOND)]}, THREAD)
    for call in model.calls[asked:]:
        apart = graph.name in ASKS_APART and len(call.messages) == 1
        assert apart or SECOND in call.messages[-1].content
        assert apart or FIRST in [m.content for m in call.messages[:-1]]


@pytest.mark.slow
async def test_the_answer_is_a_message_with_its_cost_and_its_vote(strategy, oracle):
    graph, small = strategy
    values = await graph.compile(model=oracle(), seed=3, **small).ainvoke({"question": FIRST})
    asked, told = values["messages"]
    usage = total_usage(values)
    assert (asked.type, asked.content, told.type) == ("human", FIRST, "ai")
    assert told.text == values["answer"]["text"]
    assert told.usage_metadata["output_tokens"] == usage.completion_tokens
    facts = told.response_metadata
    assert facts["graph"] == graph.name
    assert facts["usage"] == usage.model_dump()
    for fact in ("value", "votes", "of", "tie", "note"):
        assert facts[fact] == values["answer"][fact]


@pytest.mark.slow
@pytest.mark.parametrize("saver", [memory, sqlite, async_sqlite])
async def test_a_failed_turn_goes_on_and_the_next_is_new(strategy, oracle, tmp_path, saver):
    graph, small = strategy
    wanted = oracle()
    app = graph.compile(InMemorySaver(), model=wanted, seed=3, **small)
    first = await app.ainvoke({"question": FIRST}, THREAD)
    calls = len(wanted.calls)
    second = await app.ainvoke({"question": SECOND}, THREAD)
    async with saver(tmp_path) as (checkpointer, is_sync):
        # Not a ModelError: one of several requests that fails so would cost only itself.
        model = oracle(fails=len(wanted.calls) - 1, fault=OSError("the line is dead"))
        app = graph.compile(checkpointer, model=model, seed=3, **small)

        async def go(given):
            return app.invoke(given, THREAD) if is_sync else await app.ainvoke(given, THREAD)

        assert run_of(await go({"question": FIRST})) == run_of(first)
        with pytest.raises(OSError, match="the line is dead"):
            await go({"question": SECOND})
        resumed = await go(None)
    assert run_of(resumed) == run_of(second)
    assert words(resumed) == words(second)
    assert len(model.calls) > calls


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="kills a forked process")
def test_a_killed_turn_goes_on_in_another_process(strategy, oracle, tmp_path):
    """What was finished is kept: the killed process and this one ask no more than one whole run."""
    graph, small = strategy
    if graph.name == "program-aided":  # the others' tools aren't called here
        pytest.skip("the sandbox of the tool python doesn't survive a fork")
    app = graph.compile(InMemorySaver(), model=(whole := oracle()), seed=3, **small)
    app.invoke({"question": FIRST}, THREAD)
    calls = len(whole.calls)
    wanted = app.invoke({"question": SECOND}, THREAD)
    last = len(whole.calls) - 1
    path = str(tmp_path / "runs.sqlite")

    def ask(model, *questions):
        with SqliteSaver.from_conn_string(path) as saver:
            again = graph.compile(saver, model=model, seed=3, **small)
            given = [{"question": question} for question in questions] or [None]
            return [again.invoke(each, THREAD, durability="sync") for each in given][-1]

    child = os.fork()
    if not child:
        try:
            ask(oracle(fails=last, fault=killed), FIRST, SECOND)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    resumed = ask(model := oracle())
    assert run_of(resumed) == run_of(wanted)
    assert words(resumed) == words(wanted)
    assert 0 < len(model.calls) <= len(whole.calls) - calls


def killed():
    os.kill(os.getpid(), signal.SIGKILL)


def test_tools_that_were_called_since_the_question_are_context(oracle):
    call = {"name": "weather", "args": {"city": "Oslo"}, "id": "1", "type": "tool_call"}
    turns = [
        HumanMessage("Do I need a coat in Oslo?"),
        AIMessage("", tool_calls=[call]),
        ToolMessage("-5 degrees", tool_call_id="1"),
    ]
    model = oracle()
    values = load("direct").compile(model=model).invoke({"messages": turns})
    (asked,) = model.calls
    shown = "\n".join(m.content for m in asked.messages)
    assert asked.messages[-1].content.endswith("Do I need a coat in Oslo?")
    assert "weather" in shown and "Oslo" in shown and "-5 degrees" in shown
    assert [m.type for m in values["messages"]] == ["human", "ai", "tool", "ai"]
