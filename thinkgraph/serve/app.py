"""The ASGI application: the routes of a service, its middleware and error handlers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response

from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.serve.access.guard import Access, refusal
from thinkgraph.serve.errors import RequestError, as_request_error
from thinkgraph.serve.mcp.server import streamable_http
from thinkgraph.serve.openai.routes import router
from thinkgraph.serve.page.routes import OPEN, Page
from thinkgraph.serve.service import Service

HANDLED = (
    ThinkgraphError,
    RequestValidationError,
    HTTPException,
    ClientDisconnect,
    Exception,  # its traceback is logged too
)
LOCAL_HOSTS = ["127.0.0.1", "localhost", "[::1]"]
"""Allowed host names of a local server; any other may come from a DNS rebinding attack."""
CLIENT_CLOSED = 499
"""Status of a request whose client disconnected; it appears in the log only."""


def application(service: Service) -> FastAPI:
    """The ASGI application of a service.

    Raises:
        HistoryError: the file of the page's history can't be opened.
    """
    page = Page(service) if service.settings.page else None

    tools, sessions = streamable_http(service)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        try:
            async with sessions.run():
                yield
        finally:
            service.stop()
            if page:
                await page.close()

    app = FastAPI(
        title="thinkgraph",
        version=version("thinkgraph"),
        lifespan=lifespan,
        middleware=_middleware(service),
        docs_url=None,  # the documentation pages load scripts from another host
        redoc_url=None,
    )
    app.state.service = service
    for kind in HANDLED:
        app.add_exception_handler(kind, _failed)
    _health(app, service)
    app.include_router(router(service))
    app.router.routes.append(tools)
    if page:
        app.router.routes.extend(page.routes)
    return app


def _middleware(service: Service) -> list[Middleware]:
    """The middleware, the outermost first."""
    found = [Middleware(Access, service=service, open_paths=OPEN)]
    if origins := service.settings.origins:
        cors = Middleware(
            CORSMiddleware,
            allow_origins=origins,
            allow_methods=["GET", "POST", "DELETE"],  # DELETE ends a session of MCP
            allow_headers=["*"],  # clients send headers of their own; no cookie is allowed
            expose_headers=["Mcp-Session-Id", "Retry-After"],
        )
        found.insert(0, cors)
    if service.settings.is_local:
        found.insert(0, Middleware(TrustedHostMiddleware, allowed_hosts=LOCAL_HOSTS))
    return found


def _health(app: FastAPI, service: Service) -> None:
    @app.get("/health")
    async def health() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    @app.get("/ready")
    async def ready() -> Response:
        """Whether requests are taken: the default model is open and the server isn't stopping."""
        said = "ready" if service.is_ready else "not ready"
        return JSONResponse({"status": said}, status_code=200 if service.is_ready else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        """Metrics for Prometheus."""
        text = await asyncio.to_thread(service.metrics.text)
        return PlainTextResponse(text, media_type="text/plain; version=0.0.4")


async def _failed(request: Request, error: Any) -> Response:
    """The response to any error."""
    match error:
        case ClientDisconnect():
            return Response(status_code=CLIENT_CLOSED)
        case RequestValidationError():
            return refusal(_invalid(error))
        case HTTPException():
            told = refusal(RequestError(str(error.detail), status=error.status_code))
            told.headers.update(error.headers or {})
            return told
        case _:
            return refusal(as_request_error(error))


def _invalid(error: RequestValidationError) -> RequestError:
    """The first error of a request's body."""
    first = error.errors()[0]
    if first["type"] == "json_invalid":  # its place is a position in the text, and no field
        return RequestError(f"the body isn't JSON: {first['ctx']['error']}")
    place = ".".join(str(step) for step in first["loc"] if step != "body")
    said = first["msg"].removeprefix("Value error, ")
    return RequestError(f"{place or 'the body'}: {said}", param=place or None)
