"""A graph as plain text for a terminal, in Unicode box-drawing characters."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

from rich.cells import cell_len

from thinkgraph.graphs.language.spec import Scalar, Spec
from thinkgraph.graphs.pictures.drawing.diagram import Box, Diagram, Label, diagram, wrapped
from thinkgraph.graphs.pictures.drawing.layout import Layout, Segment, Vertex, lay_out

UP, RIGHT, DOWN, LEFT = 1, 2, 4, 8
_LINES = " ╵╶└╷│┌├╴┘─┴┐┤┬┼"
"""The characters that connect sets of directions, indexed by the sum of the directions."""
_GAP = 3
_KINK = 2
_MOST_ARROWS = 100
_LABEL_WIDTHS = (30, 22, 16, 12)


def terminal(spec: Spec, width: int = 80, params: Mapping[str, Scalar] | None = None) -> str:
    """A drawing in lines of text, at most ``width`` cells wide.

    Labels are wrapped to make it fit. A graph that is still too wide, or has more than a hundred
    edges, is shown as a list of its edges.

    Args:
        spec: the graph.
        width: maximum width, in cells of the terminal.
        params: values to show in place of the references to params.
    """
    drawn = diagram(spec, params)
    for label_width in _LABEL_WIDTHS if len(drawn.arrows) <= _MOST_ARROWS else ():
        layout = lay_out(drawn, partial(_size, width=label_width), _GAP)
        if layout.width <= width:
            return _Drawing(layout, label_width).text
    return _listed(drawn)


def _size(item: Box | Label | None, width: int) -> tuple[float, float]:
    if item is None:
        return 1, 0
    lines = _lines(item, width)
    frame = 4 if isinstance(item, Box) else 0
    wide = max((cell_len(line) for line in lines), default=1) + frame
    return wide + (wide % 2 == 0), len(lines) + (2 if frame else 0)


def _lines(item: Box | Label, width: int) -> list[str]:
    words = (item.name, item.kind, item.settings) if isinstance(item, Box) else item
    return [line for text in words for line in wrapped(text, width)]


class _Net(NamedTuple):
    """Connected lines between two ranks, by the columns of their upper and lower ends."""

    tops: frozenset[int]
    bottoms: frozenset[int]

    @property
    def ends(self) -> frozenset[int]:
        return self.tops | self.bottoms

    @property
    def straight(self) -> bool:
        return len(self.ends) == 1

    def meets(self, other: _Net) -> bool:
        """Whether the two overlap, and so can't be on one row."""
        return min(self.ends) <= max(other.ends) and min(other.ends) <= max(self.ends)

    def goes_above(self, other: _Net) -> bool:
        """Whether fewer lines cross if its row is above the other's than if it is below."""
        return self._crossings(other) < other._crossings(self)

    def _crossings(self, lower: _Net) -> int:
        over = sum(min(lower.ends) <= x <= max(lower.ends) for x in self.bottoms)
        under = sum(min(self.ends) <= x <= max(self.ends) for x in lower.tops)
        return over + under + 100 * len(self.bottoms & lower.tops)


