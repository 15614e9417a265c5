"""The event loops that requests come from, and waiting until they have said all they will.

Which requests meet in a batch decides the last bits of the logits. So that a run alone gives the
same text each time, the engine doesn't race its callers: before the step after a request came or
a sample ended, it lets their event loops run until what follows from that has been asked for.
"""

from __future__ import annotations

import asyncio
import threading
import time

TURNS = 100
"""Of an event loop: more than it takes from a completion to the requests of the nodes after it."""
PATIENCE_S = 0.1
"""A loop that is busy for longer is not waited for."""
GLANCE_S = 0.001
"""How often it is looked whether a loop still runs: one that has ended says nothing more."""


class Callers:
    """The event loops that were told something new, or told it, since the last step."""

    def __init__(self) -> None:
        self._disturbed: set[asyncio.AbstractEventLoop] = set()

    def disturb(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Note that a loop may have more to say."""
        if loop is not None:
            self._disturbed.add(loop)

    def settle(self) -> None:
        """Wait until every such loop has turned often enough."""
        while self._disturbed:
            loop, settled = self._disturbed.pop(), threading.Event()
            try:
                loop.call_soon_threadsafe(_turn, loop, TURNS, settled)
            except RuntimeError:  # it has been closed
                continue
            until = time.monotonic() + PATIENCE_S
            while not settled.wait(GLANCE_S) and loop.is_running() and time.monotonic() < until:
                pass


def _turn(loop: asyncio.AbstractEventLoop, left: int, settled: threading.Event) -> None:
    if left:
        loop.call_soon(_turn, loop, left - 1, settled)
    else:
        settled.set()


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop of the calling thread, if one runs there."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
