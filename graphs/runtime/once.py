"""Work that is done once although its node restarts after an interrupt, by LangGraph tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from langgraph.func import task

Work = Callable[[], Coroutine[Any, Any, Any]]


async def keep(work: Work) -> Any:
    """Do work as a LangGraph task, whose result is checkpointed, in a run with an event loop."""

    @task(name="once")  # type: ignore[arg-type]  # its overloads lose the types
    async def kept() -> Any:
        return await work()

    return await kept()


async def keep_sync(work: Work) -> Any:
    """Do work as a LangGraph task in a run without an event loop, whose tasks are threads."""
    loop = asyncio.get_running_loop()

    @task(name="once")  # type: ignore[arg-type]  # its overloads lose the types
    def kept() -> Any:
        return asyncio.run_coroutine_threadsafe(work(), loop).result()

    return await asyncio.wrap_future(kept())
