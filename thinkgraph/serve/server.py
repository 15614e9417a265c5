"""The server process: uvicorn with graceful shutdown."""

from __future__ import annotations

import asyncio
import math
import socket
from collections.abc import Callable
from types import FrameType
from typing import Any

import uvicorn

from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.serve.access.keys import SHORTEST
from thinkgraph.serve.app import application
from thinkgraph.serve.service import Service


class Server(uvicorn.Server):
    """A server whose running requests return their best answer so far when it is stopped."""

    def __init__(self, service: Service) -> None:
        settings = service.settings
        super().__init__(
            uvicorn.Config(
                application(service),
                host=settings.host,
                port=settings.port,
                log_level="warning",
                server_header=False,
                timeout_graceful_shutdown=math.ceil(settings.grace_s) + 1,
                h11_max_incomplete_event_size=2**16,
            )
        )
        self._service = service

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Stop the running requests; a second signal exits without waiting for them."""
        self._service.stop()
        super().handle_exit(sig, frame)

    async def run_until_stopped(self, started: Callable[[str], None]) -> None:
        """Serve until a signal arrives.

        Args:
            started: called with the address, once the server listens and its default model is
                open.

        Raises:
            ThinkgraphError: the model can't be opened, or the address isn't free.
        """
        settings = self._service.settings
        family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
        try:
            listening = socket.create_server((settings.host, settings.port), family=family)
        except OSError as error:
            reason = (error.strerror or str(error)).partition(" (while")[0]
            where = f"{settings.host}, port {settings.port}"
            raise ThinkgraphError(
                f"can't listen at {where}: {reason}; --port 0 takes a free port"
            ) from None
        opening = asyncio.create_task(self._service.open())
        serving = asyncio.create_task(self.serve([listening]))
        await asyncio.wait({serving, opening}, return_when=asyncio.FIRST_COMPLETED)
        if opening.done() and opening.exception() is None and not serving.done():
            started(_address(listening))
        if not serving.done() and opening.exception() is not None:
            self.should_exit = True
        await serving
        opening.cancel()
        await asyncio.wait({opening})
        if not opening.cancelled() and (failure := opening.exception()):
            raise failure.__cause__ or failure

    @property
    def url(self) -> str:
        """The address at which the server listens, once it is started."""
        return _address(self.servers[0].sockets[0])


def _address(listening: Any) -> str:
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def check_access(service: Service) -> None:
    """Refuse to listen at a non-local address without an API key, or with an unprotected page.

    Raises:
        ThinkgraphError: there is no key, or the page's token is too short.
    """
    settings = service.settings
    if settings.is_local:
        return
    if not service.keys:
        raise ThinkgraphError(
            f"{settings.host} is reached by others, so the server needs an API key: "
            "--keys FILE, or the variable THINKGRAPH_API_KEY"
        )
    if settings.page and len(settings.token) < SHORTEST:
        raise ThinkgraphError(
            f"{settings.host} is reached by others, so the page needs a token of {SHORTEST} "
            "characters: --token TOKEN, or --no-page"
        )
