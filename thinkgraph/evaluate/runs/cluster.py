"""A comparison spread over a Ray cluster: an engine in each worker, one database for all.

The database is an actor beside the driver, and every worker's pools read and write it: samples
are shared between workers, and what a lost worker had computed stays. Ray starts a worker that
died again, and gives it its questions again. A spec, a prompt, a model or a file of tools that is
named by a path has to be at that path on every machine.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, cast

from thinkgraph.evaluate.runs.config import Config
from thinkgraph.evaluate.runs.row import Row
from thinkgraph.evaluate.runs.store import Store
from thinkgraph.evaluate.runs.variant import Variant
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Usage

try:
    import ray
    from ray.exceptions import RayActorError
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy
except ImportError as error:
    raise ThinkgraphError('--ray needs Ray; install it: pip install "thinkgraph[ray]"') from error

QUESTIONS = 4
"""Side by side in one worker: enough to fill its engine's batch."""
RESTARTS = 3
"""How often a worker may die before the comparison ends."""


class RemoteStore:
    """The one database as a worker sees it: every call goes to its actor and waits."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args: ray.get(getattr(self._actor, name).remote(*args))


class Worker:
    """A process with an engine, and with MCP servers of its own for as long as it lives.

    It keeps nothing that was computed, so that Ray can start it again.
    """

    def __init__(self, config: Config) -> None:
        self._config, self._opened, self._opening = config, ExitStack(), threading.Lock()
        self._hosted: dict[str, Any] | None = None

    def answer(
        self, store: Any, question: Question, variants: Sequence[Variant]
    ) -> list[tuple[Row, bool]]:
        """What every strategy makes of a question, and whether that was known before."""
        found: list[tuple[Row, bool]] = []
        with self._opening:  # not when the worker starts: a failure there would be a dead worker
            if self._hosted is None:
                self._hosted = self._opened.enter_context(self._config.host.open())
        runner = self._config.runner(cast(Store, RemoteStore(store)), self._hosted)
        asyncio.run(runner.run([question], variants, lambda row, kept: found.append((row, kept))))
        return found


async def spread(
    questions: Sequence[Question],
    variants: Sequence[Variant],
    database: Path,
    comparison: str,
    config: Config,
    *,
    workers: int = 2,
    tell: Callable[[Row, bool], None] = lambda row, kept: None,
) -> tuple[list[Row], Usage, float]:
    """Answer every question with every strategy, on the cluster that ``RAY_ADDRESS`` names.

    Without that, the one that runs on this machine is used, or started.

    Args:
        questions: each is one task of a worker, with all the strategies.
        variants: each is asked every question.
        database: the file of the :class:`Store`.
        comparison: what tokens and seconds are counted under.
        config: the model, and how it is asked; its engine's threads are, unless given, a worker's
            share of the cluster's cores.
        workers: how many engines.
        tell: told every row, and whether it was kept from an earlier start.

    Returns:
        The rows, what all workers spent, and the seconds it took.

    Raises:
        StoreError: the database can't be used.
        ThinkgraphError: a worker died too often; what was computed is in the database.
    """
    ray.init(ignore_reinit_error=True, include_dashboard=False, logging_level=logging.ERROR)
    share = _share(workers)
    config = config.preferring(threads=share)
    store, crew = _actors(database.resolve(), comparison, config, workers, share)
    rows: list[Row] = []
    waiting = iter(questions)

    async def feed(member: Any) -> None:
        for question in waiting:
            for row, kept in await member.answer.remote(store, question, variants):
                rows.append(row)
                tell(row, kept)

    try:
        async with asyncio.TaskGroup() as group:
            for member in crew * QUESTIONS:
                group.create_task(feed(member))
        return rows, *(await store.spent.remote())
    except ExceptionGroup as failures:
        raise _told(failures.exceptions[0], database) from None
    finally:
        for actor in (*crew, store):
            ray.kill(actor)


def _share(workers: int) -> int:
    """The cores of each worker."""
    resources: dict[str, float] = ray.cluster_resources()  # type: ignore[no-untyped-call]
    cores = int(resources.get("CPU", 1))
    if workers > cores:
        raise ThinkgraphError(
            f"{workers} workers are asked for, and the Ray cluster has {cores} cores; "
            f"give --workers {cores} at most"
        )
    return cores // workers


def _actors(
    database: Path, comparison: str, config: Config, workers: int, cores: int
) -> tuple[Any, list[Any]]:
    """The database, on this machine, and the workers, wherever there is room."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    store: Any = ray.remote(Store).options(num_cpus=0, scheduling_strategy=here)
    worker: Any = ray.remote(Worker).options(
        num_cpus=cores, max_restarts=RESTARTS, max_task_retries=RESTARTS, max_concurrency=QUESTIONS
    )
    crew = [worker.remote(config) for _ in range(workers)]
    return store.remote(str(database), comparison), crew


def _told(error: Exception, database: Path) -> Exception:
    """A failure in the words of who has to mend it."""
    if isinstance(error, RayActorError):
        return ThinkgraphError(
            f"a worker died more than {RESTARTS} times; what was computed is kept in {database}, "
            "and the same command resumes from it"
        )
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, ThinkgraphError) else error
