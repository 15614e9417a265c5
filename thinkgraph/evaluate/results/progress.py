"""Progress of a comparison: a bar in a terminal, occasional lines in a pipe."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table
from rich.text import Text

from thinkgraph.evaluate.metrics.metric import Metric
from thinkgraph.evaluate.runs.row import Row
from thinkgraph.evaluate.runs.variant import Variant
from thinkgraph.evaluate.tasks.task import Task
from thinkgraph.live import LiveView

EVERY = 30.0
"""Seconds between two progress lines, if there is no terminal."""


class ComparisonProgress(LiveView):
    """Shows the finished runs, the remaining time, the new tokens and each accuracy so far.

    Args:
        task: the questions.
        variants: the strategies.
        metric: judges the answers.
        shown: whether to show anything.
        console: where to show it; standard error by default.
    """

    def __init__(
        self,
        task: Task,
        variants: Sequence[Variant],
        metric: Metric,
        *,
        shown: bool = True,
        console: Console | None = None,
    ) -> None:
        super().__init__(shown=shown, console=console, rate=4)
        self._questions = {question.id: question for question in task.questions}
        self._total, self._metric = len(task.questions) * len(variants), metric
        self._counts = {variant.label: [0, 0] for variant in variants}
        self._done = self._kept = self._failed = self._tokens = 0
        self._began = self._told = time.perf_counter()
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("runs,"),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("left"),
            console=self.console,
            speed_estimate_period=600,
        )
        self._task = self._bar.add_task("comparing", total=self._total)

    def close(self) -> None:
        """Print the final progress line."""
        self.say(self._line())

    def take(self, row: Row, kept: bool) -> None:
        """Count a new row, or one kept from an earlier start."""
        self._done += 1
        self._kept += kept
        self._failed += row.failure is not None
        right = self._counts[row.strategy]
        right[0] += self._metric.score_row(self._questions[row.question], row).right
        right[1] += 1
        if self.alive:
            if kept:
                self._bar.update(self._task, total=self._total - self._kept)
            else:
                self._bar.advance(self._task)
        self._show()

    def spend(self, tokens: int) -> None:
        """Count new tokens: before the first run ends, only they show that the model works."""
        self._tokens += tokens
        self._show()

    def _show(self) -> None:
        if self.alive:
            self.redraw()
        elif self.shown and time.perf_counter() - self._told >= EVERY:
            self._told = time.perf_counter()
            self.say(self._line())

    def picture(self) -> Table:
        """The progress bar, and each strategy's accuracy so far."""
        picture = Table.grid()
        picture.add_row(self._bar)
        shares = self._shares() and f"{self._metric.claim} so far: {self._shares()}"
        told = ", ".join(filter(None, [self._new(), shares])) + self._notes()
        picture.add_row(Text(told, style="dim"))
        return picture

    def _line(self) -> str:
        spent, new = time.perf_counter() - self._began, self._done - self._kept
        left = (self._total - self._done) * spent / new if new else 0.0
        still = f"about {_duration(left)} left" if left else ""
        told = [f"{self._done} of {self._total} runs", still, self._new(), self._shares()]
        return ", ".join(filter(None, told)) + self._notes()

    def _new(self) -> str:
        return _pace(self._tokens, time.perf_counter() - self._began) if self._tokens else ""

    def _shares(self) -> str:
        counts = self._counts.items()
        return ", ".join(f"{name} {right / of:.0%}" for name, (right, of) in counts if of)

    def _notes(self) -> str:
        were = "run was" if self._kept == 1 else "runs were"
        kept = f"; {self._kept} {were} kept from before" if self._kept else ""
        return kept + (f"; {self._failed} failed" if self._failed else "")


def token_lines(tell: Callable[[str], None]) -> Callable[[int], None]:
    """A callback for new tokens that tells their number from time to time."""
    count, began = 0, time.perf_counter()
    told = began

    def spend(tokens: int) -> None:
        nonlocal count, told
        count += tokens
        now = time.perf_counter()
        if now - told >= EVERY:
            told = now
            tell(f"{_pace(count, now - began)} so far")

    return spend


def _pace(tokens: int, seconds: float) -> str:
    return f"{tokens:,} tokens, {tokens / max(seconds, 1e-3):.0f} a second"


def _duration(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min" if minutes > 1 else f"{minutes * 60 + rest} s"
