"""Graph layout (Sugiyama): coordinates of boxes and labels, in characters or in pixels.

The library fast-sugiyama gives the ranks and the order within them. The label of an arrow is a
vertex of its own, so that nothing overlaps it. Horizontally, the vertices of each rank are moved as
close to their neighbours as the sizes allow (isotonic regression, by pooling adjacent violators),
which aligns chains.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from fast_sugiyama import from_edges

from thinkgraph.graphs.pictures.drawing.diagram import Arrow, Box, Diagram, Label

WORK = 20_000
"""Number of moves of vertices in total, in at least ten and at most a hundred sweeps."""
Size = tuple[float, float]


@dataclass(eq=False)
class Vertex:
    """A box, the label of an arrow, or a bend where an arrow passes a rank (without an item)."""

    item: Box | Label | None
    width: float
    height: float
    rank: int = 0
    x: float = 0.0
    """The x coordinate of its centre."""
    y: float = 0.0
    """The y coordinate of its top."""

    @property
    def bottom(self) -> float:
        """The y coordinate of its lower side."""
        return self.y + self.height


@dataclass(eq=False)
class Route:
    """The vertices that an arrow goes through, from its source to its target.

    A route that goes ``up`` closes a loop. A route from a node to itself goes down to its label,
    turns, and comes up beside it.
    """

    arrow: Arrow
    stops: list[Vertex]
    up: bool

    @property
    def segments(self) -> list[tuple[Vertex, Vertex]]:
        """The pairs of adjacent stops."""
        return list(pairwise(self.stops))

    @property
    def turns(self) -> bool:
        """Whether it leads from a node to itself."""
        return self.stops[0] is self.stops[-1]

    @property
    def downward(self) -> list[tuple[Vertex, Vertex]]:
        """The segments for ranking, each from the upper to the lower vertex."""
        if self.turns:
            return [(self.stops[0], stop) for stop in self.stops[1:-1]]
        return [(b, a) if self.up else (a, b) for a, b in self.segments]

    def pass_through(self, bends: dict[tuple[Vertex, Vertex], list[Vertex]]) -> None:
        """Insert the bends of the segments; the keys of ``bends`` are pairs from upper to lower."""
        stops = self.stops[:1]
        for a, b in self.segments:
            between = bends.get((a, b)) or bends.get((b, a), [])[::-1]
            stops += [*between, b]
        self.stops = stops


@dataclass(eq=False)
class Segment:
    """The part of a route between two ranks, with the x coordinates of its ends."""

    route: Route
    upper: Vertex
    lower: Vertex
    rises: bool
    """Whether it is followed upwards."""
    upper_x: float = 0.0
    lower_x: float = 0.0

    @property
    def last(self) -> bool:
        """Whether it reaches the route's target, and so has the arrowhead."""
        return (self.upper if self.rises else self.lower) is self.route.stops[-1]


@dataclass
class Layout:
    """A drawing's vertices, rank by rank from left to right, and its routes."""

    ranks: list[list[Vertex]]
    routes: list[Route]

    def segments(self, step: float) -> list[Segment]:
        """The segments between the ranks, with the ports at their ends.

        Downward segments share the port in the middle of a box's side; upward ones have ports of
        their own beside it, if the side has both.

        Args:
            step: the distance between two ports, and of a port from a corner.
        """
        segments = [
            Segment(route, *((a, b) if a.rank < b.rank else (b, a)), rises=a.rank > b.rank)
            for route in self.routes
            for a, b in route.segments
            if a.rank != b.rank
        ]
        under: dict[Vertex, list[Segment]] = {}
        over: dict[Vertex, list[Segment]] = {}
        for segment in segments:
            under.setdefault(segment.upper, []).append(segment)
            over.setdefault(segment.lower, []).append(segment)
        for vertex, found in under.items():
            ports = _ports(vertex, [(segment.rises, segment.lower.x) for segment in found], step)
            for segment, x in zip(found, ports, strict=True):
                segment.upper_x = x
        for vertex, found in over.items():
            ports = _ports(vertex, [(segment.rises, segment.upper.x) for segment in found], step)
            for segment, x in zip(found, ports, strict=True):
                segment.lower_x = x
        return segments

    def turns(self) -> list[tuple[Route, Vertex, Vertex]]:
        """The pairs of vertices of a rank between which routes from a node to itself turn."""
        return [
            (route, a, b) for route in self.routes for a, b in route.segments if a.rank == b.rank
        ]

    @property
    def vertices(self) -> list[Vertex]:
        """All vertices."""
        return [vertex for rank in self.ranks for vertex in rank]

    @property
    def width(self) -> float:
        """The width, from the leftmost to the rightmost side."""
        return max(vertex.x + vertex.width / 2 for vertex in self.vertices)


