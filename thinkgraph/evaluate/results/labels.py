"""Placement of the labels of a plot, where they overlap least."""

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
"""Candidate distances in pixels from a point to its label; from the third on, a line is drawn."""
ROUNDS = 3


Box = tuple[float, float, float, float]
"""Left, bottom, right, top, in pixels."""


class Mark(NamedTuple):
    """A point with its label."""

    label: str
    point: tuple[float, float]
    colour: str


class Spot(NamedTuple):
    """A candidate position of a label, in pixels."""

    box: Box
    offset: tuple[float, float]
    """Offset of the label's nearest edge or corner from the point."""
    direction: tuple[int, int]
    distance: int


def place(axes: Axes, marks: Sequence[Mark]) -> None:
    """Draw each label where it hides the least of points, bars, lines and other labels.

    Greedy: each label in turn takes the best position given the others, for a few rounds. The
    limits and scales of the axes must be set before.
    """
    obstacles, weights = _obstacles(axes, marks)
    choices = [list(_spots(_pixels(axes, mark.point), _size(axes, mark.label))) for mark in marks]
    fixed = [_harm(spots, axes.get_window_extent(), obstacles, weights) for spots in choices]
    chosen: dict[int, Spot] = {}
    for _ in range(ROUNDS):
        for i, spots in enumerate(choices):
            others = np.array([spot.box for j, spot in chosen.items() if j != i]).reshape(-1, 4)
            harm = fixed[i] + 20 * _overlaps(spots, others).sum(axis=1)
            chosen[i] = spots[int(harm.argmin())]
    for i, spot in chosen.items():
        _write(axes, marks[i], spot)


def _pixels(axes: Axes, point: tuple[float, float]) -> tuple[float, float]:
    x, y = axes.transData.transform(point)
    return float(x), float(y)


def _size(axes: Axes, label: str) -> tuple[float, float]:
    text = axes.text(0, 0, label)
    canvas: Any = FigureCanvasAgg(axes.figure.get_figure(root=True))
    box = text.get_window_extent(canvas.get_renderer())
    text.remove()
    return box.width + 2, box.height


def _spots(point: tuple[float, float], size: tuple[float, float]) -> Iterator[Spot]:
    for distance in DISTANCES:
        for right, up in DIRECTIONS:
            reach = distance if not (right and up) else 0.75 * distance
            x, y = point[0] + right * reach, point[1] + up * reach
            left, bottom = x - size[0] * (1 - right) / 2, y - size[1] * (1 - up) / 2
            box = (left, bottom, left + size[0], bottom + size[1])
            yield Spot(box, (x - point[0], y - point[1]), (right, up), distance)


def _obstacles(axes: Axes, marks: Sequence[Mark]) -> tuple[np.ndarray, np.ndarray]:
    """Boxes of points, error bars and lines drawn so far, with the cost of hiding each."""
    boxes: list[Box] = []
    for mark in marks:
        x, y = _pixels(axes, mark.point)
        boxes.append((x - 6, y - 6, x + 6, y + 6))
    weights = [20.0] * len(boxes)
    for line in axes.get_lines():
        path = axes.transData.transform(line.get_xydata())
        for (x0, y0), (x1, y1) in pairwise(path):
            steps = max(2, round(np.hypot(x1 - x0, y1 - y0) / 6))
            for x, y in zip(np.linspace(x0, x1, steps), np.linspace(y0, y1, steps), strict=True):
                boxes.append((x - 2, y - 2, x + 2, y + 2))
    return np.array(boxes), np.array(weights + [3.0] * (len(boxes) - len(weights)))


def _harm(
    spots: Sequence[Spot], frame: Bbox, obstacles: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """The cost of each position: what it hides, its distance, and its area outside the axes."""
    far = [spot.distance + DIRECTIONS.index(spot.direction) for spot in spots]
    areas = [(x1 - x0) * (y1 - y0) for x0, y0, x1, y1 in (spot.box for spot in spots)]
    inside = _overlaps(spots, np.array([frame.extents]))[:, 0]
    outside = 40 * (np.array(areas) - inside)
    return np.asarray(far + _overlaps(spots, obstacles) @ weights + outside)


def _overlaps(spots: Sequence[Spot], boxes: np.ndarray) -> np.ndarray:
    """The overlap of each position with each box, in square pixels: positions × boxes."""
    own = np.array([spot.box for spot in spots])[:, None]
    sides = np.minimum(own[..., 2:], boxes[..., 2:]) - np.maximum(own[..., :2], boxes[..., :2])
    return np.asarray(sides.clip(min=0).prod(axis=-1))


def _write(axes: Axes, mark: Mark, spot: Spot) -> None:
    far = spot.distance >= DISTANCES[2]
    scale = 72 / axes.figure.get_figure(root=True).dpi
    axes.annotate(
        mark.label,
        mark.point,
        xytext=(spot.offset[0] * scale, spot.offset[1] * scale),
        textcoords="offset points",
        ha=("right", "center", "left")[spot.direction[0] + 1],
        va=("top", "center", "bottom")[spot.direction[1] + 1],
        color=mark.colour,
        bbox={"facecolor": axes.get_facecolor(), "edgecolor": "none", "alpha": 0.8, "pad": 0.5},
        arrowprops={"arrowstyle": "-", "color": mark.colour, "linewidth": 0.6} if far else None,
    )
