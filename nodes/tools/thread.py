"""A thread for a call of a host's function, and a limit to those that hang and are left."""

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
"""Threads of one function that are left behind; it isn't called again until one of them ends."""

_lock = threading.Lock()
_left: Counter[object] = Counter()
"""By function, the threads that nobody waits for any more and that have not ended."""


class TooManyLeft(ThinkgraphError):
    """A function isn't called, since too many earlier calls of it still run."""


async def in_thread(function: object, work: Callable[[], Any]) -> Any:
    """Run work in a thread of its own, which is left to itself if nobody waits any more.

    A thread of a pool would be waited for when the interpreter exits, and a function may hang.

    Args:
        function: whose call it is: what is left behind is counted by its code.
        work: the call.

    Raises:
        TooManyLeft: :data:`MOST_LEFT` earlier calls of the function were left and still run.
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
            failure = error if isinstance(error, Exception) else RuntimeError(repr(error))
            outcome = (done.set_exception, failure)
        with _lock:
            has_ended = True
            if is_left:
                _left[code] -= 1
                if not _left[code]:
                    del _left[code]
        with suppress(RuntimeError):  # the loop has been closed: nobody waits any more
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


def _code(function: object) -> object:
    """What is the same for a function that is made again, as for each trajectory."""
    plain = inspect.unwrap(function) if callable(function) else function
    return getattr(plain, "__code__", None) or type(plain)