def lay_out(diagram: Diagram, size: Callable[[Box | Label | None], Size], gap: float) -> Layout:
    """Set the rank and x coordinate of every vertex; y coordinates are left to the caller.

    Args:
        diagram: what to draw.
        size: returns the width and height of a box, a label or a bend.
        gap: the minimum distance between two vertices of a rank.
    """
    boxes = {box.name: Vertex(box, *size(box)) for box in diagram.boxes}
    back = _backward(diagram)
    routes = []
    for arrow in diagram.arrows:
        source, target = boxes[arrow.source], boxes[arrow.target]
        shown = arrow.label or source is target
        words = [Vertex(arrow.label, *size(arrow.label))] if shown else []
        turn = [Vertex(None, *size(None))] if source is target else []
        routes.append(Route(arrow, [source, *words, *turn, target], up=arrow in back))
    _place(list(boxes.values()), routes, lambda: Vertex(None, *size(None)))
    vertices = dict.fromkeys([*boxes.values(), *(v for route in routes for v in route.stops)])
    ranks = _by_rank(list(vertices))
    if _is_mirrored(ranks, list(boxes.values())):
        ranks = [rank[::-1] for rank in ranks]
    for route in routes:
        if route.turns:
            _turn_outside(route, ranks, routes)
    _straighten(ranks, routes, gap)
    for route in routes:
        _unkink([stop for stop in route.stops if not isinstance(stop.item, Box)], gap / 3)
    return Layout(ranks, routes)


def _backward(diagram: Diagram) -> set[Arrow]:
    """The arrows that lead back to a node on the way to their own source: they close loops."""
    out: dict[str, list[Arrow]] = {box.name: [] for box in diagram.boxes}
    for arrow in diagram.arrows:
        out[arrow.source].append(arrow)
    seen: set[str] = set()
    back: set[Arrow] = set()
    for root in [box.name for box in diagram.boxes]:
        path, todo = [root], [iter(() if root in seen else out[root])]
        while todo:
            found = next(todo[-1], None)
            if found is None:
                seen.add(path.pop())
                todo.pop()
            elif found.target in path:
                back.add(found)
            elif found.target not in seen:
                path.append(found.target)
                todo.append(iter(out[found.target]))
    return back


def _place(boxes: list[Vertex], routes: list[Route], bend: Callable[[], Vertex]) -> None:
    """Set the ranks and initial x coordinates, and add bends where routes pass a rank."""
    vertices = list(dict.fromkeys([*boxes, *(v for route in routes for v in route.stops)]))
    number = {vertex: i for i, vertex in enumerate(vertices)}
    segments = [(number[a], number[b]) for route in routes for a, b in route.downward]
    below = {b for _, b in segments}
    rootless = [(0, i) for i in range(1, len(vertices)) if i not in below]
    ((places, _, _, parts),) = from_edges(
        [*segments, *rootless],
        minimum_length=1,
        vertex_spacing=1,
        dummy_vertices=True,
        dummy_size=1,
        ranking_type="up",
    )
    at = {int(name): (round(-y), x) for name, (x, y) in places}
    for vertex, i in number.items():
        vertex.rank, vertex.x = at[i]
    bends = _bends([(int(a), int(b)) for a, b in parts or ()], len(vertices))
    for route in routes:
        route.pass_through(
            {
                (a, b): [_at(bend(), at[d]) for d in bends.get((number[a], number[b]), ())]
                for a, b in route.downward
            }
        )


def _bends(parts: list[tuple[int, int]], count: int) -> dict[tuple[int, int], list[int]]:
    """The library's dummy vertices (numbered from ``count``) of each edge that has some."""
    after = {a: b for a, b in parts if a >= count}
    found = {}
    for a, b in parts:
        chain = [b]
        while chain[-1] in after:
            chain.append(after[chain[-1]])
        if a < count and len(chain) > 1:
            found[a, chain[-1]] = chain[:-1]
    return found


def _at(vertex: Vertex, place: tuple[int, float]) -> Vertex:
    vertex.rank, vertex.x = place
    return vertex


def _by_rank(vertices: list[Vertex]) -> list[list[Vertex]]:
    ranks: dict[int, list[Vertex]] = {}
    for vertex in sorted(vertices, key=lambda v: (v.rank, v.x)):
        ranks.setdefault(vertex.rank, []).append(vertex)
    for number, rank in enumerate(ranks.values()):
        for vertex in rank:
            vertex.rank = number
    return list(ranks.values())


