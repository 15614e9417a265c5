"""The event loops of callers: the engine gives them a moment before a step.

Which requests meet in a batch decides the last bits of the logits. So that a run alone gives the
same text each time, the engine doesn't race its callers: after a sample ended, and after a request
reached an idle engine, it waits until their event loops are idle, that is, until everything that
follows has been requested.

The wait delays all callers, so it is bounded. While there is work, all loops together delay a step
by :data:`LIMIT_S` at most. An idle engine waits longer for the loop whose request woke it
(:data:`IDLE_LIMIT_S`), but only as long as nobody else asks; a loop that doesn't become idle is
waited for half as long the next time, down to :data:`LIMIT_S`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from weakref import WeakKeyDictionary

LIMIT_S = 0.002
"""Seconds that one step waits for all loops together, while there is work."""
IDLE_LIMIT_S = 0.05
"""Seconds that an idle engine waits for a loop that has always become idle so far."""
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
        self._limits: WeakKeyDictionary[asyncio.AbstractEventLoop, float] = WeakKeyDictionary()
        self.waited_s = 0.0

    def expect(self, loop: asyncio.AbstractEventLoop | None) -> None:
        """Note that a loop may be about to send requests."""
        if loop is not None:
            self._loops.add(loop)

    def forget(self) -> None:
        """Expect nothing more of the noted loops."""
        self._loops.clear()

    def wait(self) -> None:
        """Wait for :data:`LIMIT_S` at most, until the noted loops are idle or have ended."""
        self._wait(LIMIT_S)

    def wait_idle(
        self, prepared: Callable[[float], bool], others: Callable[[], bool] = lambda: False
    ) -> None:
        """The same for an engine with nothing else to do: :data:`IDLE_LIMIT_S` at most.

        Args:
            prepared: whether nothing that was requested is still being prepared, within seconds.
            others: whether somebody else is kept waiting, which ends it.
        """
        if not self._loops:
            return
        limit = min(self._limits.get(loop, IDLE_LIMIT_S) for loop in self._loops)
        busy = self._wait(limit, prepared, others)
        if not others():
            self._limits.update(dict.fromkeys(busy, max(LIMIT_S, limit / 2)))

    def _wait(
        self,
        limit: float,
        prepared: Callable[[float], bool] = lambda _: True,
        others: Callable[[], bool] = lambda: False,
    ) -> list[asyncio.AbstractEventLoop]:
        """Wait for the noted loops; those that did not become idle."""
        if not self._loops:
            return []
        began = time.perf_counter()
        probes = {loop: _IdleProbe(loop) for loop in self._loops}
        self._loops.clear()
        busy = []

        def ends(wait: Callable[[float], bool]) -> bool:
            while not others() and (left := began + limit - time.perf_counter()) > 0:
                if wait(min(GLANCE_S, left)):
                    return True
            return False

        for loop, probe in probes.items():
            if ends(probe.wait):
                self._limits.pop(loop, None)
            else:
                busy.append(loop)
            probe.abandoned = True
        ends(prepared)
        self.waited_s += time.perf_counter() - began
        return busy


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
