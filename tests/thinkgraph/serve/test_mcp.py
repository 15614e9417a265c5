"""Strategies as tools, called by the MCP client over HTTP and over standard input and output."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client, StdioServerParameters

import thinkgraph as tg
from tests.thinkgraph.serve.conftest import STRATEGIES, Running, Serve
from tests.thinkgraph.serve.test_disconnects import is_idle, stats, wait_until
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.serve.mcp import server
from thinkgraph.serve.mcp.person import reply
from thinkgraph.serve.mcp.tools import parsed
from thinkgraph.serve.offer.models import Models
from thinkgraph.serve.offer.strategies import Strategies
from thinkgraph.serve.service import Service
from thinkgraph.serve.settings import ServeSettings

QUESTION = {"question": "What is 3 times 4?"}


async def test_a_tool_gives_the_answer_its_votes_and_its_cost(serve: Serve) -> None:
    running = serve()
    heard: list[tuple[float, str | None]] = []

    async def progress(done: float, total: float | None, message: str | None) -> None:
        heard.append((done, message))

    async with Client(f"{running.url}/mcp") as client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        result: Any = await client.call_tool(
            "self-consistency", {**QUESTION, "samples": 4}, progress_callback=progress
        )
    properties = tools["self-consistency"].input_schema["properties"]
    assert properties["samples"]["type"] == "integer"
    assert properties["seconds"]["default"] < 60
    assert "hurts" in str(tools["self-consistency"].description)
    assert not result.is_error and result.content[0].text.startswith("Three times four")
    assert result.structured_content["of"] == 4
    assert sum(result.structured_content["votes"].values()) == 4
    assert result.structured_content["completion_tokens"] > 0
    assert heard and heard[0][0] == 0


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_call_that_is_cancelled_stops_its_samples(
    serve: Serve, tiny: Any, mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PROGRESS_S", 0.02)
    running = serve({"tiny": str(tiny())})
    heard: list[float] = []
    before = stats(running)

    async def progress(done: float, total: float | None, message: str | None) -> None:
        heard.append(done)
        if stats(running).completion_tokens > before.completion_tokens:
            scope.cancel()

    asked = {**QUESTION, "samples": 8, "max_tokens": 1900}
    async with Client(f"{running.url}/mcp", mode=mode) as client:
        with anyio.CancelScope() as scope:
            await client.call_tool("self-consistency", asked, progress_callback=progress)
        assert scope.cancelled_caught
        after = await anyio.to_thread.run_sync(lambda: wait_until(running, is_idle))
    assert heard == sorted({*heard}), "progress grows"
    assert after.cancelled_tokens > before.cancelled_tokens


async def test_a_time_limit_gives_the_best_answer_so_far(serve: Serve, tiny: Any) -> None:
    running = serve({"tiny": str(tiny())})
    asked = {**QUESTION, "samples": 16, "max_tokens": 1900, "seconds": 0.3}
    async with Client(f"{running.url}/mcp") as client:
        result: Any = await client.call_tool("self-consistency", asked)
    assert not result.is_error and "0.3 seconds" in result.structured_content["cut"]


async def test_wrong_arguments_are_answered_in_words(served: Running) -> None:
    async with Client(f"{served.url}/mcp") as client:
        for name, given in [
            ("nothing", QUESTION),
            ("self-consistency", {}),
            ("self-consistency", {**QUESTION, "samples": 0}),
            ("self-consistency", {**QUESTION, "sample": 4}),
            ("self-consistency", {"question": " "}),
        ]:
            result: Any = await client.call_tool(name, given)
            assert result.is_error and result.content[0].text


async def test_the_command_serves_over_standard_input_and_output(tiny: Any) -> None:
    command = ["-m", "thinkgraph", "mcp", "-m", f"tiny={tiny()}", "direct"]
    async with Client(StdioServerParameters(command=sys.executable, args=command)) as client:
        assert [tool.name for tool in (await client.list_tools()).tools] == ["direct"]
        result: Any = await client.call_tool("direct", {**QUESTION, "max_tokens": 5})
    assert result.structured_content["completion_tokens"] == 5


def reviewed() -> Strategies:
    graph = tg.Graph("reviewed")
    graph.add(draft=tg.Generate(samples=2), look=tg.Review(ask="Which is right?"))
    graph.edge(tg.START, "draft", "look", tg.END)
    return Strategies({"reviewed": graph})


def person(*replies: dict[str, Any] | None) -> tuple[Any, list[Any]]:
    """A client's callback that fills one form after the other, and what it was shown."""
    left, shown = iter(replies), []

    async def fill(context: Any, params: Any) -> types.ElicitResult:
        shown.append(params)
        content = next(left, {"choose": "nobody"})
        if content is None:
            return types.ElicitResult(action="decline")
        return types.ElicitResult(action="accept", content=content)

    return fill, shown


async def test_a_person_behind_the_client_reviews_by_elicitation(serve: Serve) -> None:
    running = serve(offered=reviewed())
    fill, shown = person({"edit": "Ten."}, {"choose": "draft.0.1", "edit": "It is 10."})
    async with Client(f"{running.url}/mcp", mode="legacy", elicitation_callback=fill) as client:
        result: Any = await client.call_tool("reviewed", QUESTION)
    assert not result.is_error and result.structured_content["value"] == "10"
    assert "Which is right?" in shown[0].message and "Three times four" in shown[0].message
    assert "an edit needs `choose`" in shown[1].message
    assert shown[0].requested_schema["properties"]["choose"]["enum"] == ["draft.0.0", "draft.0.1"]


