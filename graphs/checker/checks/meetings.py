"""Where paths meet: joins that can never fire, and nodes that run once for each of two paths."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Iterator
from itertools import combinations
from typing import NamedTuple

from thinkgraph.graphs.checker.checks.control_flow import Arrows, arrows, reached
from thinkgraph.graphs.checker.checks.data_flow import pairs
from thinkgraph.graphs.checker.context import CheckContext, Link
from thinkgraph.graphs.language.spec import END, START

MAX_MEETING = 16
"""Nodes with more paths into them than this are not checked."""


def joins(context: CheckContext) -> None:
    """The nodes that a join waits for can all run in the same run."""
    if not context.is_complete:
        return
    forward = arrows(context.links)
    deciding = {link.source for link in context.links if context.edges[link.edge].is_conditional}
    told: set[tuple[str, ...]] = set()
    for link in context.links:
        sources = link.sources
        if not 1 < len(sources) <= MAX_MEETING or sources in told or deciding & set(sources):
            continue
        if not set(sources) <= reached(START, forward):
            continue  # reported as a node that can't be reached
        told.add(sources)
        together = {frozenset(pair) for pair in pairs(context, sources)}
        for one, other in combinations(sources, 2):
            follow = other in reached(one, forward) or one in reached(other, forward)
            if not follow and frozenset((one, other)) not in together:
                message = f"no run has both `{one}` and `{other}`, so this join never fires"
                hint = f"give each an edge of its own: `{one} -> {link.target}`"
                location = context.chain_location(link.edge, one)
                context.report_at("TG416", ("edges", link.edge), location, message, hint)
                break


def lengths(context: CheckContext) -> None:
    """Parallel paths that meet in a node without a join have the same length."""
    if not context.is_complete:
        return
    into: dict[str, dict[str, Link]] = defaultdict(dict)
    for link in context.links:
        if len(link.sources) == 1 and link.source != START and link.target != END:
            into[link.target][link.source] = link
    for target, links in into.items():
        if not 1 < len(links) <= MAX_MEETING:
            continue
        for one, other in _unequal_pairs(context, links, target):
            message = f"`{target}` runs once after `{one}` and once more after `{other}`"
            hint = f"to run it once, after both, write `[{one}, {other}] -> {target}`"
            location = context.chain_location(links[other].edge, other)
            context.report_at("TG417", ("edges", links[other].edge), location, message, hint)
            break


def _unequal_pairs(
    context: CheckContext, sources: Collection[str], target: str
) -> Iterator[tuple[str, str]]:
    """The pairs of sources of a node on parallel paths of different lengths."""
    for one, other in pairs(context, sources):
        if _unequal(context, one, other, target):
            yield one, other
    yield from _detours(context, sources, target)


def _detours(
    context: CheckContext, sources: Collection[str], target: str
) -> Iterator[tuple[str, str]]:
    """The sources at both ends of a detour: a fork has an edge to the node, and one to a path."""
    forward = arrows(context.links)
    for fork, found in _parallel(context).items():
        if fork not in sources or target not in found:
            continue
        beside: set[str] = set()
        for first in found - {target}:
            beside |= {first} | reached(first, forward, avoiding={fork, target})
        # What only follows the target is no path beside it but a loop.
        beside -= reached(target, forward, avoiding={fork})
        yield from ((fork, other) for other in sources if other in beside - {fork, target})


def _unequal(context: CheckContext, one: str, other: str, target: str) -> bool:
    """Whether two parallel nodes may run at different numbers of steps after their fork."""
    leads: dict[str, set[str]] = {
        source: targets - {target} for source, targets in arrows(context.links).items()
    }
    for fork in _forks(context, one, other):
        spans = {_Span.between(fork, node, leads) for node in (one, other)}
        if len(spans) > 1 or any(span.shortest != span.longest for span in spans):
            return True
    return False


def _forks(context: CheckContext, one: str, other: str) -> Iterator[str]:
    """The nodes whose parallel edges lead to both nodes, by separate targets."""
    forward = arrows(context.links)
    for fork, found in _parallel(context).items():
        to_one = {target for target in found if one in reached(target, forward)}
        to_other = {target for target in found if other in reached(target, forward)}
        if to_one and to_other and to_one.isdisjoint(to_other):
            yield fork


def _parallel(context: CheckContext) -> dict[str, set[str]]:
    """By node, the targets of its unconditional edges, which run in parallel."""
    targets: dict[str, set[str]] = defaultdict(set)
    for link in context.links:
        if not context.edges[link.edge].is_conditional:
            targets[link.source].add(link.target)
    return targets


class _Span(NamedTuple):
    """The minimum and maximum number of steps between two nodes."""

    shortest: float
    longest: float

    @classmethod
    def between(cls, start: str, end: str, leads: Arrows) -> _Span:
        back: dict[str, set[str]] = defaultdict(set)
        for source, targets in leads.items():
            for target in targets:
                back[target].add(source)
        between = reached(start, leads) & reached(end, back)
        known: dict[str, _Span] = {end: cls(0, 0)}

        def span(name: str, before: frozenset[str]) -> _Span:
            if name in before:
                return cls(math.inf, math.inf)  # a loop
            if name not in known:
                following = leads.get(name, set()) & between
                spans = [span(each, before | {name}) for each in following]
                found = cls(
                    1 + min((each.shortest for each in spans), default=math.inf),
                    1 + max((each.longest for each in spans), default=math.inf),
                )
                if before:
                    known[name] = found
                return found
            return known[name]

        return span(start, frozenset())
