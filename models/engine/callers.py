"""The event loops of callers, for which the engine waits briefly before a step.

The last bits of the logits depend on which requests share a batch. For a run that has the engine to
itself to give the same text each time, the engine must not race its callers: after a sample ended,
and after a request reached an idle engine, it waits until their event loops are idle, that is,
until all requests that follow have been submitted.

The wait delays all callers, so it is bounded. While there is work, all loops together delay a step
by :data:`LIMIT_S` at most. An idle engine waits longer for the loop whose request woke it
(:data:`IDLE_LIMIT_S`), but only while no other caller sends a request; if a loop doesn't become
idle, the next wait for it is half as long, down to :data:`LIMIT_S`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from weakref import WeakKeyDictionary

LIMIT_S = 0.002
"""Maximum seconds that one step waits for all loops together, while there is work."""
IDLE_LIMIT_S = 0.05
"""Maximum seconds that an idle engine waits for a loop that has always become idle so far."""
IDLE_TURNS = 100
"""Consecutive turns of a loop without any other ready callback after which it counts as idle."""
TURNS = 300
"""Turns after which a loop that hides its ready callbacks counts as idle; a node needs fewer."""
GLANCE_S = 0.0005
"""Seconds between checks that a loop still runs; one that has ended sends no requests."""


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
        """Clear the noted loops."""
        self._loops.clear()

    def wait(self) -> None:
        """Wait for :data:`LIMIT_S` at most, until the noted loops are idle or have ended."""
        self._wait(LIMIT_S)

    def wait_idle(
        self, prepared: Callable[[float], bool], others: Callable[[], bool] = lambda: False
    ) -> None:
        """Like :meth:`wait`, for an engine with nothing else to do: :data:`IDLE_LIMIT_S` at most.

        Args:
            prepared: waits up to the given seconds for requests in preparation; true if none is
                left.
            others: whether another caller is kept waiting, which ends the wait.
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
        """Wait for the noted loops, and return those that did not become idle."""
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
    """A callback that reschedules itself in an event loop until no other one is ready."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._ready = getattr(loop, "_ready", None)  # asyncio's own loops have it, uvloop hasn't
        self._idle = self._turns = 0
        self._done = threading.Event()
        self.abandoned = False
        try:
            loop.call_soon_threadsafe(self._turn)
        except RuntimeError:  # the loop has been closed
            self._done.set()

    def wait(self, seconds: float) -> bool:
        """Wait up to ``seconds``; True if the loop is idle or has ended."""
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
