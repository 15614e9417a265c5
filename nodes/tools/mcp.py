"""Tools of MCP servers, configured by an ``mcpServers`` file as in other clients.

Servers are not trusted: starting, listing and calling have time-outs, the size of their
descriptions is limited, and their output is only used as text for a model. This client offers them
no sampling, no roots and no elicitation.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import re
import sys
import threading
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager
from functools import reduce
from itertools import chain, count, islice
from operator import getitem
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from thinkgraph.models.errors import ThinkgraphError

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool
    from mcp import Client

_LOG = logging.getLogger(__name__)

START_S = 30.0
"""Seconds that a server may take to start and to list its tools."""
CALL_S = 120.0
"""Seconds that a call may take, unless a node allows less."""
STOP_S = 10.0
MOST_TOOLS = 128
LONGEST_DESCRIPTION = 4000
LARGEST_SCHEMA = 20_000
"""Maximum characters of the JSON schema of a tool's arguments."""
INSTALL = 'MCP servers need the package mcp; run: pip install "thinkgraph[mcp]"'


class McpServer(BaseModel):
    """A server of an ``mcpServers`` file: a command to start, or a URL."""

    model_config = ConfigDict(frozen=True)  # files of other clients have further keys

    command: str | None = None
    args: tuple[str, ...] = ()
    env: dict[str, str] = Field(default_factory=dict)
    cwd: str | None = None
    url: str | None = None
    headers: dict[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _one(self) -> McpServer:
        if (self.command is None) == (self.url is None):
            raise ValueError("a server has either a `command` or a `url`")
        return self


class McpConfig(BaseModel):
    """An ``mcpServers`` file."""

    servers: dict[str, McpServer] = Field(alias="mcpServers", min_length=1)

    @classmethod
    def read(cls, path: str | os.PathLike[str]) -> McpConfig:
        """Read a file.

        Raises:
            ThinkgraphError: the file can't be read, or is invalid.
        """
        try:
            return cls.model_validate_json(Path(path).read_bytes())
        except OSError as error:
            raise ThinkgraphError(f"{path} can't be read: {error.strerror or error}") from None
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            form = '{"mcpServers": {"NAME": {"command": "…", "args": []}}}'
            raise ThinkgraphError(f"{path}: {place}: {first['msg']}; write {form}") from None


@contextmanager
def mcp_tools(config: str | os.PathLike[str] | Mapping[str, Any]) -> Iterator[dict[str, BaseTool]]:
    """Start or reach MCP servers and yield their tools; close them at the end of the block.

    ``with mcp_tools("servers.json") as tools: graph.run(question, tools=tools)``. A tool has the
    name that its server gives it; if two servers use the same name, the name of the server is put
    before it: ``files_search``.

    Args:
        config: an ``mcpServers`` file, or its content.

    Raises:
        ThinkgraphError: the file is invalid, or a server can't be started or reached.
    """
    known = config if isinstance(config, Mapping) else None
    try:
        found = McpConfig.model_validate(known) if known is not None else McpConfig.read(config)  # type: ignore[arg-type]
    except ValidationError as error:
        raise ThinkgraphError(f"mcpServers: {error.errors()[0]['msg']}") from None
    sessions = _Sessions(found)
    try:
        yield sessions.tools()
    finally:
        sessions.close()


class _Sessions:
    """Sessions with servers, in a separate event loop: a run may have any loop, or none."""

    def __init__(self, config: McpConfig) -> None:
        self._config = config
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="thinkgraph-mcp", daemon=True
        )
        self._thread.start()
        self._stop = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._starting: list[asyncio.Task[None]] = []

    def tools(self) -> dict[str, BaseTool]:
        """Start all servers and return their tools by name.

        A name that several tools have gets the server's name in front; if it is still taken, a
        number at its end.
        """
        listed = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result()
        times = Counter(_label(tool.name) for _, tools in listed.values() for tool in tools)
        named: dict[str, BaseTool] = {}
        for name, (client, tools) in listed.items():
            for tool in tools:
                is_only = times[_label(tool.name)] == 1
                label = _free(_label(tool.name if is_only else f"{name}_{tool.name}"), named)
                named[label] = self._tool(label, client, tool)
        return named

    async def _start(self) -> dict[str, tuple[Client, list[Any]]]:
        """Open all sessions concurrently; each is opened and closed by the same task."""
        ready = {name: self._loop.create_future() for name in self._config.servers}
        for name, server in self._config.servers.items():
            task = self._loop.create_task(self._serve(name, server, ready[name]))
            self._tasks.append(task)
            self._starting.append(task)
        return dict(zip(ready, await asyncio.gather(*ready.values()), strict=True))

    async def _serve(self, name: str, server: McpServer, ready: asyncio.Future[Any]) -> None:
        try:
            async with AsyncExitStack() as stack:
                async with asyncio.timeout(START_S):
                    client = await stack.enter_async_context(_client(server))
                    session: Any = client.session
                    session.validate_tool_result = _unchecked
                    tools = [tool async for tool in _listed(client)]
                if task := asyncio.current_task():
                    self._starting.remove(task)
                ready.set_result((client, tools))
                await self._stop.wait()
        except BaseException as error:
            if not ready.done():
                said = _reason(error)
                ready.set_exception(ThinkgraphError(f"the MCP server {name!r} {said}"))

    def _tool(self, label: str, client: Client, tool: Any) -> BaseTool:
        from langchain_core.tools import StructuredTool, ToolException  # noqa: PLC0415

        async def asked(arguments: dict[str, Any]) -> str:
            result = await client.call_tool(tool.name, arguments, read_timeout_seconds=CALL_S)
            parts = [
                part.text if part.type == "text" else f"[{part.type}, which can't be shown here]"
                for part in result.content
            ]
            text = "\n".join(parts)
            if result.is_error:
                raise ToolException(text or "the MCP server reported an error without a message")
            if not text and result.structured_content is not None:
                return json.dumps(result.structured_content, ensure_ascii=False)
            return text

        async def call(**arguments: Any) -> str:
            work = asyncio.run_coroutine_threadsafe(asked(arguments), self._loop)
            return await asyncio.wrap_future(work)

        about = (tool.description or tool.name)[:LONGEST_DESCRIPTION]
        return StructuredTool(
            name=label, description=about, args_schema=tool.input_schema, coroutine=call
        )

    def close(self) -> None:
        """Close the sessions, and end the servers that were started."""

        async def stop() -> None:
            self._stop.set()
            for task in self._starting:  # it doesn't wait for the stop event yet
                task.cancel()
            _, late = await asyncio.wait(self._tasks, timeout=STOP_S)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=STOP_S)

        if self._tasks:
            asyncio.run_coroutine_threadsafe(stop(), self._loop).result(3 * STOP_S)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(STOP_S)
        if not self._thread.is_alive():
            self._loop.close()


