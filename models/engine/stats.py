"""What an engine has done since it was opened, and what it holds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from thinkgraph.models.model import Frozen

if TYPE_CHECKING:
    from thinkgraph.models.engine.scheduler import Scheduler


class EngineStats(Frozen):
    """Counts since the engine was opened, what it holds now, and where its time went."""

    requests: int
    steps: int
    rows: int
    """Rows of logits that were drawn from or scored; samples that agree so far share theirs."""
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
    """Of those used, the cells of prefixes that are kept for later."""
    cells_peak: int
    native_s: float
    """Seconds in llama.cpp's decoding."""
    sampling_s: float
    """Seconds in drawing tokens: native samplers, log-probabilities, results."""
    step_s: float
    """Seconds in steps altogether."""


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

    def stats(self, scheduler: Scheduler) -> EngineStats:
        """A snapshot, with what the scheduler and its pool hold."""
        pool = scheduler.pool
        counts = {name: value for name, value in vars(self).items() if name != "peak"}
        return EngineStats(
            **counts,
            cells_peak=self.peak,
            preemptions=scheduler.preemptions,
            evictions=pool.evictions,
            running=len(scheduler.running),
            waiting=len(scheduler.waiting),
            cells=pool.cells,
            cells_used=pool.cells - pool.free,
            cells_idle=pool.idle,
        )
