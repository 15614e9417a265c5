"""The process of a server: uvicorn, and how it stops."""

from __future__ import annotations

import math
from types import FrameType

import uvicorn

from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.serve.app import application
from thinkgraph.serve.service import Service


class Server(uvicorn.Server):
    """A server that lets its requests give their best answer so far when it is told to stop."""

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
        """Stop what runs; a second signal doesn't wait for it."""
        self._service.stop()
        super().handle_exit(sig, frame)

    @property
    def url(self) -> str:
        """The address that it listens at, once it does."""
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def check_access(service: Service) -> None:
    """Refuse to listen at an address that others reach, without a key.

    Raises:
        ThinkgraphError: there is no key.
    """
    if not service.settings.is_local and not service.keys:
        raise ThinkgraphError(
            f"{service.settings.host} is reached by others, so the server needs an API key: "
            "--keys FILE, or the variable THINKGRAPH_API_KEY"
        )
