"""Servers that really listen, on a tiny random model or on a scripted one."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.model import Message, Model
from thinkgraph.serve.access.keys import Keys
from thinkgraph.serve.offer.models import Models
from thinkgraph.serve.offer.strategies import Strategies
from thinkgraph.serve.server import Server
from thinkgraph.serve.service import Service
from thinkgraph.serve.settings import ServeSettings

STRATEGIES = Strategies.load()


def answer(messages: Sequence[Message], seed: int) -> str:
    """Three of four say 12."""
    text = messages[-1].content if messages else ""
    if "critic" in text.lower() or "correct" in text.lower():
        return "It is right. Verdict: correct"
    return f"Three times four, added up. The answer is {13 if seed % 4 == 0 else 12}."


class Running:
    """A server in a thread of its own."""

    def __init__(self, service: Service) -> None:
        self.service, self.server = service, Server(service)
        self.url, self._started = "", threading.Event()
        self.thread = threading.Thread(target=lambda: asyncio.run(self._serve()), daemon=True)
        self.thread.start()
        assert self._started.wait(20), "it didn't start"

    async def _serve(self) -> None:
        await self.server.run_until_stopped(self._note)

    def _note(self, address: str) -> None:
        self.url = address
        self._started.set()

    def stop(self) -> None:
        self.server.should_exit = True
        self.thread.join(20)


Serve = Callable[..., Running]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts servers with settings of one's own."""
    started: list[Running] = []

    def start(
        models: dict[str, Any] | Model | None = None,
        *,
        keys: Keys | None = None,
        offered: Strategies = STRATEGIES,
        more: dict[str, Any] | None = None,
        **settings: Any,
    ) -> Running:
        found = (
            models if isinstance(models, dict) else {"scripted": models or ScriptedModel(answer)}
        )
        service = Service(
            Models(found, **(more or {})), offered, keys, ServeSettings(port=0, **settings)
        )
        started.append(Running(service))
        return started[-1]

    yield start
    for running in started:
        running.stop()


@pytest.fixture(scope="module")
def served(tiny: Callable[..., Any]) -> Iterator[Running]:
    """A server on the tiny random model and a scripted one."""
    scripted = ScriptedModel(answer, name="scripted")
    models = Models({"tiny": str(tiny()), "scripted": scripted})
    running = Running(Service(models, STRATEGIES, None, ServeSettings(port=0, max_tokens=64)))
    yield running
    running.stop()
