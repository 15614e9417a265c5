"""A compiled strategy behind AG-UI, as ag-ui-langgraph takes it."""

from __future__ import annotations

from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

import thinkgraph as tg
from thinkgraph.models.backends.scripted import ScriptedModel

ag_ui_langgraph = pytest.importorskip("ag_ui_langgraph")
types = pytest.importorskip("ag_ui.core.types")


async def events(name: str, **params: Any) -> list[Any]:

    model = ScriptedModel(lambda messages, seed: "Three fours. The answer is 12.")
    app = tg.load(name).compile(InMemorySaver(), model=model, **params)
    given = types.RunAgentInput(
        thread_id="thread",
        run_id="run",
        state={},
        messages=[types.UserMessage(id="1", role="user", content="What is 3 times 4?")],
        tools=[],
        context=[],
        forwarded_props={},
    )
    agent = ag_ui_langgraph.LangGraphAgent(name=name, graph=app)
    return [event async for event in agent.run(given)]


async def test_the_text_of_a_strategy_with_one_writer_streams() -> None:
    found = await events("direct")
    text = "".join(e.delta for e in found if e.type == "TEXT_MESSAGE_CONTENT")
    assert text == "Three fours. The answer is 12."
    assert found[-1].type == "RUN_FINISHED"


async def test_the_last_message_of_a_vote_is_its_answer() -> None:
    found = await events("self-consistency", samples=3)
    last = [event for event in found if event.type == "MESSAGES_SNAPSHOT"][-1]
    assert [message.role for message in last.messages] == ["user", "assistant"]
    assert last.messages[-1].content == "Three fours. The answer is 12."
    assert found[-1].type == "RUN_FINISHED"
