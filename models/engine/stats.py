"""Engine statistics: counters since it was opened, and its current load."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal

from thinkgraph.models.model import Frozen

if TYPE_CHECKING:
    from thinkgraph.models.engine.scheduler import Scheduler
    from thinkgraph.models.engine.sequence import Request


BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper bounds of the buckets of a latency histogram, in seconds; one more bucket has no bound."""


class Histogram(Frozen):
    """Durations, counted by bucket; Prometheus's ``le`` buckets are the running sums."""

    bounds: tuple[float, ...] = BOUNDS_S
    counts: tuple[int, ...]
    sum: float

    @property
    def count(self) -> int:
        """Number of durations."""
        return sum(self.counts)


class Latencies(Frozen):
    """Latencies of one kind of request, in seconds."""

    queue: Histogram
    """From the submission to the admission; only of requests that were admitted."""
    first_token: Histogram
    """From the submission to the first sampled or scored token, if there was one."""
    total: Histogram
    """From the submission to the end of the request."""


class EngineStats(Frozen):
    """Counters since the engine was opened, its current load, and its time by phase."""

    requests: int
    steps: int
    rows: int
    """Rows of logits that were drawn from or scored; samples with equal tokens share a row."""
    prefilled_tokens: int
    cached_tokens: int
    completion_tokens: int
    cancelled_tokens: int
    preemptions: int
    evictions: int
    running: int
    waiting: int
    cells: int
    cells_used: int
    cells_idle: int
    """Used cells of cached prefixes that no running sequence uses."""
    cells_peak: int
    native_s: float
    """Seconds in llama.cpp's decoding."""
    sampling_s: float
    """Seconds in drawing tokens: native samplers, log-probabilities, results."""
    step_s: float
    """Seconds in steps altogether."""
    callers_s: float
    """Seconds spent waiting for callers' event loops before steps."""
    token_s: Histogram
    """Time between two tokens of a sample, including all waiting in between."""
    latencies: dict[Literal["generate", "score"], Latencies]
    """By kind of request."""


class Recorder:
    """A histogram that is being recorded."""

    def __init__(self) -> None:
        self._counts = [0] * (len(BOUNDS_S) + 1)
        self._sum = 0.0

    def add(self, seconds: float) -> None:
        """Count a duration."""
        self._counts[bisect_left(BOUNDS_S, seconds)] += 1
        self._sum += seconds

    def result(self) -> Histogram:
        """The histogram so far."""
        return Histogram(counts=tuple(self._counts), sum=self._sum)


class LatencyRecorder:
    """The latencies of one kind of request that are being recorded."""

    def __init__(self) -> None:
        self._queue, self._first_token, self._total = Recorder(), Recorder(), Recorder()

    def add(self, request: Request) -> None:
        """Count a request that has ended, with the stages that it reached."""
        if request.admitted:
            self._queue.add(request.admitted - request.submitted)
        if request.first_token:
            self._first_token.add(request.first_token - request.submitted)
        self._total.add(request.ended - request.submitted)

    def result(self) -> Latencies:
        """The latencies so far."""
        return Latencies(
            queue=self._queue.result(),
            first_token=self._first_token.result(),
            total=self._total.result(),
        )


@dataclass
class Counters:
    """The worker's own running counts."""

    requests: int = 0
    steps: int = 0
    rows: int = 0
    prefilled_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cancelled_tokens: int = 0
    peak: int = 0
    native_s: float = 0.0
    sampling_s: float = 0.0
    step_s: float = 0.0

    token_s: Recorder = field(default_factory=Recorder)
    latencies: dict[Literal["generate", "score"], LatencyRecorder] = field(
        default_factory=lambda: {"generate": LatencyRecorder(), "score": LatencyRecorder()}
    )

    def stats(self, scheduler: Scheduler, callers_s: float) -> EngineStats:
        """A snapshot of the counters, the scheduler and its pool."""
        pool = scheduler.pool
        special = {"peak", "token_s", "latencies"}
        counts = {name: value for name, value in vars(self).items() if name not in special}
        return EngineStats(
            **counts,
            callers_s=callers_s,
            token_s=self.token_s.result(),
            latencies={kind: found.result() for kind, found in self.latencies.items()},
            cells_peak=self.peak,
            preemptions=scheduler.preemptions,
            evictions=pool.evictions,
            running=len(scheduler.running),
            waiting=len(scheduler.waiting),
            cells=pool.cells,
            cells_used=pool.cells - pool.free,
            cells_idle=pool.idle,
        )
