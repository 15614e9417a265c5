"""Access control: checks the API key and the body size of each request.

Plain ASGI middleware: Starlette's BaseHTTPMiddleware would hide a disconnect from the endpoint.
"""

from __future__ import annotations

import asyncio

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thinkgraph.serve.access.keys import Client
from thinkgraph.serve.errors import RequestError, body, headers
from thinkgraph.serve.service import Service

OPEN = frozenset({"/health", "/ready", "/"})
"""Paths that need no API key; the page at ``/`` has its own token."""
CLIENT = "thinkgraph.client"
BODY_S = 60.0
"""Maximum wait in seconds for the next part of a body."""


def client_of(request: HTTPConnection) -> Client:
    """The client that sent a request."""
    found: Client = request.scope[CLIENT]
    return found


class Access:
    """Checks the API key and the body size of each request before any other processing.

    Args:
        app: handles the accepted requests.
        service: provides the keys and settings.
        open_paths: prefixes of further paths that need no key.
    """

    def __init__(self, app: ASGIApp, service: Service, open_paths: tuple[str, ...] = ()) -> None:
        self._app, self._service, self._open_paths = app, service, open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except RequestError as error:
            await refusal(error)(scope, receive, send)
            return
        body = _Body(receive, self._service.settings.body)

        async def unless_refused(message: Message) -> None:
            if body.fault is None:  # otherwise the app has turned the fault into another error
                await send(message)

        try:
            await self._app(scope, body.receive, unless_refused)
        except RequestError as error:
            if error is not body.fault:
                raise
        if body.fault is not None:
            await refusal(body.fault)(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        given = Headers(scope=scope)
        length = given.get("content-length", "0")
        if length.isdigit() and int(length) > self._service.settings.body:
            raise _too_large(self._service.settings.body)
        path = scope["path"]
        if path in OPEN or any(path.startswith(start) for start in self._open_paths):
            scope[CLIENT] = Client()
            return
        scope[CLIENT] = self._service.keys.client(given.get("authorization"))


class _Body:
    """Receives the body of a request within limits of size and time.

    Attributes:
        fault: why the body is refused; None unless it is.
    """

    def __init__(self, receive: Receive, limit: int) -> None:
        self._receive, self._limit = receive, limit
        self._size, self._whole = 0, False
        self.fault: RequestError | None = None

    async def receive(self) -> Message:
        """The next part of the body; after the last one, the disconnect message."""
        if self._whole:
            return await self._receive()
        try:
            message = await asyncio.wait_for(self._receive(), BODY_S)
        except TimeoutError:
            self.fault = RequestError(f"no more of the body came in {BODY_S} s", status=408)
            raise self.fault from None
        self._size += len(message.get("body", b""))
        self._whole = not message.get("more_body", False)
        if self._size > self._limit:
            self.fault = _too_large(self._limit)
            raise self.fault
        return message


def refusal(error: RequestError) -> JSONResponse:
    """The response to an error."""
    return JSONResponse(body(error), status_code=error.status, headers=headers(error))


def _too_large(limit: int) -> RequestError:
    return RequestError(f"the body is larger than {limit} bytes", status=413)
