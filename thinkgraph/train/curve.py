"""The learning curve: losses and held-out accuracy by step."""

from __future__ import annotations

import io
from collections.abc import Sequence

import matplotlib as mpl
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from thinkgraph.evaluate.results.plot import BLUE, GREEN, MUTED, PAPER, STYLE, VERMILION
from thinkgraph.train.supervised import Point


def curve(points: Sequence[Point], best: int, title: str) -> bytes:
    """Draw the learning curve as SVG; the same points give the same bytes.

    Args:
        points: the measurements, in the order of their steps.
        best: the step whose adapter was kept, which is marked.
        title: the plot's title.
    """
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(8.0, 4.4), dpi=100, facecolor=PAPER)
        left = figure.subplots()
        figure.subplots_adjust(left=0.08, right=0.92, top=0.88, bottom=0.13)
        left.set_title(title, loc="left", fontsize=11)
        left.set_xlabel("step")
        left.set_ylabel("loss of an answer's token, in nats")
        steps = [point.step for point in points]
        left.plot(steps, [point.loss for point in points], color=BLUE, label="trained on")
        told = [point for point in points if point.held_out_loss is not None]
        if told:
            losses = [point.held_out_loss or 0.0 for point in told]
            left.plot([p.step for p in told], losses, color=VERMILION, marker="o", label="held out")
            right = left.twinx()
            right.plot(
                [p.step for p in told], [p.accuracy or 0.0 for p in told],
                color=GREEN, linestyle="--", label="held-out answers right, token by token",
            )  # fmt: skip
            right.yaxis.set_major_formatter(PercentFormatter(1.0))
            right.set_ylim(0, 1)
            right.legend(loc="upper center", frameon=False, fontsize=9)
            left.axvline(best, color=MUTED, linestyle=":", label="kept")
        left.set_ylim(bottom=0)
        left.legend(loc="upper right", frameon=False, fontsize=9)
        made = io.BytesIO()
        figure.savefig(made, format="svg", metadata={"Date": None})
        return made.getvalue()
