"""The MCP server: over stdio, and as streamable HTTP within the application."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from importlib.metadata import version
from typing import Any

import mcp_types as types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel.server import Server
from mcp.server.stdio import stdio_server
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp, StreamableHTTPSessionManager
from mcp.server.transport_security import TransportSecuritySettings
from pydantic import BaseModel
from starlette.routing import Route

from thinkgraph.graphs.graph import Graph
from thinkgraph.models.errors import ThinkgraphError, did_you_mean
from thinkgraph.models.model import Message
from thinkgraph.serve.access.guard import CLIENT
from thinkgraph.serve.access.keys import Client
from thinkgraph.serve.mcp.person import asker
from thinkgraph.serve.mcp.tools import SECONDS, Voted, acts, description, input_model, own, parsed
from thinkgraph.serve.offer.strategies import Chosen
from thinkgraph.serve.replies.reply import Account, Ask, Event, Piece, reply
from thinkgraph.serve.service import Service

PROGRESS_S = 5.0
"""Seconds between two progress reports; clients abort calls that report nothing for too long."""
LONGEST_MESSAGE = 200
OPEN_S = 10.0
"""Seconds to wait for the default model to open before serving over stdio."""
NAMES = ("127.0.0.1", "localhost", "[::1]")
HOSTS = [*NAMES, *(f"{name}:*" for name in NAMES)]
INSTRUCTIONS = (
    "Each tool answers one question with a local language model that thinks longer: it samples "
    "several answers and votes, criticises, revises or searches. Use one where a question has an "
    "answer that can be checked or compared, such as a calculation or a choice. Give all that is "
    "needed in `question`. The result tells the votes: a close vote is an uncertain answer."
)

Context = ServerRequestContext[Any, Any]


def server(service: Service) -> Server[Any]:
    """An MCP server whose tools are the strategies of a service."""
    strategies, models = service.strategies, service.models
    tools = {n: strategies.for_model(n, models.default, models) for n in strategies.tools}
    arguments = {name: input_model(graph) for name, graph in tools.items()}
    listed = [_tool(graph, arguments[name]) for name, graph in tools.items()]
    schemas = {tool.name: tool.input_schema for tool in listed}

    async def list_tools(
        context: Context, params: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        return types.ListToolsResult(tools=listed)

    async def call_tool(
        context: Context, params: types.CallToolRequestParams
    ) -> types.CallToolResult:
        try:
            if params.name not in tools:
                hint = (near := did_you_mean(params.name, tools)) and f"{near}; "
                raise ThinkgraphError(
                    f"there is no tool {params.name!r}; {hint}the tools are {', '.join(tools)}"
                )
            values = parsed(params.name, arguments[params.name], params.arguments)
            done = await _answer(service, tools[params.name], values, context)
        except ThinkgraphError as error:
            return types.CallToolResult(content=[_text(str(error))], is_error=True)
        return types.CallToolResult(
            content=[_text(done.answer)], structured_content=done.model_dump(mode="json")
        )

    return Server(
        "thinkgraph",
        version=version("thinkgraph"),
        instructions=INSTRUCTIONS,
        get_tool_input_schema=schemas.get,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


async def serve_stdio(service: Service) -> None:
    """Serve one client over standard input and output until it closes them.

    Raises:
        ThinkgraphError: the default model can't be opened.
    """
    found = server(service)
    opening = asyncio.create_task(service.open())
    # Errors of a model mostly show early; a large model goes on opening while the client starts.
    await asyncio.wait({opening}, timeout=OPEN_S)
    try:
        if not opening.done() or opening.exception() is None:
            async with stdio_server() as (incoming, outgoing):
                await found.run(incoming, outgoing, found.create_initialization_options())
    finally:
        service.stop()
        opening.cancel()
        await asyncio.wait({opening})
    if not opening.cancelled() and (failure := opening.exception()):
        raise failure.__cause__ or failure


def streamable_http(service: Service) -> tuple[Route, StreamableHTTPSessionManager]:
    """The route ``/mcp``, and the manager whose ``run()`` must be entered to serve it."""
    opened = service.settings.origins
    security = TransportSecuritySettings(
        # The application checks the host too, and this check has no word for any origin.
        enable_dns_rebinding_protection=service.settings.is_local and "*" not in opened,
        allowed_hosts=HOSTS,
        allowed_origins=[*(f"http://{host}" for host in HOSTS), *opened],
    )
    manager = StreamableHTTPSessionManager(
        server(service), security_settings=security, max_request_body_size=service.settings.body
    )
    return Route("/mcp", StreamableHTTPASGIApp(manager), include_in_schema=False), manager


def _tool(graph: Graph, arguments: type[BaseModel]) -> types.Tool:
    does = acts(graph)
    return types.Tool(
        name=graph.name,
        description=description(graph),
        input_schema=arguments.model_json_schema(),
        output_schema=Voted.model_json_schema(),
        annotations=types.ToolAnnotations(read_only_hint=not does, open_world_hint=does),
    )


async def _answer(
    service: Service, graph: Graph, values: dict[str, Any], context: Context
) -> Voted:
    """Run a strategy and report its progress; cancelling the call stops its samples."""
    limits = {name: values.pop(name) for name in own(graph)}
    question = values.pop("question")
    ask = Ask(
        api="mcp",
        chosen=Chosen(graph.name, service.models.default, graph),
        messages=[Message(role="user", content=question)],
        seed=secrets.randbits(31),
        params={name: value for name, value in values.items() if value is not None},
        tokens=limits.get("budget"),
        seconds=limits.get("seconds", SECONDS),
        person=asker(context),
    )
    await context.session.report_progress(0, message=f"{graph.name} starts")
    began = time.perf_counter()
    async with aclosing(reply(service, _client(context), ask)) as events:
        text, account = await _followed(events, context)
    facts = account.facts
    return Voted(
        answer=text,
        **{name: facts[name] for name in Voted.model_fields if name in facts},
        prompt_tokens=account.usage.prompt_tokens,
        completion_tokens=account.usage.completion_tokens,
        cancelled_tokens=account.usage.cancelled_tokens,
        seconds=round(time.perf_counter() - began, 3),
    )


async def _followed(events: AsyncGenerator[Event, None], context: Context) -> tuple[str, Account]:
    """Collect the answer and its account, and report progress every few seconds."""
    text, thoughts, account = "", "", None
    pieces = 0

    async def report() -> None:
        nonlocal pieces
        while True:
            await asyncio.sleep(PROGRESS_S)
            pieces += 1  # progress must increase, even if the model has produced nothing
            last = " ".join(thoughts[-LONGEST_MESSAGE:].split()) or "waiting for the model"
            await context.session.report_progress(pieces, message=last)

    task = asyncio.create_task(report())
    try:
        async for event in events:
            if isinstance(event, Piece):
                pieces += 1
                text += event.content
                thoughts = (thoughts + event.reasoning)[-2 * LONGEST_MESSAGE :]
            elif isinstance(event, Account):
                account = event
    finally:
        task.cancel()
        await asyncio.wait({task})
    if account is None:
        raise ThinkgraphError("the run ended without an answer")
    return text, account


def _client(context: Context) -> Client:
    """The client of a call's HTTP request; over stdio, an anonymous client."""
    scope: Mapping[str, Any] = getattr(context.request, "scope", {})
    found: Client = scope.get(CLIENT) or Client()
    return found


def _text(text: str) -> types.TextContent:
    return types.TextContent(type="text", text=text)