def _is_mirrored(ranks: list[list[Vertex]], boxes: list[Vertex]) -> bool:
    """Whether most boxes of the same rank are in reverse order of the spec."""
    number = {vertex: i for i, vertex in enumerate(boxes)}
    pairs = [
        number[a] < number[b]
        for rank in ranks
        for a, b in pairwise(vertex for vertex in rank if vertex in number)
    ]
    return 2 * sum(pairs) < len(pairs)


def _turn_outside(turning: Route, ranks: list[list[Vertex]], routes: list[Route]) -> None:
    """Let a route to its own source come up on the side where fewer other routes go."""
    source, words, bend, _ = turning.stops
    rank = next(rank for rank in ranks if words in rank)
    others = [
        rank.index(b)
        for r in routes
        if not r.turns
        for a, b in r.segments
        if a is source and b in rank
    ]
    places = sorted((rank.index(words), rank.index(bend)))
    left = sum(others) > len(others) * places[0]
    rank[places[0]], rank[places[1]] = (bend, words) if left else (words, bend)


def _straighten(ranks: list[list[Vertex]], routes: list[Route], gap: float) -> None:
    """Move every vertex towards its neighbours above and below, keeping order and distance."""
    near: dict[Vertex, list[tuple[Vertex, float]]] = {}
    segments = [(route, a, b) for route in routes for a, b in route.segments if a.rank != b.rank]
    leaving = Counter(a for route, a, _ in segments if not route.up)
    reaching = Counter(b for route, _, b in segments if not route.up)
    for route, a, b in segments:
        inner = not (isinstance(a.item, Box) or isinstance(b.item, Box))
        alone = not route.up and leaving[a] == reaching[b] == 1
        pull = 16.0 if inner or alone else 0.1 if route.up else 1.0
        near.setdefault(a, []).append((b, pull))
        near.setdefault(b, []).append((a, pull))
    for rank in ranks:
        for place, vertex in enumerate(rank):
            vertex.x = place
    sweeps = min(100, max(10, WORK // sum(map(len, ranks))))
    for sweep in range(sweeps):
        for rank in ranks if sweep % 2 == 0 else reversed(ranks):
            _settle(rank, near, gap)
    left = min(v.x - v.width / 2 for rank in ranks for v in rank)
    for vertex in (v for rank in ranks for v in rank):
        vertex.x -= left


def _unkink(stops: list[Vertex], kink: float) -> None:
    """Align bends exactly with the label, or with each other, where they nearly are aligned."""
    anchor = next((i for i, stop in enumerate(stops) if stop.item), 0)
    outward = [*pairwise(stops[anchor:]), *pairwise(stops[anchor::-1])]
    for fixed, bend in outward:
        if abs(fixed.x - bend.x) <= kink:
            bend.x = fixed.x


def _settle(rank: list[Vertex], near: dict[Vertex, list[tuple[Vertex, float]]], gap: float) -> None:
    wanted, offsets = [], [0.0]
    for vertex in rank:
        pulls = near.get(vertex, [])
        weight = sum(pull for _, pull in pulls) or 1.0
        x = sum(other.x * pull for other, pull in pulls) / weight if pulls else vertex.x
        wanted.append((x, weight))
    for a, b in pairwise(rank):
        offsets.append(offsets[-1] + (a.width + b.width) / 2 + gap)
    level = _isotonic([(x - offset, w) for (x, w), offset in zip(wanted, offsets, strict=True)])
    for vertex, x, offset in zip(rank, level, offsets, strict=True):
        vertex.x = x + offset


def _ports(vertex: Vertex, ends: Sequence[tuple[bool, float]], step: float) -> list[float]:
    """The x where each arrow meets a side of a vertex, from its direction and its other end."""
    if not isinstance(vertex.item, Box) or len({rises for rises, _ in ends}) < 2:
        return [vertex.x] * len(ends)
    reach = vertex.width / 2 - step
    found = [vertex.x] * len(ends)
    for side in (-1, 1):
        rising = [i for i, (rises, x) in enumerate(ends) if rises and (x >= vertex.x) == (side > 0)]
        for place, i in enumerate(sorted(rising, key=lambda i: abs(ends[i][1] - vertex.x)), 1):
            away = max(abs(ends[i][1] - vertex.x), step * place)
            found[i] = vertex.x + side * max(min(away, reach), 0)
    return found


def _isotonic(values: Sequence[tuple[float, float]]) -> list[float]:
    """The non-decreasing sequence nearest to weighted values, by pooling adjacent violators."""
    pools: list[tuple[float, float, int]] = []
    for value, weight in values:
        pools.append((value, weight, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (x, w, n), (y, u, m) = pools.pop(-2), pools.pop()
            pools.append(((x * w + y * u) / (w + u), w + u, n + m))
    return [value for value, _, count in pools for _ in range(count)]
