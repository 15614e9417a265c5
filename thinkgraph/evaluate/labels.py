"""Labels beside the points of a plot, where they hide the least."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.transforms import Bbox

DIRECTIONS = ((1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1), (0, 1), (0, -1))
DISTANCES = (9, 17, 28, 42)
"""Pixels from a point to its label; from the third on, a line leads to it."""
ROUNDS = 3


class Mark(NamedTuple):
    """A point with its label."""

    label: str
    point: tuple[float, float]
    interval: tuple[float, float]
    """Of y: the error bar."""
    colour: str


class Spot(NamedTuple):
    """A place for a label, in pixels."""

    box: Bbox
    anchor: tuple[float, float]
    direction: tuple[int, int]
    distance: int


def place(axes: Axes, marks: Sequence[Mark]) -> None:
    """Write each label where it hides the least of points, bars, lines and other labels.

    Greedy: one after another takes its best place given the others', for a few rounds. Limits
    and scales of the axes must be set.
    """
    sizes = [_size(axes, mark.label) for mark in marks]
    points = [axes.transData.transform(mark.point) for mark in marks]
    obstacles = list(_obstacles(axes, marks))
    chosen: dict[int, Spot] = {}
    for _ in range(ROUNDS):
        for i, (point, size) in enumerate(zip(points, sizes, strict=True)):
            others = [spot.box for j, spot in chosen.items() if j != i]
            chosen[i] = min(
                _spots(point, size),
                key=lambda spot: _harm(spot, others, obstacles, axes.get_window_extent()),
            )
    for i, spot in chosen.items():
        _write(axes, marks[i], spot)


def _size(axes: Axes, label: str) -> tuple[float, float]:
    text = axes.text(0, 0, label)
    canvas: Any = FigureCanvasAgg(axes.figure.get_figure(root=True))
    box = text.get_window_extent(canvas.get_renderer())
    text.remove()
    return box.width + 2, box.height


def _spots(point: np.ndarray, size: tuple[float, float]) -> Iterator[Spot]:
    for distance in DISTANCES:
        for right, up in DIRECTIONS:
            reach = distance if not (right and up) else 0.75 * distance
            x, y = point[0] + right * reach, point[1] + up * reach
            left = x - size[0] * (1 - right) / 2
            bottom = y - size[1] * (1 - up) / 2
            box = Bbox.from_bounds(left, bottom, *size)
            yield Spot(box, (float(x), float(y)), (right, up), distance)


def _obstacles(axes: Axes, marks: Sequence[Mark]) -> Iterator[tuple[Bbox, float]]:
    """Boxes with what it costs to hide them: points, error bars, and the lines drawn so far."""
    for mark in marks:
        x, y = axes.transData.transform(mark.point)
        yield Bbox.from_extents(x - 6, y - 6, x + 6, y + 6), 20
        (_, low), (_, high) = axes.transData.transform([(mark.point[0], v) for v in mark.interval])
        yield Bbox.from_extents(x - 1, low, x + 1, high), 3
    for line in axes.get_lines():
        path = axes.transData.transform(line.get_xydata())
        for (x0, y0), (x1, y1) in pairwise(path):
            steps = max(2, round(np.hypot(x1 - x0, y1 - y0) / 6))
            for x, y in zip(np.linspace(x0, x1, steps), np.linspace(y0, y1, steps), strict=True):
                yield Bbox.from_extents(x - 2, y - 2, x + 2, y + 2), 3


def _harm(
    spot: Spot, others: Sequence[Bbox], obstacles: Sequence[tuple[Bbox, float]], frame: Bbox
) -> float:
    harm = float(spot.distance + DIRECTIONS.index(spot.direction))
    harm += sum(20 * _overlap(spot.box, other) for other in others)
    harm += sum(weight * _overlap(spot.box, box) for box, weight in obstacles)
    inside = _overlap(spot.box, frame)
    return harm + 40 * (spot.box.width * spot.box.height - inside)


def _overlap(one: Bbox, other: Bbox) -> float:
    """In square pixels."""
    width = min(one.x1, other.x1) - max(one.x0, other.x0)
    height = min(one.y1, other.y1) - max(one.y0, other.y0)
    return float(max(width, 0) * max(height, 0))


def _write(axes: Axes, mark: Mark, spot: Spot) -> None:
    x, y = axes.transData.transform(mark.point)
    far = spot.distance >= DISTANCES[2]
    scale = 72 / axes.figure.get_figure(root=True).dpi
    axes.annotate(
        mark.label,
        mark.point,
        xytext=((spot.anchor[0] - x) * scale, (spot.anchor[1] - y) * scale),
        textcoords="offset points",
        ha=("right", "center", "left")[spot.direction[0] + 1],
        va=("top", "center", "bottom")[spot.direction[1] + 1],
        color=mark.colour,
        bbox={"facecolor": axes.get_facecolor(), "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
        arrowprops={"arrowstyle": "-", "color": mark.colour, "linewidth": 0.6} if far else None,
    )