@pytest.mark.parametrize(
    ("filled", "made", "cut"),
    [
        ({"approve": True}, [5], None),
        ({"approve": True, "arguments": '{"amount": 3}'}, [3], None),
        ({"approve": False, "remark": "yes"}, [], None),
        (None, [], "declined"),
    ],
)
async def test_a_person_behind_the_client_approves_a_call(
    filled: dict[str, Any] | None, made: list[int], cut: str | None
) -> None:
    paid: list[int] = []

    def pay(amount: int) -> str:
        """Pay an amount."""
        paid.append(amount)
        return "paid"

    call = '<tool_call>\n{"name": "pay", "arguments": {"amount": 5}}\n</tool_call>'
    graph = tg.Graph("approving")
    graph.add(work=tg.Act(tools=("pay",), approve=True))
    graph.edge(tg.START, "work", tg.END)
    model = ScriptedModel([call, "The answer is 1."])
    settings = ServeSettings(port=0)
    hosted = {"tools": [pay]}
    running = Running(
        Service(Models({"m": model}), Strategies({"approving": graph}), None, settings, hosted)
    )
    fill, shown = person(filled)
    async with Client(f"{running.url}/mcp", mode="legacy", elicitation_callback=fill) as client:
        result: Any = await client.call_tool("approving", QUESTION)
    running.stop()
    assert not result.is_error and paid == made and len(shown) == 1
    assert "May the tool pay be called" in shown[0].message
    told = result.structured_content["cut"]
    assert told is None if cut is None else cut in told


@pytest.mark.slow
async def test_a_person_is_asked_over_standard_input_and_output_too(
    tiny: Any, tmp_path: Path
) -> None:
    path = tmp_path / "reviewed.yaml"
    reviewed().graphs["reviewed"].save(path)
    command = ["-m", "thinkgraph", "mcp", "-m", f"tiny={tiny()}", str(path)]
    fill, shown = person({"choose": "draft.0.0", "edit": "It is 10."})
    started = StdioServerParameters(command=sys.executable, args=command)
    async with Client(started, mode="legacy", elicitation_callback=fill) as client:
        result: Any = await client.call_tool("reviewed", QUESTION)
    assert result.structured_content["value"] == "10" and len(shown) == 1


@pytest.mark.parametrize(
    ("replies", "cut"),
    [([None], "declined"), ([{}], "declined"), ([], "can't be understood")],
)
async def test_a_person_who_does_not_reply_leaves_the_best_answer_so_far(
    serve: Serve, replies: list[Any], cut: str
) -> None:
    running = serve(ScriptedModel(lambda messages, seed: "It is 12."), offered=reviewed())
    fill, _ = person(*replies)
    async with Client(f"{running.url}/mcp", mode="legacy", elicitation_callback=fill) as client:
        result: Any = await client.call_tool("reviewed", QUESTION)
    assert not result.is_error and result.structured_content["value"] == "12"
    assert cut in result.structured_content["cut"]


async def test_nobody_is_waited_for_longer_than_the_call_may_take(serve: Serve) -> None:
    async def never(context: Any, params: Any) -> types.ElicitResult:
        await anyio.sleep_forever()
        raise AssertionError

    running = serve(offered=reviewed())
    async with Client(f"{running.url}/mcp", mode="legacy", elicitation_callback=never) as client:
        result: Any = await client.call_tool("reviewed", {**QUESTION, "seconds": 0.5})
    assert not result.is_error and "0.5 seconds" in result.structured_content["cut"]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_client_that_cannot_ask_a_person_is_told_so_at_once(
    serve: Serve, mode: str
) -> None:
    running = serve(offered=reviewed())
    fill, _ = person()
    settings = {"elicitation_callback": fill} if mode == "auto" else {}
    async with Client(f"{running.url}/mcp", mode=mode, **settings) as client:
        result: Any = await client.call_tool("reviewed", QUESTION)
    assert result.is_error
    assert "waits for a person at its node 'look'" in result.content[0].text


def test_a_form_is_a_reply_as_its_node_takes_it() -> None:
    review, approve = {"review": "look"}, {"approve": "work.0.0"}
    assert reply(review, {"choose": "a", "accept": False}) == {"choose": "a"}
    assert reply(review, {"accept": False}) == {"accept": False}
    assert reply(approve, {"approve": True}) is True
    assert reply(approve, {"approve": False, "arguments": "{}"}) is False
    assert reply(approve, {"approve": False, "remark": "yes"}) == {"remark": "yes"}
    assert reply(approve, {"approve": True, "arguments": '{"a": 1}'}) == {"arguments": {"a": 1}}
    assert reply(approve, {"approve": True, "arguments": "{"}) == {"arguments": "{"}
    assert reply({"x": 1}, {"reply": "so"}) == "so"


def test_every_strategy_is_a_tool_with_a_default_below_a_minute() -> None:
    for graph in STRATEGIES.graphs.values():
        given = {"question": "?", **dict.fromkeys(graph.spec.inputs, "x")}
        values = parsed(graph, given)
        assert 0 < values["seconds"] < 60
