"""The page's runs: those under way, and those that have just ended."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

from thinkgraph.graphs.graph import Graph
from thinkgraph.graphs.runtime.result import Result
from thinkgraph.serve.errors import RequestError
from thinkgraph.serve.page.history import Asked, History
from thinkgraph.serve.page.watched import WatchedRun
from thinkgraph.serve.replies.reply import OWN_SPEC
from thinkgraph.serve.service import Service

KEPT = 50
"""Runs that are over and can still be watched from their beginning; the history has the others."""
BEAT_S = 2.0
"""How often the history is told that runs go on."""
GRACE_S = 5.0
"""How long runs have to answer when the server stops."""


class Runs:
    """Begins runs, keeps them while they are watched, and writes them down.

    Args:
        service: admits them, and has the models.
        history: where they are kept.
    """

    def __init__(self, service: Service, history: History) -> None:
        self._service, self._history = service, history
        self._runs: dict[str, WatchedRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._beating: asyncio.Task[None] | None = None

    async def begin(
        self, graph: Graph, asked: Asked, model: str, drawn: Mapping[str, Any] | None = None
    ) -> str:
        """Begin a run; gives its id.

        Args:
            graph: the strategy.
            asked: what it is asked.
            model: the model's name.
            drawn: what who watches it is told of the graph before all else.

        Raises:
            HistoryError: it can't be written down.
        """
        id = await asyncio.to_thread(self._history.begin, asked, graph.name, model)

        async def on_end(run: WatchedRun) -> None:
            self._count(run, graph.name if asked.yaml is None else OWN_SPEC)
            await asyncio.to_thread(self._write, id, run)

        run = self._runs[id] = WatchedRun(graph, asked, on_end, drawn)
        task = asyncio.create_task(run.run(self._service))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        if self._beating is None or self._beating.done():
            self._beating = asyncio.create_task(self._beat())
        self._drop_old()
        return id

    def find(self, id: str) -> WatchedRun:
        """A run that is under way, or has just ended.

        Raises:
            RequestError: status 404.
        """
        if id not in self._runs:
            raise RequestError("this run isn't under way; the history may have it", status=404)
        return self._runs[id]

    async def forget(self, id: str) -> None:
        """Delete a run that is over, from the history too.

        Raises:
            RequestError: status 409 if it is under way, 404 if there is none.
        """
        if id in self._runs and not self._runs[id].is_over:
            raise RequestError("this run is under way; stop it first", status=409)
        if not await asyncio.to_thread(self._history.forget, id):
            raise RequestError("there is no such run in the history", status=404)
        self._runs.pop(id, None)

    async def close(self) -> None:
        """Stop all runs; each gives its best answer so far, if it can do so soon."""
        for run in self._runs.values():
            run.stop("the server was stopped")
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=GRACE_S)
        left = [*self._tasks, *([self._beating] if self._beating else [])]
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _beat(self) -> None:
        while self._tasks:
            await asyncio.to_thread(self._history.go_on)
            await asyncio.sleep(BEAT_S)

    def _drop_old(self) -> None:
        over = [id for id, run in self._runs.items() if run.is_over]
        for id in over[: max(len(over) - KEPT, 0)]:
            del self._runs[id]

    def _count(self, run: WatchedRun, strategy: str) -> None:
        """Have the metrics count a run that has ended."""
        metrics, result = self._service.metrics, run.result
        metrics.requests.labels("page", strategy, run.status).inc()
        if result:
            metrics.spent(strategy, result.usage)
            metrics.seconds.labels(strategy).observe(result.usage.wall_s)

    def _write(self, id: str, run: WatchedRun) -> None:
        result = run.result
        page = result.to_html() if result else None
        told = _told(result, is_failed=run.error is not None) if result else {}
        self._history.end(id, run.status, page, error=run.error, **told)


def _told(result: Result, *, is_failed: bool) -> dict[str, str | int | None]:
    return {
        "seed": result.seed,
        "answer": None if is_failed else result.output_text,
        "cut": result.cut,
        "tokens": result.usage.completion_tokens,
    }
