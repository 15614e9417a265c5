"""Access control of the page: a token, and checks of the Host and Origin headers.

The token is part of the address that the server prints, as with Jupyter; the browser then keeps it
in a SameSite cookie. The Host header reveals names that merely resolve to this machine (DNS
rebinding), and the Origin header requests from other sites; both are refused.
"""

from __future__ import annotations

import hmac
import html
from collections.abc import Collection
from urllib.parse import parse_qs, urlsplit

from starlette.requests import HTTPConnection, Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; connect-src 'self'; frame-src 'self'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'"
)
"""Allows scripts from the page's own files only, and inline styles, which drawings contain."""
SAFE = {
    "Content-Security-Policy": POLICY,
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
WEEK_S = 7 * 24 * 3600
ENTER = "/page/enter"
LONGEST_FORM = 10_000


class Door:
    """ASGI middleware that requires the page's token.

    Args:
        app: the page.
        token: the secret in the address; empty admits everybody who can reach the server.
        hosts: allowed host names; None allows any, for a server that isn't local and relies on its
            token.
    """

    def __init__(self, app: ASGIApp, token: str, hosts: Collection[str] | None = LOOPBACK) -> None:
        self._app, self._token, self._hosts = app, token, hosts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on to the page."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        answer = self._refusal(request) or await self._entry(request)
        await (answer or self._app)(scope, receive, _with_safe_headers(send))

    def _refusal(self, request: Request) -> Response | None:
        host = _host(request)
        if self._hosts is not None and host not in self._hosts:
            return _error(
                400, f"this server is not known as {host!r}; open it by the address that it printed"
            )
        origin = request.headers.get("origin")
        if request.method not in ("GET", "HEAD") and origin not in (None, _origin(request)):
            return _error(403, "a request of another site's page is refused")
        return None

    async def _entry(self, request: Request) -> Response | None:
        """The answer to a request without the token, or that brings it; None if it may pass."""
        if not self._token:
            return None
        brought = request.query_params.get("token") if request.url.path == "/" else None
        if request.url.path == ENTER:
            brought = await _form_token(request)
        if brought is not None:
            return self._enter(request, brought)
        if self._is_right(request.cookies.get(self._cookie(request), "")) or self._is_right(
            request.headers.get("authorization", "").removeprefix("Bearer ")
        ):
            return None
        return self._ask(request)

    def _enter(self, request: Request, token: str) -> Response:
        if not self._is_right(token):
            return self._ask(request, "That is not this server's token.")
        answer = RedirectResponse("/", status_code=303)
        answer.set_cookie(
            self._cookie(request),
            token,
            max_age=WEEK_S,
            httponly=True,
            samesite="strict",
            secure=request.url.scheme == "https",
        )
        return answer

    def _ask(self, request: Request, said: str = "") -> Response:
        if request.url.path not in ("/", ENTER):
            return _error(401, "the page's token is missing; open the address that serve printed")
        return HTMLResponse(_DOOR.replace("SAID", html.escape(said)), 401)

    def _is_right(self, token: str) -> bool:
        return hmac.compare_digest(token.encode(), self._token.encode())

    def _cookie(self, request: Request) -> str:
        """The name of the cookie, specific to the port, as all ports of a host share cookies."""
        return f"thinkgraph-{request.url.port or request.url.scheme}"


async def _form_token(request: Request) -> str:
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > LONGEST_FORM:
            return ""
    return parse_qs(body.decode("utf-8", "replace")).get("token", [""])[0]


def _host(request: HTTPConnection) -> str:
    try:
        return (urlsplit(f"//{request.headers.get('host', '')}").hostname or "").lower()
    except ValueError:
        return ""


def _origin(request: Request) -> str:
    return f"{request.url.scheme}://{request.headers.get('host', '')}"


def _error(status: int, message: str) -> Response:
    return JSONResponse({"error": message}, status)


def _with_safe_headers(send: Send) -> Send:
    async def sending(message: Message) -> None:
        if message["type"] == "http.response.start":
            has = {name.lower() for name, _ in message["headers"]}
            more = [
                (name.lower().encode(), value.encode())
                for name, value in SAFE.items()
                if name.lower().encode() not in has
            ]
            message = {**message, "headers": [*message["headers"], *more]}
        await send(message)

    return sending


_DOOR = """<!doctype html>
<html lang="en"><meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>thinkgraph</title>
<style>
body {
  max-width: 30rem; margin: 15vh auto 0; padding: 0 1rem; font: 16px/1.5 system-ui, sans-serif;
}
form { display: flex; gap: .5rem; }
input { flex: 1; }
input, button { padding: .5rem; font: inherit; }
</style>
<h1>thinkgraph</h1>
<p>Open the address that <code>thinkgraph serve</code> printed: it has the token. Or enter the token
here.</p>
<form method="post" action="/page/enter">
<input name="token" type="password" aria-label="Token" autocomplete="off" required autofocus>
<button>Open</button>
</form>
<p role="alert">SAID</p>
</html>
"""
