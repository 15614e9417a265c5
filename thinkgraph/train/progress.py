"""Progress of a training: a bar in a terminal, occasional lines in a pipe."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from thinkgraph.live import LiveView
from thinkgraph.train.supervised import Point

EVERY = 30.0
"""Seconds between two progress lines, if there is no terminal."""


class TrainProgress(LiveView):
    """Shows the finished steps, the remaining time and the last measurement.

    Args:
        shown: whether to show anything.
        console: where to show it; standard error by default.
    """

    def __init__(self, *, shown: bool = True, console: Console | None = None) -> None:
        super().__init__(shown=shown, console=console, rate=2)
        self._bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("steps,"),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("left{task.fields[said]}"),
            console=self.console,
            speed_estimate_period=600,
        )
        self._task = self._bar.add_task("training", total=None, said="")
        self._began: tuple[int, float] | None = None
        self._told = time.perf_counter()

    def take(self, step: int, of: int, point: Point | None) -> None:
        """Show a step."""
        now = time.perf_counter()
        self._began = self._began or (step, now)
        said = "" if point is None else _measured(point)
        if self.alive:
            self._bar.update(self._task, completed=step, total=of, said=said)
            self.redraw()
        elif self.shown and now - self._told >= EVERY:
            self._told = now
            first, began = self._began
            left = (of - step) * (now - began) / max(step - first, 1)
            self.say(f"step {step} of {of}{said}, about {left / 60:.0f} min left")

    def picture(self) -> Progress:
        """The progress bar."""
        return self._bar


def _measured(point: Point) -> str:
    held_out = "" if point.held_out_loss is None else f", held out {point.held_out_loss:.3f}"
    right = "" if point.accuracy is None else f", {point.accuracy:.0%} right"
    return f"; loss {point.loss:.3f}{held_out}{right}"
