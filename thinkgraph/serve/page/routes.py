"""The page's routes, which the application mounts behind those of the APIs."""

from __future__ import annotations

from starlette.routing import BaseRoute

from thinkgraph.serve.service import Service

OPEN: tuple[str, ...] = ()
"""Beginnings of paths that need no API key: the page looks after them itself."""


def routes(service: Service) -> list[BaseRoute]:
    """The routes of the page."""
    return []
