"""Access: who a request is from, how large it may be, and which host it names.

Plain ASGI middleware: what wraps a request's channel otherwise hides that a client went away.
"""

from __future__ import annotations

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from thinkgraph.serve.access.keys import Client
from thinkgraph.serve.errors import RequestError, body, headers
from thinkgraph.serve.service import Service

OPEN = frozenset({"/health", "/ready", "/"})
"""Paths that need no key; the page at ``/`` has a token of its own."""
CLIENT = "thinkgraph.client"


def client_of(request: HTTPConnection) -> Client:
    """Who a request is from."""
    found: Client = request.scope[CLIENT]
    return found


class Access:
    """Checks the key, the size and the host of each request before anything else does.

    Args:
        app: what answers those that may ask.
        service: its keys and settings hold.
        open_paths: beginnings of further paths that need no key.
    """

    def __init__(self, app: ASGIApp, service: Service, open_paths: tuple[str, ...] = ()) -> None:
        self._app, self._service, self._open_paths = app, service, open_paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            self._check(scope)
        except RequestError as error:
            await refusal(error)(scope, receive, send)
            return
        limit, size, answered = self._service.settings.body, 0, False

        async def limited() -> Message:
            nonlocal size
            message = await receive()
            size += len(message.get("body", b""))
            if size > limit:
                raise _too_large(limit)
            return message

        async def noted(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            await self._app(scope, limited, noted)
        except RequestError as error:
            if answered:
                raise
            await refusal(error)(scope, receive, send)

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


def refusal(error: RequestError) -> JSONResponse:
    """The response of an error."""
    return JSONResponse(body(error), status_code=error.status, headers=headers(error))


def _too_large(limit: int) -> RequestError:
    return RequestError(f"the body is larger than {limit} bytes", status=413)