def _client(server: McpServer) -> Client:
    try:
        from mcp import Client, StdioServerParameters  # noqa: PLC0415 (optional)
    except ImportError as error:
        raise ThinkgraphError(INSTALL) from error
    if server.command is not None:
        from mcp.client.stdio import stdio_client  # noqa: PLC0415

        parameters = StdioServerParameters(
            command=server.command, args=list(server.args), env=server.env, cwd=server.cwd
        )
        # The original stderr: a notebook or a test may replace it by something that is not a file.
        return Client(stdio_client(parameters, errlog=sys.__stderr__ or sys.stderr))
    if not server.headers:
        return Client(str(server.url))
    import httpx2  # noqa: PLC0415 (a dependency of mcp)
    from mcp.client.streamable_http import streamable_http_client  # noqa: PLC0415

    http = httpx2.AsyncClient(headers=server.headers, timeout=CALL_S)
    return Client(streamable_http_client(str(server.url), http_client=http))


async def _unchecked(*_: Any) -> None:
    """Skip the validation of results by the server's schema: its patterns could take forever."""


async def _listed(client: Client) -> Any:
    """Yield the tools of a server, page by page, up to a limit; skip those with a bad schema."""
    cursor, count = None, 0
    while True:
        page = await client.list_tools(cursor=cursor)
        for tool in page.tools:
            count += 1
            if count > MOST_TOOLS:
                return
            if fault := _fault(tool.input_schema):
                _LOG.warning("the MCP tool %r is left out: its schema %s", tool.name, fault)
            else:
                yield tool
        cursor = page.next_cursor
        if not cursor:
            return


def _fault(schema: dict[str, Any]) -> str:
    """Why a schema can't be used; empty if it can."""
    if len(json.dumps(schema)) > LARGEST_SCHEMA:
        return f"has more than {LARGEST_SCHEMA} characters"
    try:
        if sum(1 for _ in islice(_parts(schema, schema, ()), LARGEST_SCHEMA)) == LARGEST_SCHEMA:
            return "is too large with what its references stand for"
    except (LookupError, TypeError, AttributeError, ValueError) as error:
        return f"refers to what it hasn't: {error}"
    except RecursionError:
        return "is nested too deeply"
    return ""


def _parts(value: Any, root: dict[str, Any], within: tuple[str, ...]) -> Iterator[Any]:
    """Yield every part of a schema, following references to what they refer to."""
    yield value
    if isinstance(value, list):
        for each in value:
            yield from _parts(each, root, within)
    elif isinstance(value, dict):
        for each in value.values():
            yield from _parts(each, root, within)
        if isinstance(to := value.get("$ref"), str) and to not in within:
            start, *path = to.split("/")
            if start != "#":
                raise ValueError(f"another document, {to[:80]}")
            yield from _parts(reduce(getitem, path, root), root, (*within, to))


def _label(name: str) -> str:
    """Convert a name to one that a spec can use."""
    return re.sub(r"[^A-Za-z0-9_-]", "_", name)[:64] or "_"


def _free(label: str, taken: Container[str]) -> str:
    """The label, with a number at its end if it is taken."""
    numbered = (f"{label[:58]}_{number}" for number in count(2))
    return next(each for each in chain([label], numbered) if each not in taken)


def _reason(error: BaseException) -> str:
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    if isinstance(error, TimeoutError):
        return f"did not answer within {START_S:g} seconds"
    if isinstance(error, ThinkgraphError):
        return f"can't be used: {error}"
    said = " ".join(str(error).split()) or type(error).__name__
    return f"can't be started or reached: {said}"
