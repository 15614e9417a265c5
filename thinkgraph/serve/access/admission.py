"""Admission: limits on the numbers of running and waiting requests."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from thinkgraph.serve.errors import RequestError

FIRST_GUESS_S = 5.0
"""Initial estimate of a request's duration, before any has ended."""
LONGEST_RETRY_S = 120.0


class Admission:
    """Admits requests in the order of their arrival; belongs to one event loop.

    Args:
        running: maximum number of concurrent requests.
        waiting: maximum number of waiting requests; further ones are refused.
    """

    def __init__(self, running: int, waiting: int) -> None:
        self.limit, self.most_waiting = running, waiting
        self.running = self.waiting = 0
        self._free = asyncio.Semaphore(running)
        self._took_s = FIRST_GUESS_S

    @asynccontextmanager
    async def admit(self, seconds: float | None = None) -> AsyncIterator[None]:
        """Wait until a request may run; it occupies a slot until the block ends.

        Args:
            seconds: maximum wait; None for no limit.

        Raises:
            RequestError: status 429: the queue is full, or the wait was too long.
        """
        if self._free.locked() and self.waiting >= self.most_waiting:
            raise self._busy("the server is busy")
        self.waiting += 1
        try:
            async with asyncio.timeout(seconds):
                await self._free.acquire()
        except TimeoutError:
            raise self._busy(f"the request waited {seconds:g} seconds for its turn") from None
        finally:
            self.waiting -= 1
        self.running += 1
        began = time.monotonic()
        try:
            yield
        finally:
            self.running -= 1
            self._took_s += (time.monotonic() - began - self._took_s) / 8
            self._free.release()

    def _busy(self, what: str) -> RequestError:
        return RequestError(
            f"{what}: {self.running} requests run and {self.waiting} wait",
            status=429,
            code="server_busy",
            retry_s=self.retry_s,
        )

    @property
    def retry_s(self) -> float:
        """Estimated seconds until a slot is free, from a moving average of request durations."""
        return min(max(self._took_s * (self.waiting + 1) / self.limit, 1.0), LONGEST_RETRY_S)
