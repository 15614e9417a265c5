"""Where paths meet: joins that can never fire, and nodes that run once for each of two paths."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
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
        for one, other in pairs(context, links):
            if _unequal(context, one, other, target):
                message = f"`{target}` runs once after `{one}` and once more after `{other}`"
                hint = f"to run it once, after both, write `[{one}, {other}] -> {target}`"
                location = context.chain_location(links[other].edge, other)
                context.report_at("TG417", ("edges", links[other].edge), location, message, hint)
                break


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
    targets: dict[str, set[str]] = defaultdict(set)
    for link in context.links:
        if not context.edges[link.edge].is_conditional:
            targets[link.source].add(link.target)
    forward = arrows(context.links)
    for fork, found in targets.items():
        to_one = {target for target in found if one in reached(target, forward)}
        to_other = {target for target in found if other in reached(target, forward)}
        if to_one and to_other and to_one.isdisjoint(to_other):
            yield fork


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
