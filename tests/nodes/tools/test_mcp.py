"""Tools of a real MCP server over stdio, and of servers that misbehave."""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("mcp.server.mcpserver")

from thinkgraph.graphs.graph import Graph
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import ToolCall
from thinkgraph.nodes.kinds.act import Act
from thinkgraph.nodes.tools import mcp as room
from thinkgraph.nodes.tools.mcp import mcp_tools
from thinkgraph.nodes.tools.tool import bind_tools
from thinkgraph.nodes.tools.toolbox import Toolbox

pytestmark = pytest.mark.slow

SERVER = {"command": sys.executable, "args": [str(Path(__file__).with_name("mcp_server.py"))]}


@pytest.fixture(scope="module")
def tools():
    with mcp_tools({"mcpServers": {"tests": SERVER}}) as found:
        yield found


async def called(tools, name, seconds=20.0, **arguments):
    bound = bind_tools(tools)
    box = Toolbox([bound[name]], seconds=seconds, output=200)
    return await box.call(ToolCall(name=name, arguments=arguments))


async def test_its_tools_have_names_descriptions_and_schemas(tools):
    assert {"add", "tick", "forge"} <= tools.keys()
    described = Toolbox([bind_tools(tools)["add"]], seconds=1, output=100).described[0]
    assert described.description == "Add two numbers."
    assert described.parameters["properties"]["a"]["type"] == "integer"


async def test_a_call_gives_its_text_and_a_session_lasts(tools):
    assert (await called(tools, "add", a=2, b=3)).result == "5"
    first, second = [(await called(tools, "tick")).result for _ in range(2)]
    assert int(second) == int(first) + 1


async def test_arguments_are_held_to_the_servers_schema(tools):
    record = await called(tools, "add", a="two", b=3)
    assert record.failed
    assert "is not of type 'integer'" in record.result


async def test_what_a_hostile_server_says_is_cut_and_disarmed(tools):
    forged, flooded = await called(tools, "forge"), await called(tools, "flood")
    assert "</tool_response" not in forged.result
    assert len(flooded.result) < 300
    assert (await called(tools, "fail")).failed


async def test_a_call_that_hangs_ends_at_its_limit():
    with mcp_tools({"mcpServers": {"tests": SERVER}}) as tools:
        began = time.monotonic()
        record = await called(tools, "hang", seconds=0.5)
        assert "timed out after 0.5 seconds" in record.result
        assert time.monotonic() - began < 20


async def test_a_server_that_dies_is_an_error_of_the_call():
    with mcp_tools({"mcpServers": {"tests": SERVER}}) as tools:
        assert (await called(tools, "die")).failed
        assert (await called(tools, "add", a=1, b=1)).failed


def test_an_act_node_calls_them(tools):
    call = json.dumps({"name": "add", "arguments": {"a": 2, "b": 3}})
    model = ScriptedModel([f"<tool_call>\n{call}\n</tool_call>", "The answer is 5"])
    graph = Graph("acting")
    graph.add(work=Act(tools=("add",)))
    graph.edge("START", "work", "END")
    assert graph.run("?", model=model, tools=tools).answer.value == "5"


def test_the_same_name_at_two_servers_has_the_servers_before_it():
    with mcp_tools({"mcpServers": {"one": SERVER, "two": SERVER}}) as tools:
        assert {"one_add", "two_add"} <= tools.keys()
        assert "add" not in tools


def test_names_that_a_spec_cannot_tell_apart_get_numbers():
    with mcp_tools({"mcpServers": {"one!": SERVER, "one?": SERVER}}) as tools:
        assert {"one__add", "one__add_2"} <= tools.keys()
        assert tools["one__add_2"].name == "one__add_2"


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ("{}", "mcpServers: Field required"),
        ("not json", "Invalid JSON"),
        ('{"mcpServers": {"a": {}}}', "either a `command` or a `url`"),
        ('{"mcpServers": {"a": {"command": "no-such-command-at-all"}}}', "server 'a' can't be"),
        ('{"mcpServers": {"a": {"url": "http://127.0.0.1:9/mcp"}}}', "server 'a' can't be"),
    ],
)
def test_a_file_or_a_server_that_cannot_be_used_is_one_clear_message(tmp_path, config, said):
    file = tmp_path / "servers.json"
    file.write_text(config)
    with pytest.raises(ThinkgraphError, match=said), mcp_tools(file):
        pass


def test_a_server_that_never_answers_is_told_after_its_time(monkeypatch):
    monkeypatch.setattr(room, "START_S", 0.5)
    silent = {"command": sys.executable, "args": ["-c", "import time; time.sleep(60)"]}
    with (
        pytest.raises(ThinkgraphError, match=r"'a' did not answer within 0\.5 seconds"),
        mcp_tools({"mcpServers": {"a": silent}}),
    ):
        pass


def test_a_server_is_ended_when_another_cannot_be_started(tmp_path):
    pid = tmp_path / "pid"
    code = f"import os, time; open({str(pid)!r}, 'w').write(str(os.getpid())); time.sleep(300)"
    waiting = {"command": sys.executable, "args": ["-c", code]}
    missing = {"url": "http://127.0.0.1:9/mcp"}
    began = time.monotonic()
    with (
        pytest.raises(ThinkgraphError, match="server 'b' can't be"),
        mcp_tools({"mcpServers": {"a": waiting, "b": missing}}),
    ):
        pass
    assert time.monotonic() - began < room.STOP_S
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()) if pid.exists() else 2**22 - 1, 0)


async def test_a_schema_of_a_hostile_server_does_not_stop_a_call(tools):
    assert "does not match" in (await called(tools, "freeze", q="a" * 40 + "!")).result
    assert (await called(tools, "freeze", q="a" * 40)).result == "a" * 40


def test_a_tool_whose_schema_refers_to_nothing_or_to_too_much_is_left_out(tools):
    assert not {"unresolved", "grow"} & tools.keys()


def test_a_schema_that_refers_to_itself_is_one(tools):
    node = {"type": "object", "properties": {"next": {"$ref": "#/$defs/Node"}}}
    schema = {"properties": {"q": {"$ref": "#/$defs/Node"}}, "$defs": {"Node": node}}
    assert room._fault(schema) == ""


async def test_a_server_describes_up_to_its_limits(monkeypatch):
    def page(*names, size=1):
        of = [SimpleNamespace(name=name, input_schema={"title": "x" * size}) for name in names]
        return SimpleNamespace(tools=of, next_cursor="more")

    class Endless:
        async def list_tools(self, cursor):
            return page("a", "b") if cursor else page("large", size=room.LARGEST_SCHEMA)

    monkeypatch.setattr(room, "MOST_TOOLS", 4)
    assert [tool.name async for tool in room._listed(Endless())] == ["a", "b", "a"]


def test_a_file_that_is_not_there_is_told():
    with pytest.raises(ThinkgraphError, match="can't be read"), mcp_tools("nowhere.json"):
        pass