class _Drawing:
    """A layout drawn on a canvas of cells."""

    def __init__(self, layout: Layout, label_width: int) -> None:
        self._label_width = label_width
        self._lines: dict[tuple[int, int], int] = {}
        self._signs: dict[tuple[int, int], str] = {}
        self._legs = _snapped(layout.segments(step=2))
        self._turns = layout.turns()
        for vertex in layout.vertices:
            vertex.x = round(vertex.x)
        y = 0
        for number, rank in enumerate(layout.ranks):
            height = int(max(vertex.height for vertex in rank))
            for vertex in rank:
                vertex.y = y
                self._vertex(vertex, y + height)
            y += height
            y = self._gap(number, rank, y)

    @property
    def text(self) -> str:
        """The lines of the drawing, without trailing spaces."""
        cells = {at: _LINES[sides] for at, sides in self._lines.items()} | self._signs
        rows: dict[int, dict[int, str]] = {}
        for (x, y), sign in cells.items():
            rows.setdefault(y, {})[x] = sign
        left = min(x for x, _ in cells)
        lines = []
        for y in range(max(rows) + 1):
            row = rows.get(y, {})
            signs = [row.get(x, " ") for x in range(left, max(row, default=left) + 1)]
            lines.append("".join(signs).rstrip())
        return "\n".join([*lines, ""])

    def _write(self, x: int, y: int, text: str) -> None:
        for char in text:
            self._signs[x, y] = char
            for extra in range(1, cell_len(char)):
                self._signs[x + extra, y] = ""
            x += cell_len(char)

    def _vertical(self, x: int, top: int, bottom: int) -> None:
        for y in range(top, bottom):
            self._lines[x, y] = self._lines.get((x, y), 0) | UP | DOWN

    def _join(self, x: int, y: int, sides: int) -> None:
        self._lines[x, y] = self._lines.get((x, y), 0) | sides

    def _vertex(self, vertex: Vertex, bottom: int) -> None:
        """Draw a vertex, and the lines from its lower side to the end of its rank."""
        x, y = int(vertex.x), int(vertex.y)
        if isinstance(vertex.item, Box):
            self._box(vertex, vertex.item)
        elif vertex.item:
            for i, line in enumerate(_lines(vertex.item, self._label_width)):
                self._write(x - cell_len(line) // 2, y + i, line)
        for segment in self._legs:
            if segment.upper is vertex:
                self._vertical(int(segment.upper_x), int(vertex.bottom), bottom)
        if any(vertex in turn[1:] for turn in self._turns):
            self._vertical(x, int(vertex.bottom), bottom)

    def _box(self, vertex: Vertex, item: Box) -> None:
        wide, y = int(vertex.width) - 2, int(vertex.y)
        left = int(vertex.x) - int(vertex.width) // 2
        corners = "╭╮╰╯" if item.family == "end" else "┌┐└┘"
        self._write(left, y, corners[0] + "─" * wide + corners[1])
        for i, line in enumerate(_lines(item, self._label_width), 1):
            before = (wide - cell_len(line)) // 2
            after = wide - cell_len(line) - before
            self._write(left, y + i, "│" + " " * before + line + " " * after + "│")
        self._write(left, int(vertex.bottom) - 1, corners[2] + "─" * wide + corners[3])
        for segment in self._legs:
            if segment.upper is vertex and not segment.rises:
                self._signs[int(segment.upper_x), int(vertex.bottom) - 1] = "┬"
            if segment.lower is vertex and segment.rises:
                self._signs[int(segment.lower_x), y] = "┴"

    def _gap(self, number: int, rank: list[Vertex], y: int) -> int:
        """Draw the lines below a rank; returns the row where the next rank begins."""
        segments = [segment for segment in self._legs if segment.upper in rank]
        turns = [turn for turn in self._turns if turn[1] in rank]
        if not segments and not turns:
            return y
        nets = _nets(segments) + [
            _Net(frozenset({int(a.x), int(b.x)}), frozenset()) for _, a, b in turns
        ]
        heads = [segment for segment in segments if segment.last]
        first = y + any(segment.rises for segment in heads)
        rows = _rows(nets)
        end = first + max(rows.values(), default=-1) + 2
        for net in nets:
            self._net(net, y, first + rows.get(net, 0), end)
        for segment in heads:
            at = (int(segment.upper_x), y) if segment.rises else (int(segment.lower_x), end - 1)
            self._signs[at] = "▲" if segment.rises else "▼"
        return end

    def _net(self, net: _Net, top: int, row: int, bottom: int) -> None:
        if net.straight:
            self._vertical(min(net.ends), top, bottom)
            return
        left, right = min(net.ends), max(net.ends)
        for x in range(left, right + 1):
            self._join(x, row, (LEFT if x > left else 0) | (RIGHT if x < right else 0))
        for x in net.tops:
            self._vertical(x, top, row)
            self._join(x, row, UP)
        for x in net.bottoms:
            self._vertical(x, row + 1, bottom)
            self._join(x, row, DOWN)


def _snapped(segments: list[Segment]) -> list[Segment]:
    """The segments with rounded columns; those that are nearly straight are made straight."""
    for segment in segments:
        segment.upper_x, segment.lower_x = round(segment.upper_x), round(segment.lower_x)
    for segment in segments:
        if 0 < abs(segment.upper_x - segment.lower_x) <= _KINK:
            if _is_free(
                segment.lower, [other.lower_x for other in segments if other.lower is segment.lower]
            ):
                segment.lower_x = segment.upper_x
            elif _is_free(
                segment.upper, [other.upper_x for other in segments if other.upper is segment.upper]
            ):
                segment.upper_x = segment.lower_x
    return segments


def _is_free(vertex: Vertex, ports: list[float]) -> bool:
    """Whether a vertex has only one port on this side, which may move a little."""
    return vertex.item is not None and len(ports) == 1 and vertex.width / 2 > _KINK + 1


def _nets(segments: list[Segment]) -> list[_Net]:
    """The segments between two ranks, grouped by upper port, and then by equal lower ports."""
    fans: dict[int, set[int]] = {}
    for segment in segments:
        fans.setdefault(int(segment.upper_x), set()).add(int(segment.lower_x))
    joined: dict[frozenset[int], set[int]] = {}
    for top, bottoms in fans.items():
        joined.setdefault(frozenset(bottoms), set()).add(top)
    return [_Net(frozenset(tops), bottoms) for bottoms, tops in joined.items()]


def _rows(nets: list[_Net]) -> dict[_Net, int]:
    """The row of each net that isn't straight, counted from 0, so that none overlap."""
    bent = [net for net in nets if not net.straight]
    before = {n: {m for m in bent if m is not n and n.meets(m) and m.goes_above(n)} for n in bent}
    rows: dict[_Net, int] = {}
    for net in _ordered(before):
        row = max((rows[m] + 1 for m in before[net] if m in rows), default=0)
        while any(rows[m] == row and net.meets(m) for m in rows):
            row += 1
        rows[net] = row
    return rows


def _ordered(before: dict[_Net, set[_Net]]) -> list[_Net]:
    try:
        return list(TopologicalSorter(before).static_order())
    except CycleError:  # two nets swap places: their lines overlap
        return list(before)


def _listed(drawn: Diagram) -> str:
    lines = [f"{a.source} → {a.target}{_words(a.label)}" for a in drawn.arrows]
    return "\n".join([*lines, ""])


def _words(label: Label | None) -> str:
    return f"  ({', '.join(filter(None, label))})" if label else ""
