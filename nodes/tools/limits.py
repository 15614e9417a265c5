"""How a call of a function of the host ended: by itself, by its limit or with the run."""

from __future__ import annotations

import asyncio


def is_over(limit: asyncio.Timeout) -> bool:
    """Whether a limit has passed; if a call blocked the event loop, ``expired`` says no."""
    when = limit.when()
    return limit.expired() or (when is not None and asyncio.get_running_loop().time() >= when)


def is_cancellation(error: BaseException) -> bool:
    """Whether the current task is cancelled; a function may also raise ``CancelledError`` itself.

    Args:
        error: what was raised outside ``asyncio.timeout``, which turns its own into a time-out.
    """
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and bool(task and task.cancelling())
