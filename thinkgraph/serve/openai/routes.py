"""The routes of OpenAI's API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from thinkgraph.serve.access.guard import client_of
from thinkgraph.serve.errors import RequestError
from thinkgraph.serve.openai import ask as asking
from thinkgraph.serve.openai.chat import ChatEncoder, names
from thinkgraph.serve.openai.responses import ResponseEncoder
from thinkgraph.serve.openai.schema import ChatRequest, ResponsesRequest
from thinkgraph.serve.openai.stream import stream, unless_gone
from thinkgraph.serve.replies.reply import Event, reply
from thinkgraph.serve.service import Service

METHODS = {"models": "GET", "chat/completions": "POST", "responses": "POST"}
"""The method of each route, for those who use the other one."""


def router(service: Service) -> APIRouter:
    """The routes ``/v1/models``, ``/v1/chat/completions`` and ``/v1/responses`` of a service."""
    routes = APIRouter(prefix="/v1")
    began = int(time.time())

    @routes.get("/models")
    async def list_models() -> dict[str, Any]:
        """The strategies, and the bare models."""
        return _models(service, began)

    @routes.get("/models/{name:path}")
    async def retrieve_model(name: str) -> dict[str, Any]:
        """One strategy or bare model, by any name that a request may use."""
        service.strategies.find(name, service.models)
        owner = {} if name in service.models.names else {name: "thinkgraph"}
        found: dict[str, Any] = names([name], owner, began)["data"][0]
        return found

    @routes.post("/chat/completions", response_model=None)
    async def chat_completions(body: ChatRequest, request: Request) -> Response:
        """A chat completion of a model or a strategy."""
        ask = await asyncio.to_thread(asking.from_chat_request, service, body)
        wants = bool(body.stream_options and body.stream_options.include_usage)
        encoder = ChatEncoder(body.model, usage=wants, top=body.top_logprobs or 0)
        events = reply(service, client_of(request), ask)
        if body.stream:
            return await stream(
                request, service, events, encoder.chunks, failed=encoder.failed, end="[DONE]"
            )
        return await _whole(request, events, encoder.completion)

    @routes.post("/responses", response_model=None)
    async def responses(body: ResponsesRequest, request: Request) -> Response:
        """A response of a model or a strategy."""
        ask = await asyncio.to_thread(asking.from_responses_request, service, body)
        encoder = ResponseEncoder(body)
        events = reply(service, client_of(request), ask)
        if body.stream:
            return await stream(request, service, events, encoder.events, failed=encoder.failed)
        return await _whole(request, events, encoder.response)

    @routes.get("/{rest:path}", include_in_schema=False)
    @routes.post("/{rest:path}", include_in_schema=False)
    async def others(rest: str) -> None:
        """Refuse routes of OpenAI's API that this server doesn't have, and wrong methods."""
        if method := METHODS.get(rest):
            raise HTTPException(405, f"use {method} for /v1/{rest}", {"Allow": method})
        raise RequestError(f"there is no /v1/{rest} here", status=404, code="unknown_url")

    return routes


def _models(service: Service, created: int) -> dict[str, Any]:
    strategies = service.strategies.names
    return names(
        [*strategies, *service.models.names], dict.fromkeys(strategies, "thinkgraph"), created
    )


async def _whole(
    request: Request,
    events: AsyncGenerator[Event, None],
    encode: Callable[[AsyncIterator[Event]], Awaitable[dict[str, Any]]],
) -> Response:
    """Answer with the whole reply; it stops if the client disconnects."""

    async def work() -> dict[str, Any]:
        async with aclosing(events):
            return await encode(events)

    return JSONResponse(await unless_gone(request, work()))
