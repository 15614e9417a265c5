"""Plots of a comparison: accuracy against cost, and the differences to the baseline.

The colours are Okabe and Ito's, which are distinguishable for colour-blind readers; shapes and
labels carry all information that colours do. The same summary gives the same bytes.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator, PercentFormatter
from matplotlib.transforms import blended_transform_factory

from thinkgraph.evaluate.analysis.summary import Difference, StrategySummary, Summary
from thinkgraph.evaluate.results.columns import difference
from thinkgraph.evaluate.results.labels import Mark, place

INK, MUTED, LINE, PAPER = "#1d2733", "#5b6675", "#dfe3e8", "#ffffff"
BLUE, GREEN, VERMILION, PURPLE, ORANGE, SKY = (
    *("#0072b2", "#009e73", "#d55e00", "#a8588a", "#b07a00", "#3a8fc0"),
)
FAMILIES = (BLUE, GREEN, PURPLE, ORANGE, SKY)
WIDTH, HALF, DPI = 8.0, 5.0, 100
"""Width in inches of a single plot and of one of two side by side, and pixels per inch. PNGs have
twice the resolution."""
MARGIN = 0.12
"""Left and right margin in inches, to which titles and labels of both plots are aligned."""
MEASURES = {
    "right": "Right answers",
    "within": "Share within the tolerance",
    "score": "Mean scores",
}
"""What the shares of a summary are, by its `measure`."""
_NUMBERED = re.compile(r"(.+?)@(\d+)(.*)")
STYLE: Any = {
    "svg.hashsalt": "thinkgraph",
    "svg.fonttype": "path",
    "font.family": "DejaVu Sans",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.labelcolor": MUTED,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "text.parse_math": False,  # a dollar in a label is no mathematics
}


def tradeoff(summary: Summary, width: float = WIDTH, height: float = 5.2) -> Figure:
    """Plot accuracy against tokens per question, with 95 % intervals and the Pareto front.

    Lines join the strategies of a family. A strategy without sampled tokens has no place on the
    logarithmic axis and is left out.

    Args:
        summary: the comparison's summary.
        width: of the figure, in inches.
        height: of the figure, in inches.
    """
    found = [s for s in summary.strategies if s.questions and s.tokens > 0]
    with mpl.rc_context(STYLE), _quiet():
        figure = Figure(figsize=(width, height), dpi=DPI, facecolor=PAPER, layout=None)
        axes = figure.subplots()
        figure.subplots_adjust(
            left=0.6 / width, right=1 - MARGIN / width, top=1 - 0.72 / height, bottom=0.57 / height
        )
        _frame(axes, found)
        if found:
            _title(figure, f"{MEASURES[summary.measure]}, with 95 % intervals")
            figure.text(
                MARGIN / width, 1 - 0.36 / height, "● on the Pareto front (dashed)   ○ not on it",
                va="top", fontsize=9, color=MUTED,
            )  # fmt: skip
            _fill(axes, found)
        else:
            _nothing(axes)
    return figure


def differences(summary: Summary, width: float = WIDTH, height: float | None = None) -> Figure:
    """Plot the differences to the baseline in percentage points, with their 95 % intervals.

    Args:
        summary: the comparison's summary.
        width: of the figure, in inches.
        height: of the figure, in inches; by default as many lines need.
    """
    found = summary.differences
    figures = 1.35 if width == WIDTH else 1.15
    with mpl.rc_context(STYLE):
        height = height or forest_height(summary)
        figure = Figure(figsize=(width, height), dpi=DPI, facecolor=PAPER, layout=None)
        axes = figure.subplots()
        left = (MARGIN + (2.3 if width == WIDTH else 0)) / width
        figure.subplots_adjust(
            left=left, right=1 - figures / width, top=1 - 0.45 / height, bottom=0.7 / height
        )
        if found:
            words = f"Difference to {_clipped(found[0].baseline, 27)}, with 95 % intervals"
            _title(figure, words)
            _forest(axes, found)
        else:
            _nothing(axes)
    return figure


def forest_height(summary: Summary) -> float:
    """The height that the plot of differences needs, in inches."""
    return 1.25 + 0.4 * max(len(summary.differences), 2)


def _title(figure: Figure, words: str) -> None:
    width, height = figure.get_size_inches()
    size = 11 if width == WIDTH else 10
    figure.text(MARGIN / width, 1 - 0.1 / height, words, fontsize=size, va="top")


def to_svg(figure: Figure) -> str:
    """The figure as an SVG element, without declaration, date or comments."""
    buffer = io.StringIO()
    with mpl.rc_context(STYLE), _quiet():
        figure.savefig(buffer, format="svg", metadata=dict.fromkeys(("Date", "Creator")))
    drawn = buffer.getvalue()
    return re.sub(r"<!--.*?-->\n?", "", drawn[drawn.index("<svg") :], flags=re.DOTALL)


def to_png(figure: Figure) -> bytes:
    """The figure as a PNG, 1600 pixels wide."""
    buffer = io.BytesIO()
    with mpl.rc_context(STYLE), _quiet():
        figure.savefig(buffer, format="png", dpi=2 * DPI, metadata={"Software": None})
    return buffer.getvalue()


def _quiet() -> warnings.catch_warnings[None]:
    """Suppress warnings about characters that the font lacks; they are drawn as boxes."""
    return warnings.catch_warnings(action="ignore", category=UserWarning)


def _frame(axes: Axes, found: Sequence[StrategySummary]) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.tick_params(length=0)
    axes.set_xlabel("tokens sampled a question, as if alone (logarithmic)")
    axes.set_xscale("log")
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda tokens, _: f"{tokens:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
    if found:
        tokens = [s.tokens for s in found]
        axes.set_xlim(min(tokens) / 1.4, max(tokens) * 1.6)
        low, high = min(s.low for s in found), max(s.high for s in found)
        axes.set_ylim(max(low - 0.05, -0.01), min(high + 0.05, 1.01))


def _fill(axes: Axes, found: Sequence[StrategySummary]) -> None:
    xs, colours = _apart(axes, found), _colours(found)
    spots = {s.label: (xs[s.label], s.share) for s in found}
    _front(axes, [spots[s.label] for s in found if s.on_front])
    for family in _families(found).values():
        line = sorted(spots[s.label] for s in family)
        axes.plot(*zip(*line, strict=True), color=colours[family[0].label], linewidth=1.4)
    marks = []
    for s in found:
        x, colour = xs[s.label], colours[s.label]
        axes.plot([x, x], [s.low, s.high], color=colour, linewidth=1.1, alpha=0.45)
        face = colour if s.on_front else PAPER
        axes.plot(x, s.share, "o", color=colour, markerfacecolor=face, markersize=7)
        marks.append(Mark(_short(s, found), (x, s.share), colour))
    place(axes, marks)


def _front(axes: Axes, spots: Sequence[tuple[float, float]]) -> None:
    """Draw the Pareto front as steps: the best accuracy within each number of tokens."""
    corners: list[tuple[float, float]] = []
    for x, y in sorted(spots):
        corners += [(x, corners[-1][1]), (x, y)] if corners else [(x, y)]
    if corners:
        corners.append((axes.get_xlim()[1], corners[-1][1]))
        # Above the lines of the families, which would otherwise hide its dashes where they meet.
        axes.plot(
            *zip(*corners, strict=True), color=INK, linewidth=1.1, linestyle=(0, (4, 3)), zorder=2.5
        )


def _apart(axes: Axes, found: Sequence[StrategySummary], pixels: float = 9) -> dict[str, float]:
    """The x position of each strategy; strategies with equal cost are moved side by side."""
    xs: dict[str, float] = {}
    transform, last = axes.transData, -pixels
    for s in sorted(found, key=lambda s: s.tokens):
        last = max(transform.transform((s.tokens, 0.5))[0], last + pixels)
        xs[s.label] = float(transform.inverted().transform((last, 0))[0])
    return xs


def _families(found: Sequence[StrategySummary]) -> dict[str, list[StrategySummary]]:
    """Strategies that differ only by a number, such as ``self-consistency@4`` and ``@16``."""
    families: dict[str, list[StrategySummary]] = {}
    for s in found:
        if found_ := _NUMBERED.fullmatch(s.label):
            families.setdefault(f"{found_[1]}{found_[3]}", []).append(s)
    return {base: members for base, members in families.items() if len(members) > 1}


def _colours(found: Sequence[StrategySummary]) -> dict[str, str]:
    """A colour for each family; other strategies are grey and distinguished by their labels."""
    colours = dict.fromkeys((s.label for s in found), MUTED)
    for i, family in enumerate(_families(found).values()):
        colours |= dict.fromkeys((s.label for s in family), FAMILIES[i % len(FAMILIES)])
    return colours


def _short(strategy: StrategySummary, found: Sequence[StrategySummary]) -> str:
    """The label in the plot; in a family, only the strategy with most tokens has its full name."""
    numbered = _NUMBERED.fullmatch(strategy.label)
    family = _families(found).get(f"{numbered[1]}{numbered[3]}") if numbered else None
    if not numbered or not family or strategy is max(family, key=lambda s: s.tokens):
        return _clipped(strategy.label)
    return f"@{numbered[2]}"


def _clipped(label: str, letters: int = 32) -> str:
    shown = "".join(c if c.isprintable() else " " for c in label)
    return shown if len(shown) <= letters else f"{shown[: letters - 1]}…"


def _forest(axes: Axes, found: Sequence[Difference]) -> None:
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.axvline(0, color=MUTED, linewidth=1)
    width = float(axes.get_figure(root=True).get_size_inches()[0])  # type: ignore[union-attr]
    for y, d in enumerate(found):
        colour = (BLUE if d.points > 0 else VERMILION) if d.sure else MUTED
        axes.plot([d.low, d.high], [y, y], color=colour, linewidth=2, solid_capstyle="butt")
        face = colour if d.sure else PAPER
        axes.plot(d.points, y, "o", color=colour, markerfacecolor=face, markersize=7)
        axes.text(
            1 - MARGIN / width, y, difference(d), color=colour, va="center_baseline", ha="right",
            fontsize=10 if width == WIDTH else 9,
            transform=blended_transform_factory(axes.figure.transFigure, axes.transData),
        )  # fmt: skip
    if width == WIDTH:
        axes.set_yticks(range(len(found)), [_clipped(d.label, 27) for d in found])
    else:  # there is no room beside the intervals, so labels go above them
        axes.set_yticks([])
        for y, d in enumerate(found):
            axes.text(
                0, y - 0.22, _clipped(d.label, 44), fontsize=9, va="bottom",
                transform=blended_transform_factory(axes.transAxes, axes.transData),
            )  # fmt: skip
    axes.tick_params(length=0)
    axes.tick_params(axis="y", labelcolor=INK, pad=0)
    axes.grid(axis="x", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.set_ylim(len(found) - 0.5, -0.7)
    axes.set_xlabel("percentage points\n● sure   ○ not sure (paired test, Holm)")
    place_ = axes.get_position()
    for tick in axes.get_yticklabels():
        tick.set(horizontalalignment="left", x=(MARGIN / width - place_.x0) / place_.width)


def _nothing(axes: Axes) -> None:
    axes.set_axis_off()
    axes.text(0.5, 0.5, "nothing to draw yet", transform=axes.transAxes, ha="center", color=MUTED)


def files(summary: Summary) -> Iterator[tuple[str, bytes]]:
    """Both plots as SVG and PNG, as pairs of file name and content."""
    for name, figure in (("tradeoff", tradeoff(summary)), ("differences", differences(summary))):
        yield f"{name}.svg", to_svg(figure).encode()
        yield f"{name}.png", to_png(figure)
