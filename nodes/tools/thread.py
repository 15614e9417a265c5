"""Calls of the host's functions in threads, with a limit on abandoned calls that still run."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
import threading
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from thinkgraph.models.errors import ThinkgraphError

MOST_LEFT = 32
"""Maximum abandoned threads of one function; it isn't called again until one of them ends."""

_lock = threading.Lock()
_left: Counter[object] = Counter()
"""The number of abandoned threads that have not ended, by the code of the function."""


class TooManyLeft(ThinkgraphError):
    """A function isn't called, since too many abandoned calls of it are still running."""


async def in_thread(function: object, work: Callable[[], Any]) -> Any:
    """Run work in a thread of its own, which is abandoned if the caller is cancelled.

    A thread pool is not used, because the interpreter waits for its threads on exit, and a function
    may hang.

    Args:
        function: the function that is called; abandoned threads are counted by its code.
        work: the call.

    Raises:
        TooManyLeft: :data:`MOST_LEFT` abandoned calls of the function are still running.
    """
    code = _code(function)
    with _lock:
        if (left := _left[code]) >= MOST_LEFT:
            raise TooManyLeft(
                f"not called: {left} earlier calls were abandoned and are still running; give the "
                "function a time-out of its own, or make it async"
            )
    loop, done = asyncio.get_running_loop(), asyncio.get_running_loop().create_future()
    context = contextvars.copy_context()
    has_ended = is_left = False

    def tell(setter: Callable[[Any], None], value: Any) -> None:
        if not done.done():
            setter(value)

    def run() -> None:
        nonlocal has_ended
        try:
            outcome = (done.set_result, context.run(work))
        except BaseException as error:  # also SystemExit, which would be lost with the thread
            outcome = (done.set_exception, _settable(error))
        with _lock:
            has_ended = True
            if is_left:
                _left[code] -= 1
                if not _left[code]:
                    del _left[code]
        with suppress(RuntimeError):  # the loop has been closed: nobody waits for the result
            loop.call_soon_threadsafe(tell, *outcome)

    threading.Thread(target=run, name="thinkgraph-tool", daemon=True).start()
    try:
        return await done
    except asyncio.CancelledError:
        with _lock:
            if not has_ended:
                is_left = True
                _left[code] += 1
        raise


def _settable(error: BaseException) -> Exception:
    """The error itself, or what stands for it if a future refuses it, as StopIteration."""
    if isinstance(error, Exception) and not isinstance(error, StopIteration):
        return error
    return RuntimeError(repr(error))


def _code(function: object) -> object:
    """A key that stays the same if a function is created again, as for each trajectory."""
    plain = inspect.unwrap(function) if callable(function) else function
    return getattr(plain, "__code__", None) or type(plain)
