"""A graph as a self-contained SVG: no script, no font and no image from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Literal

from thinkgraph.graphs.language.spec import END, START, Scalar, Spec
from thinkgraph.graphs.pictures.drawing.diagram import Box, Label, diagram, wrapped
from thinkgraph.graphs.pictures.drawing.layout import Layout, Route, Segment, Vertex, lay_out

Theme = Literal["auto", "light", "dark"]
Band = tuple[float, float]
"""The y coordinates of the top and the bottom of a rank."""

SANS = "system-ui,'Segoe UI',Roboto,'Helvetica Neue','DejaVu Sans',sans-serif"
MONO = "ui-monospace,'SF Mono',Menlo,Consolas,'DejaVu Sans Mono',monospace"
_NAME, _WORDS = 14, 12
"""Font sizes, in pixels."""
_LINE = 17
_ADVANCE = 0.61
"""Width of a character per font size, in a monospaced font; in others most words are narrower."""
_GAP_X, _GAP_Y, _MARGIN, _PORT = 36, 40, 14, 16
_HEAD = 7
_WRAP = 30

Palette = Mapping[str, str | tuple[str, str]]
"""Colours by their use; a family of nodes has one for the fill and one for lines."""

_LIGHT: Palette = {
    "ink": "#1d2733",
    "muted": "#5b6675",
    "line": "#8a94a3",
    "taken": "#2b5fb8",
    "paper": "#ffffff",
    "end": ("#f1f3f6", "#8a94a3"),
    "write": ("#eaf1fc", "#3b6fc4"),
    "judge": ("#fdf3e1", "#b7791f"),
    "choose": ("#e5f5ec", "#2f855a"),
    "use": ("#f1ebfc", "#7a55c0"),
    "other": ("#f1f3f6", "#5b6675"),
}
_DARK: Palette = {
    "ink": "#e7ebf0",
    "muted": "#a3adba",
    "line": "#748091",
    "taken": "#7fb0ff",
    "paper": "#12161c",
    "end": ("#20262e", "#748091"),
    "write": ("#182742", "#6d9eeb"),
    "judge": ("#33270f", "#d9a441"),
    "choose": ("#12301f", "#57b583"),
    "use": ("#291f40", "#a98be6"),
    "other": ("#20262e", "#a3adba"),
}


def svg(
    spec: Spec,
    counts: Mapping[str, int] | None = None,
    *,
    params: Mapping[str, Scalar] | None = None,
    theme: Theme = "auto",
) -> str:
    """The text of an SVG image.

    Args:
        spec: the graph.
        counts: how often each node ran and each decided edge was followed
            (:attr:`thinkgraph.graphs.runtime.result.Result.counts`): the path is drawn in
            bold with its numbers, and the rest fades.
        params: values to show in place of the references to params.
        theme: ``auto`` follows the reader's light or dark scheme.
    """
    layout = lay_out(diagram(spec, params), _size, _GAP_X)
    bands = _stack(layout)
    height = max(end for _, end in bands)
    parts = [_words_or_box(vertex, counts) for vertex in layout.vertices if vertex.item]
    segments: dict[Route, list[Segment]] = {route: [] for route in layout.routes}
    for segment in layout.segments(_PORT):
        segments[segment.route].append(segment)
    lines = [_route(route, found, bands, counts) for route, found in segments.items()]
    wide, high = layout.width + 2 * _MARGIN + (24 if counts else 0), height + 2 * _MARGIN
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" class="tg" width="{wide:.0f}" '
            f'height="{high:.0f}" viewBox="{-_MARGIN} {-_MARGIN} {wide:.0f} {high:.0f}" '
            f'role="img" aria-label="The graph {escape(spec.name)}">',
            f"<style>{_style(theme)}</style>",
            *sorted(lines, key=lambda line: ' taken"' in line),
            *parts,
            "</svg>\n",
        ]
    )


def _size(item: Box | Label | None) -> tuple[float, float]:
    if item is None:
        return 12, 0
    lines = _lines(item)
    wide = max((len(text) * size * _ADVANCE for text, size, _ in lines), default=0)
    if isinstance(item, Box):
        return max(wide + 36, 76), len(lines) * _LINE + (13 if item.family == "end" else 17)
    return wide + 10, len(lines) * _LINE + 2


def _lines(item: Box | Label) -> list[tuple[str, int, str]]:
    """The lines of text, each with its font size and CSS class."""
    if isinstance(item, Box):
        below = [(line, _WORDS, "sub") for text in item[1:3] for line in wrapped(text, _WRAP)]
        return [(item.name, _NAME, "name"), *below]
    when = [(line, _WORDS, "cel") for line in wrapped(item.when, _WRAP)]
    return when + [(line, _WORDS, "bound") for line in wrapped(item.bound, _WRAP)]


def _stack(layout: Layout) -> list[Band]:
    """Stack the ranks vertically; returns the top and the bottom of each."""
    bands, y = [], 0.0
    for rank in layout.ranks:
        height = max(vertex.height for vertex in rank)
        for vertex in rank:
            vertex.y = y + (height - vertex.height) / 2
        bands.append((y, y + height))
        words = not any(isinstance(vertex.item, Box) for vertex in rank)
        y += height + (_GAP_Y * 0.7 if words else _GAP_Y)
    return bands


def _words_or_box(vertex: Vertex, counts: Mapping[str, int] | None) -> str:
    item = vertex.item
    if item is None:  # a bend
        return ""
    lines = _lines(item)
    first = vertex.y + (vertex.height - len(lines) * _LINE) / 2 + 12.5
    words = "".join(
        f'<text class="{name}" x="{vertex.x:.1f}" y="{first + i * _LINE:.1f}">{escape(text)}</text>'
        for i, (text, _, name) in enumerate(lines)
    )
    return _box(vertex, item, words, counts) if isinstance(item, Box) else words


def _box(vertex: Vertex, item: Box, words: str, counts: Mapping[str, int] | None) -> str:
    runs = _runs(item.name, counts)
    left, corner = vertex.x - vertex.width / 2, vertex.height / 2 if item.family == "end" else 9
    frame = (
        f'<rect class="box" x="{left:.1f}" y="{vertex.y:.1f}" width="{vertex.width:.1f}" '
        f'height="{vertex.height:.1f}" rx="{corner:.1f}"/>'
    )
    badge = _badge(left + vertex.width - 4, vertex.y, runs) if runs and item.family != "end" else ""
    state = " faded" if runs == 0 else ""
    name = f'data-node="{escape(item.name)}"'
    return f'<g class="{item.family}{state}" {name}>{frame}{words}{badge}</g>'


def _badge(x: float, y: float, runs: int) -> str:
    text = f"×{runs}"
    wide = 10 + 7.5 * len(text)
    return (
        f'<rect class="badge" x="{x - wide / 2:.1f}" y="{y - 9:.1f}" width="{wide:.1f}" '
        f'height="18" rx="9"/><text class="runs" x="{x:.1f}" y="{y + 4:.1f}">{text}</text>'
    )


def _runs(name: str, counts: Mapping[str, int] | None) -> int | None:
    """How often a node ran; None where no run is shown."""
    if counts is None:
        return None
    return 1 if name in (START, END) else counts.get(name, 0)


def followed(route: Route, counts: Mapping[str, int]) -> int:
    """How often an arrow was followed: its own count if a node decides, else its source's runs."""
    arrow = route.arrow
    if arrow.label is not None:
        return counts.get(arrow.key, 0)
    return _runs(arrow.source, counts) or 0


