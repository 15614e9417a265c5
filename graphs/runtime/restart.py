"""What is not done again when LangGraph starts a node again, to resume an interrupted graph.

Work of the node is kept as a LangGraph task. A run that the node starts, and which may itself be
interrupted, is a subgraph for LangGraph: its checkpoints are in the thread of the enclosing graph,
and it continues where it was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import BaseCheckpointSaver, CheckpointTuple
from langgraph.config import get_config
from langgraph.func import task
from langgraph.runtime import get_runtime

from thinkgraph.models.event_loop import is_own_thread
from thinkgraph.models.seed import derive_seed

Work = Callable[[], Coroutine[Any, Any, Any]]
_CHECKPOINTER = "__pregel_checkpointer"
"""LangGraph's key of the checkpointer in the config of a node."""


def task_id() -> str:
    """The id of the LangGraph task, which a node's attempts and its fallback have in common."""
    info = get_runtime().execution_info
    return info.task_id if info else ""


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


@dataclass(frozen=True)
class Enclosing:
    """The node of another graph in which a run is started.

    Attributes:
        saver: the checkpointer of that graph.
        task: a name of this execution of the node, the same when it is started again.
    """

    saver: BaseCheckpointSaver[Any]
    task: str

    @property
    def config(self) -> RunnableConfig:
        """The config of a run that is kept by the checkpointer."""
        saver = _InThreads(self.saver) if is_own_thread() else self.saver
        return {"configurable": {_CHECKPOINTER: saver}}

    @property
    def seed(self) -> int:
        """The seed of a run that is given none; the same when the node is started again."""
        return derive_seed(0, self.task)


def enclosing() -> Enclosing | None:
    """The node with a checkpointer in which the caller runs, if any."""
    try:
        given = get_config().get("configurable", {})
    except (RuntimeError, KeyError):  # not in a LangGraph run
        return None
    saver = given.get(_CHECKPOINTER)
    if not isinstance(saver, BaseCheckpointSaver):
        return None
    return Enclosing(saver, str(given.get("checkpoint_ns", "")))


class _InThreads(BaseCheckpointSaver[Any]):
    """A checkpointer for our event loop, by the synchronous methods of another one.

    A synchronous call runs in an event loop of ours, but the checkpointer of its caller may have
    synchronous methods alone, or be bound to the caller's event loop.
    """

    def __init__(self, saver: BaseCheckpointSaver[Any]) -> None:
        super().__init__(serde=saver.serde)
        self._saver = saver

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        return await asyncio.to_thread(self._saver.get_tuple, config)

    async def alist(
        self, config: RunnableConfig | None, **rest: Any
    ) -> AsyncIterator[CheckpointTuple]:
        for found in await asyncio.to_thread(lambda: list(self._saver.list(config, **rest))):
            yield found

    async def aput(self, config: RunnableConfig, *written: Any) -> RunnableConfig:
        return await asyncio.to_thread(self._saver.put, config, *written)

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], *task: str
    ) -> None:
        await asyncio.to_thread(self._saver.put_writes, config, writes, *task)

    def get_next_version(self, current: Any, channel: None) -> Any:
        return self._saver.get_next_version(current, channel)
