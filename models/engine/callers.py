"""The event loops of callers: the engine gives them a moment before a step.

Which requests meet in a batch decides the last bits of the logits. So that a run alone gives the
same text each time, the engine doesn't race its callers: after a sample ended, and after a request
reached an idle engine, it waits until their event loops are idle, that is, until everything that
follows has been requested. The wait is bounded: a busy loop delays a step by :data:`LIMIT_S` at
most, and by :data:`IDLE_LIMIT_S` where the engine has no other work.
"""

from __future__ import annotations

import asyncio
import threading
import time

LIMIT_S = 0.002
"""Seconds that one step waits for all loops together, while there is work."""
IDLE_LIMIT_S = 0.05
"""The same where the engine has nothing else to do, so that nobody is held up."""
IDLE_TURNS = 100
"""Turns of a loop in a row without any other callback, after which it counts as idle."""
TURNS = 300
"""Turns of a loop that doesn't show its ready callbacks: more than the next node needs."""
GLANCE_S = 0.0005
"""How often to look whether a loop still runs: one that has ended requests nothing more."""


class Callers:
    """The event loops that may be about to send requests.

    Attributes:
        waited_s: seconds waited for them so far.
    """

    def __init__(self) -> None:
        self._loops: set[asyncio.AbstractEventLoop] = set()
        self.waited_s = 0.0

    def expect(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Note that a loop may be about to send requests."""
        if loop is not None:
            self._loops.add(loop)

    def wait(self, *, idle: bool = False) -> None:
        """Wait until the noted loops are idle or have ended, for a bounded time.

        Args:
            idle: whether the engine has nothing else to do: then :data:`IDLE_LIMIT_S` at most,
                and else :data:`LIMIT_S`.
        """
        if not self._loops:
            return
        began, limit = time.perf_counter(), IDLE_LIMIT_S if idle else LIMIT_S
        probes = [_IdleProbe(loop) for loop in self._loops]
        self._loops.clear()
        for probe in probes:
            while not probe.wait(GLANCE_S) and time.perf_counter() - began < limit:
                pass
            probe.abandoned = True
        self.waited_s += time.perf_counter() - began


class _IdleProbe:
    """Turns with an event loop until no other callback is ready."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ready = getattr(loop, "_ready", None)  # asyncio's own loops have it, uvloop hasn't
        self._idle = self._turns = 0
        self._done = threading.Event()
        self.abandoned = False
        try:
            loop.call_soon_threadsafe(self._turn)
        except RuntimeError:  # it has been closed
            self._done.set()

    def wait(self, seconds: float) -> bool:
        """Whether the loop is idle or has ended, within ``seconds``."""
        return self._done.wait(seconds) or not self._loop.is_running()

    def _turn(self) -> None:
        self._turns += 1
        self._idle = self._idle + 1 if self._ready is not None and not self._ready else 0
        if self._idle >= IDLE_TURNS or self._turns >= TURNS:
            self._done.set()
        elif not self.abandoned:
            self._loop.call_soon(self._turn)


def running_loop() -> asyncio.AbstractEventLoop | None:
    """The event loop of the calling thread, if one runs there."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