def _route(
    route: Route,
    segments: Sequence[Segment],
    bands: Sequence[Band],
    counts: Mapping[str, int] | None,
) -> str:
    times = None if counts is None else followed(route, counts)
    state = "" if times is None else " taken" if times else " faded"
    path = " ".join(_leg(segment, bands) for segment in segments)
    path += "".join(_turn(a, b, bands) for a, b in route.segments if a.rank == b.rank)
    path += "".join(_pass(stop, bands) for stop in route.stops if stop.item is None)
    heads = "".join(_head(segment) for segment in segments if segment.last)
    return f'<g class="edge{state}"><path d="{path}"/>{heads}{_times(route, times)}</g>'


def _leg(segment: Segment, bands: Sequence[Band]) -> str:
    """A line from the upper vertex to the lower: straight within the ranks, curved in between."""
    x, y, u, v = segment.upper_x, segment.upper.bottom, segment.lower_x, segment.lower.y
    if segment.last and segment.rises:
        y += _HEAD
    elif segment.last:
        v -= _HEAD
    top, bottom = max(bands[segment.upper.rank][1], y), min(bands[segment.lower.rank][0], v)
    middle = (top + bottom) / 2
    curve = f"C{x:.1f} {middle:.1f} {u:.1f} {middle:.1f} {u:.1f} {bottom:.1f}"
    return f"M{x:.1f} {y:.1f}V{top:.1f}{curve}V{v:.1f}"


