"""A comparison spread over a Ray cluster: an engine in each worker, and one shared database.

The database is an actor on the driver's machine, which the pools of every worker read and write:
workers share samples, and the results of a lost worker are kept. Ray restarts a worker that died
and retries its questions. A spec, prompt, model or tool file that is named by a path must exist
at that path on every machine.
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
"""Questions that a worker answers concurrently: enough to fill its engine's batch."""
RESTARTS = 3
"""Maximum number of restarts of a worker before the comparison fails."""


class RemoteStore:
    """A worker's proxy of the shared database: every call blocks on the database's actor."""

    def __init__(self, actor: Any) -> None:
        self._actor = actor

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return lambda *args: ray.get(getattr(self._actor, name).remote(*args))


class Worker:
    """A process with its own engine and MCP servers.

    It stores no results, so that Ray can restart it at any time.
    """

    def __init__(self, config: Config) -> None:
        self._config, self._opened, self._opening = config, ExitStack(), threading.Lock()
        self._hosted: dict[str, Any] | None = None

    def answer(
        self, store: Any, question: Question, variants: Sequence[Variant]
    ) -> list[tuple[Row, bool]]:
        """Each strategy's row for a question, and whether it was kept from an earlier start."""
        found: list[tuple[Row, bool]] = []
        with self._opening:  # not in __init__, where an error would count as a dead worker
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
    """Answer every question with every strategy, on the cluster at ``RAY_ADDRESS``.

    Without that variable, uses the cluster that runs on this machine, or starts one.

    Args:
        questions: each is one task for a worker, with all strategies.
        variants: the strategies.
        database: the file of the :class:`Store`.
        comparison: the key under which tokens and seconds are counted.
        config: the model and its settings; the engine's threads default to a worker's share of
            the cluster's cores.
        workers: number of workers, each with its own engine.
        tell: called with every row, and whether it was kept from an earlier start.

    Returns:
        The rows, the usage of all workers, and the seconds taken.

    Raises:
        StoreError: the database can't be used.
        ThinkgraphError: a worker died too often; finished results are in the database.
    """
    ray.init(ignore_reinit_error=True, include_dashboard=False, logging_level=logging.ERROR)
    share = _share(workers)
    config = config.preferring(threads=share)
    Store(database.resolve(), comparison).close()  # an actor's constructor would hide its error
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
    """The number of cores for each worker."""
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
    """Start the database's actor on this machine, and the workers anywhere in the cluster."""
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=False)
    store: Any = ray.remote(Store).options(num_cpus=0, scheduling_strategy=here)
    worker: Any = ray.remote(Worker).options(
        num_cpus=cores, max_restarts=RESTARTS, max_task_retries=RESTARTS, max_concurrency=QUESTIONS
    )
    crew = [worker.remote(config) for _ in range(workers)]
    return store.remote(str(database), comparison), crew


def _told(error: Exception, database: Path) -> Exception:
    """Unwrap Ray's exception into an error that the user understands."""
    if isinstance(error, RayActorError):
        return ThinkgraphError(
            f"a worker died more than {RESTARTS} times; what was computed is kept in {database}, "
            "and the same command resumes from it"
        )
    cause = getattr(error, "cause", None)
    return cause if isinstance(cause, ThinkgraphError) else error
