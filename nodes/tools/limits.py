"""How a call of one of the host's async functions ended: by itself, by its limit or by the run."""

from __future__ import annotations

import asyncio


def is_cancellation(error: BaseException) -> bool:
    """Whether the current task is cancelled; a function may also raise ``CancelledError`` itself.

    Args:
        error: what was raised outside ``asyncio.timeout``, which turns its own into a time-out.
    """
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and bool(task and task.cancelling())