def _turn(a: Vertex, b: Vertex, bands: Sequence[Band]) -> str:
    end = bands[a.rank][1]
    curve = f"C{a.x:.1f} {end + 14:.1f} {b.x:.1f} {end + 14:.1f} {b.x:.1f} {end:.1f}"
    return f" M{a.x:.1f} {a.bottom:.1f}V{end:.1f}{curve}"


def _pass(bend: Vertex, bands: Sequence[Band]) -> str:
    top, end = bands[bend.rank]
    return f" M{bend.x:.1f} {top:.1f}V{end:.1f}"


def _head(segment: Segment) -> str:
    if segment.rises:
        x, y, back = segment.upper_x, segment.upper.bottom + 1, _HEAD + 2
    else:
        x, y, back = segment.lower_x, segment.lower.y - 1, -_HEAD - 2
    return f'<path class="head" d="M{x:.1f} {y:.1f}l-4.5 {back}h9z"/>'


def _times(route: Route, times: int | None) -> str:
    """The number of times a decided edge was followed, placed beside its label."""
    words = next((stop for stop in route.stops if isinstance(stop.item, Label)), None)
    if words is None or not times:
        return ""
    x, y = words.x + words.width / 2 - 4, words.y + words.height / 2 + 4
    return f'<text class="times" x="{x:.1f}" y="{y:.1f}">×{times}</text>'


def _style(theme: Theme) -> str:
    fixed = (
        f".tg text{{font-family:{SANS};font-size:{_WORDS}px;text-anchor:middle}}"
        f".tg .name{{font-size:{_NAME}px;font-weight:600}}"
        f".tg .cel{{font-family:{MONO};font-size:{_WORDS - 0.5}px}}"
        ".tg .times,.tg .runs{font-weight:600}.tg .times{text-anchor:start}"
        ".tg .edge path{fill:none;stroke-width:1.4}.tg .taken path{stroke-width:2.2}"
        ".tg .box{stroke-width:1.4}.tg .faded{opacity:.45}"
    )
    if theme == "dark":
        return fixed + _colours(_DARK)
    light = fixed + _colours(_LIGHT)
    dark = f"@media (prefers-color-scheme:dark){{{_colours(_DARK)}}}"
    return light + dark if theme == "auto" else light


def _colours(palette: Palette) -> str:
    families = "".join(
        f".tg .{name} .box{{fill:{c[0]};stroke:{c[1]}}}.tg .{name} .badge{{fill:{c[1]}}}"
        for name, c in palette.items()
        if isinstance(c, tuple)
    )
    ink, muted, line, taken = (palette[name] for name in ("ink", "muted", "line", "taken"))
    return families + (
        f".tg text{{fill:{ink}}}.tg .sub,.tg .bound{{fill:{muted}}}"
        f".tg .runs{{fill:{palette['paper']}}}"
        f".tg .edge path{{stroke:{line}}}.tg .edge .head{{fill:{line};stroke:none}}"
        f".tg .taken path{{stroke:{taken}}}.tg .taken .head{{fill:{taken};stroke:none}}"
        f".tg .taken .times{{fill:{taken}}}"
    )
