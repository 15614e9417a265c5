"""Control-flow analysis: reachability, and loops without a bound."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from itertools import pairwise

from thinkgraph.graphs.checker.context import CheckContext, Link
from thinkgraph.graphs.language.spec import END, START

Arrows = Mapping[str, set[str]]


def arrows(links: Iterable[Link], *, back: bool = False) -> Arrows:
    """The successors of each node, or its predecessors if ``back``."""
    found: dict[str, set[str]] = defaultdict(set)
    for link in links:
        source, target = (link.target, link.source) if back else (link.source, link.target)
        found[source].add(target)
    return found


def reached(start: str, leads: Arrows, avoiding: Iterable[str] = ()) -> set[str]:
    """Nodes reachable from a node (inclusive), without passing through ``avoiding`` nodes."""
    found, waiting, stops = {start}, [start], set(avoiding)
    while waiting:
        for name in leads.get(waiting.pop(), ()):
            if name not in found:
                found.add(name)
                if name not in stops:
                    waiting.append(name)
    return found


def paths(context: CheckContext) -> None:
    """Every node can be reached, and can reach END."""
    if not context.is_complete:
        return
    forward = reached(START, arrows(context.links))
    back = reached(END, arrows(context.links, back=True))
    if START not in {link.source for link in context.links}:
        return
    stand_ins = {node.fallback for node in context.nodes.values()}
    for name in context.nodes:
        if name in stand_ins and name not in forward:
            continue  # it runs as a fallback
        if name not in forward:
            hint = f"add an edge to it, such as `START -> {name}`, or delete it"
            message = f"`{name}` can't be reached from START"
            context.report("TG401", ("nodes", name), message, hint, key=True)
        elif name not in back:
            hint = f"add an edge from it, such as `{name} -> END`"
            message = f"`{name}` can't reach END"
            context.report("TG402", ("nodes", name), message, hint, key=True)


def loops(context: CheckContext) -> None:
    """Every loop has an edge with a bound."""
    inner = [link for link in context.links if not {START, END} & {link.source, link.target}]
    free = [link for link in inner if not context.edges[link.edge].is_bounded]
    leads = arrows(free)
    told: set[str] = set()
    for link in reversed(free):
        loop = _loop(link, leads) if link.source not in told else []
        if loop:
            told |= set(loop)
            message = f"the loop {' -> '.join(loop)} has no bound"
            hint = f"bound one of its edges: `{_decision(context, loop)}: {{repeat: 3}}`"
            location = context.chain_location(link.edge, link.source)
            context.report_at("TG403", ("edges", link.edge), location, message, hint)


def _loop(link: Link, leads: Arrows) -> list[str]:
    """The shortest loop through an arrow, with its first node again at the end; empty if none."""
    before: dict[str, str] = {link.target: ""}
    waiting = [link.target]
    for name in waiting:
        for following in sorted(leads.get(name, ())):
            if following not in before:
                before[following] = name
                waiting.append(following)
    if link.source not in before:
        return []
    way = [link.source]
    while before[way[-1]]:
        way.append(before[way[-1]])
    return [*reversed(way), link.target]


def _decision(context: CheckContext, loop: list[str]) -> str:
    """The arrow of a loop for which to suggest a bound: one with a condition, or its last."""
    pairs = list(pairwise(loop))
    for link in context.links:
        if (link.source, link.target) in pairs and context.edges[link.edge].when:
            return f"{link.source} -> {link.target}"
    return " -> ".join(pairs[-1])
