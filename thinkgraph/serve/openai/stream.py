"""Server-sent events, and handling of clients that disconnect early."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.serve.errors import RequestError, as_request_error
from thinkgraph.serve.replies.reply import Event
from thinkgraph.serve.service import Service

_logger = logging.getLogger(__name__)

T = TypeVar("T")
SEND_S = 60.0
"""Maximum seconds for which a client may leave an event unread; others wait for its slot."""
Encoded = AsyncIterator[tuple[str, dict[str, Any]]]
"""Server-sent events: the type (empty for none) and the data."""


async def unless_gone(request: Request, work: Awaitable[T]) -> T:
    """Await some work, which is cancelled if the client disconnects.

    Raises:
        ClientDisconnect: the client disconnected first.
    """
    task, gone = asyncio.ensure_future(work), asyncio.create_task(_gone(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnect
        return task.result()
    finally:
        for each in (task, gone):
            each.cancel()
        await asyncio.wait({task, gone})
        if not task.cancelled():
            task.exception()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class EventStream(EventSourceResponse):
    """Server-sent events whose source is always closed, even if it was never iterated."""

    def __init__(
        self,
        content: AsyncIterator[bytes],
        close: Callable[[], Awaitable[None]],
        **options: Any,
    ) -> None:
        super().__init__(content, **options)
        self._close = close

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send the events until they end or the client disconnects."""
        try:
            await super().__call__(scope, receive, send)
        finally:
            await self._close()


async def stream(
    request: Request,
    service: Service,
    events: AsyncGenerator[Event, None],
    encode: Callable[[AsyncIterator[Event]], Encoded],
    *,
    failed: Callable[[RequestError], tuple[str, dict[str, Any]]],
    end: str | None = None,
) -> Response:
    """A stream of server-sent events; errors before the first event become ordinary responses.

    Args:
        request: the request, whose client may disconnect.
        service: provides the settings.
        events: the events of the reply.
        encode: encodes the events for the API.
        failed: encodes an error after the first event.
        end: the data of a final event, if the API has one.
    """
    first = asyncio.ensure_future(anext(events))
    try:
        waited = asyncio.wait({first}, timeout=service.settings.ping_s)
        await unless_gone(request, waited)
        if first.done():
            first.result()
    except BaseException:
        first.cancel()
        await asyncio.wait({first})
        await events.aclose()
        raise

    async def whole() -> AsyncIterator[Event]:
        yield await first
        async for event in events:
            yield event

    async def close() -> None:
        first.cancel()
        await asyncio.wait({first})
        await events.aclose()

    async def body() -> AsyncIterator[bytes]:
        try:
            async for told in encode(whole()):
                yield _event(*told)
            if end is not None:
                yield f"data: {end}\n\n".encode()
        except Exception as error:
            if not isinstance(error, ThinkgraphError):
                _logger.exception("a stream failed")  # the client learns only the error's type
            yield _event(*failed(as_request_error(error)))

    return EventStream(
        body(),
        close,
        ping=service.settings.ping_s,
        ping_message_factory=lambda: ServerSentEvent(comment="still thinking", sep="\n"),
        sep="\n",
        send_timeout=SEND_S,
        shutdown_grace_period=service.settings.grace_s,
    )


def _event(kind: str, data: dict[str, Any]) -> bytes:
    """Encode one event; its data is a single line, since JSON escapes line breaks."""
    line = f"data: {json.dumps(data, ensure_ascii=False, separators=(',', ':'))}\n\n"
    return (f"event: {kind}\n{line}" if kind else line).encode("utf-8", "replace")
