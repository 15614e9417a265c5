"""The page's runs: the running ones, and those that ended recently."""

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
"""Number of ended runs that can still be watched from the start; the history has older ones."""
BEAT_S = 2.0
"""Seconds between two updates of the running runs in the history."""
GRACE_S = 5.0
"""Seconds that runs have to answer when the server stops."""


class Runs:
    """Starts runs, keeps them available to watch, and records them in the history.

    Args:
        service: admits the runs and provides the models.
        history: records the runs.
    """

    def __init__(self, service: Service, history: History) -> None:
        self._service, self._history = service, history
        self._runs: dict[str, WatchedRun] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._beating: asyncio.Task[None] | None = None

    async def begin(
        self, graph: Graph, asked: Asked, model: str, drawn: Mapping[str, Any] | None = None
    ) -> str:
        """Start a run, and return its id.

        Args:
            graph: the strategy.
            asked: the request.
            model: the model's name.
            drawn: the description of the graph, sent to watchers as the first event.

        Raises:
            HistoryError: the history can't be written.
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
        """A run that is running or ended recently.

        Raises:
            RequestError: status 404: there is no such run.
        """
        if id not in self._runs:
            raise RequestError("this run isn't under way; the history may have it", status=404)
        return self._runs[id]

    async def forget(self, id: str) -> None:
        """Delete a run that has ended, also from the history.

        Raises:
            RequestError: status 409 if the run is still running, 404 if it doesn't exist.
        """
        if id in self._runs and not self._runs[id].is_over:
            raise RequestError("this run is under way; stop it first", status=409)
        if not await asyncio.to_thread(self._history.forget, id):
            raise RequestError("there is no such run in the history", status=404)
        self._runs.pop(id, None)

    async def close(self) -> None:
        """Stop all runs; each has a grace period to return its best answer so far."""
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
        """Count a run that has ended in the metrics."""
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
