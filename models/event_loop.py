"""The event loop that runs every synchronous call of this process.

A client of an async API binds its connections to the event loop in which it was first used, and
fails in another ("Event loop is closed"). ``asyncio.run`` for each call, or for each node of a
graph, would create a new loop every time. Synchronous calls share one loop instead, which runs in a
background thread for as long as the process does.

A coroutine of that loop may itself make a synchronous call, which blocks the loop's own thread.
Such a call runs in a further loop: the first whose thread isn't blocked.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import queue
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from concurrent.futures import Future, wait
from contextlib import aclosing, contextmanager
from typing import Any, TypeVar

T = TypeVar("T")

CANCEL_S = 5.0
"""Seconds that an interrupted call waits for its coroutine to handle the cancellation."""


class EventLoop:
    """An event loop in a daemon thread.

    Attributes:
        waiting: number of unfinished synchronous calls that were made in the loop's own thread.
    """

    def __init__(self) -> None:
        self.waiting = 0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._run, name="thinkgraph-loop", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._loop.run_forever()
        finally:
            self._loop.close()

    @property
    def is_here(self) -> bool:
        """Whether the calling thread is the loop's own."""
        return threading.current_thread() is self._thread

    def start(self, work: Coroutine[Any, Any, T]) -> Call[T]:
        """Start a coroutine in the loop, with the context variables of the caller."""
        call: Call[T] = Call(self._loop)
        self._loop.call_soon_threadsafe(call.begin, work)
        return call

    def stop(self) -> None:
        """Stop the loop and its thread, at the end of the process."""
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(CANCEL_S)


class Call(Future[T]):
    """The future of a coroutine in an event loop, for the thread that waits for it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._loop = loop
        self._task: asyncio.Task[None] | None = None
        self._stopped = False

    def begin(self, work: Coroutine[Any, Any, T]) -> None:
        """Start the coroutine, in the loop's thread."""
        self._task = self._loop.create_task(self._follow(work))
        if self._stopped:
            self._task.cancel()

    async def _follow(self, work: Coroutine[Any, Any, T]) -> None:
        # A task that raises SystemExit or KeyboardInterrupt would stop the loop for all callers.
        try:
            self.set_result(await work)
        except BaseException as error:
            self.set_exception(error)

    def stop(self) -> None:
        """Cancel the coroutine and wait up to :data:`CANCEL_S` seconds until it has ended."""

        def cancel() -> None:
            self._stopped = True
            if self._task:
                self._task.cancel()

        if not self.done():
            self._loop.call_soon_threadsafe(cancel)
            wait([self], CANCEL_S)


_loops: list[EventLoop] = []
_choosing = threading.Lock()


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end and return its result, from any thread.

    The coroutine has the caller's context variables, and is cancelled if the caller is interrupted
    (``KeyboardInterrupt``). A caller that runs in an event loop blocks that loop until the end.
    """
    with _free_loop() as loop:
        call = loop.start(work)
        try:
            return call.result()
        finally:
            call.stop()


def iterate(source: Callable[[], AsyncGenerator[T, None]]) -> Iterator[T]:
    """Iterate over an async generator from any thread; leaving early closes it."""
    items: queue.SimpleQueue[T | None] = queue.SimpleQueue()

    async def pump() -> None:
        async with aclosing(source()) as found:
            async for item in found:
                items.put(item)

    with _free_loop() as loop:
        call = loop.start(pump())
        call.add_done_callback(lambda _: items.put(None))
        try:
            while (item := items.get()) is not None:
                yield item
            call.result()
        finally:
            call.stop()


def is_own_thread() -> bool:
    """Whether the calling thread is that of a loop that runs synchronous calls."""
    return any(loop.is_here for loop in _loops)


@contextmanager
def _free_loop() -> Iterator[EventLoop]:
    """A loop whose thread isn't blocked, for a synchronous call from this thread."""
    with _choosing:
        own = next((loop for loop in _loops if loop.is_here), None)
        if own:
            own.waiting += 1
        free = next((loop for loop in _loops if not loop.waiting), None)
        if free is None:
            free = EventLoop()
            _loops.append(free)
    try:
        yield free
    finally:
        if own:
            own.waiting -= 1


def _forget() -> None:
    """Discard the loops in a forked child: their threads exist only in the parent."""
    global _choosing  # noqa: PLW0603 - the thread that holds it doesn't exist here
    _loops.clear()
    _choosing = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget)


@atexit.register
def _stop_all() -> None:
    for loop in _loops:
        loop.stop()
