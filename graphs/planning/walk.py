"""A run without a model: the graph is followed superstep by superstep, with bounds for texts.

What a model would say decides where some edges lead, so all the ways that a run may take are
followed side by side. Ways that meet at the same nodes in the same superstep are one from there,
with the greater of their bounds; so the work grows with the length of a run and not with the
number of ways through it. A condition over the round and the params alone is decided as it will
be in the run.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import product
from typing import Any

from langgraph.graph import END as LANGGRAPH_END
from langgraph.graph import START as LANGGRAPH_START

from thinkgraph.graphs.language.condition import Condition, ConditionError, variable_types
from thinkgraph.graphs.language.spec import Limits, NodeSpec, Scalar, Spec
from thinkgraph.graphs.runtime.routes import CONCLUDE, Link, Routes
from thinkgraph.nodes.base.cost import Asked, Cost, Extent, Shown, tokens
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.base.param import bind
from thinkgraph.nodes.population import State
from thinkgraph.nodes.registry import node_kinds

MAX_STEPS = 10_000
"""Supersteps after which a walk ends; a run's own bound is no greater."""
MAX_WAYS = 64
"""Ways out of one superstep, beyond which they are followed together as one."""
MAX_TRIED = 64
"""Values that a condition is tried with, where only their bounds are known."""


NONE_LIVE = "live == 0"
"""A condition that tells how large the population is."""


@dataclass(frozen=True)
class Spend:
    """What requests come to, at most; a sum of them has the most cells of any."""

    runs: int = 0
    calls: int = 0
    samples: int = 0
    tokens: int = 0
    prompt_tokens: int = 0
    cells: int = 0
    seconds: float = 0.0
    exact: bool = True

    def __add__(self, other: Spend) -> Spend:
        return self._with(other, lambda a, b: a + b, cells=max(self.cells, other.cells))

    def __or__(self, other: Spend) -> Spend:
        """The greater of either; exact where they are as many."""
        same = self.runs, self.calls, self.samples
        alike = same == (other.runs, other.calls, other.samples)
        return self._with(other, max, exact=alike and self.exact and other.exact)

    def _with(self, other: Spend, join: Callable[[Any, Any], Any], **rest: Any) -> Spend:
        names = ("runs", "calls", "samples", "tokens", "prompt_tokens", "seconds")
        joined = {name: join(getattr(self, name), getattr(other, name)) for name in names}
        cells = max(self.cells, other.cells)
        return Spend(**{**joined, "cells": cells, "exact": self.exact and other.exact, **rest})

    def capped(self, limits: Limits | None) -> Spend:
        """What is left of it under a budget."""
        if limits is None:
            return self
        calls = self.calls if limits.calls is None else min(self.calls, limits.calls)
        sampled = self.tokens if limits.tokens is None else min(self.tokens, limits.tokens)
        seconds = self.seconds if limits.seconds is None else min(self.seconds, limits.seconds)
        left = replace(self, calls=calls, tokens=sampled, seconds=seconds)
        return left if left == self and limits.seconds is None else replace(left, exact=False)


Price = Callable[[str, Iterable[Asked], Extent, Mapping[str, Any]], Spend]
"""What a node's requests come to, with the extent and the graph's params that it has."""
NOTHING = Spend()


@dataclass(frozen=True)
class Journey:
    """What a whole run comes to.

    Attributes:
        total: of all nodes together.
        nodes: of each node by itself; their sum may be more than any run can reach.
        after: the population in the end.
        unknown: the nodes whose kinds don't tell their cost.
    """

    total: Spend
    nodes: Mapping[str, Spend]
    after: Extent
    unknown: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Front:
    """Where runs may be after some supersteps, and what they may have spent by then."""

    active: Mapping[str, int]
    """The nodes of the next superstep, and how many runs of each."""
    extent: Extent
    arrived: frozenset[tuple[int, str]] = frozenset()
    """Of joins by their numbers, the nodes that have come."""
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """The least and the most runs of each node, and passes of each decided edge."""
    passed: int = 0
    """Passes of bounded edges, at least."""
    nodes: Mapping[str, Spend] = field(default_factory=dict)
    total: Spend = NOTHING
    unknown: frozenset[str] = frozenset()
    sure: bool = True
    """Whether every run that comes here runs all the active nodes."""

    @property
    def key(self) -> Any:
        """Where it is: fronts of the same key are one."""
        return frozenset(self.active), self.arrived

    def __or__(self, other: Front) -> Front:
        """Either, with the greater bounds."""
        return Front(
            active={n: max(t, other.active.get(n, 0)) for n, t in self.active.items()}
            | {n: t for n, t in other.active.items() if n not in self.active},
            extent=either(self.extent, other.extent),
            arrived=self.arrived | other.arrived,
            counts={
                key: (
                    min(self._count(key)[0], other._count(key)[0]),
                    max(self._count(key)[1], other._count(key)[1]),
                )
                for key in self.counts.keys() | other.counts.keys()
            },
            passed=min(self.passed, other.passed),
            nodes={
                name: self.nodes.get(name, NOTHING) | other.nodes.get(name, NOTHING)
                for name in self.nodes.keys() | other.nodes.keys()
            },
            total=self.total | other.total,
            unknown=self.unknown | other.unknown,
            sure=self.sure and other.sure,
        )

    def _count(self, key: str) -> tuple[int, int]:
        return self.counts.get(key, (0, 0))


def either(one: Extent, other: Extent) -> Extent:
    """The greater of two extents."""
    unseen = {
        node: max(one.unseen.get(node, one.made), other.unseen.get(node, other.made))
        for node in one.unseen.keys() | other.unseen.keys()
    }
    fields = {
        name: greater(one.fields.get(name, 0), other.fields.get(name, 0))
        for name in one.fields.keys() | other.fields.keys()
    }
    return Extent(
        live=max(one.live, other.live),
        exact=one.exact and other.exact and one.live == other.live,
        made=max(one.made, other.made),
        text=max(one.text, other.text),
        said=max(one.said, other.said),
        unseen=unseen,
        fields=fields,
    )


def greater(one: Shown, other: Shown) -> Shown:
    """What is as long as either of two texts or lists."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        short, long = sorted((one, other), key=len)
        return (*map(greater, short, long), *long[len(short) :])
    if one == other:
        return one
    if isinstance(one, tuple) or isinstance(other, tuple):
        return one if isinstance(one, tuple) else other
    return max(tokens(one), tokens(other))


class Walk:
    """A walk through one graph with the values of its params.

    Args:
        spec: the graph, checked.
        params: the values.
        used: the spec that a ``use`` names.
        price: what requests come to.
    """

    def __init__(
        self,
        spec: Spec,
        params: Mapping[str, Scalar],
        used: Callable[[str], Spec],
        price: Price,
    ) -> None:
        self._spec, self._params, self._used, self._price = spec, params, used, price
        self._routes = Routes(spec, params)
        self._nodes = {name: self._made(node) for name, node in spec.nodes.items()}
        self._types = variable_types(spec)
        self._decided: dict[Any, bool | None] = {}
        links = [link for name in spec.nodes for link in self._routes.decisions(name)]
        self._bounds = sum(link.at_most or 0 for link in links)

    def _made(self, node: NodeSpec) -> Node | Walk:
        if node.kind is not None:
            settings = bind(node.settings, self._params)
            return node_kinds()[node.kind].model_validate(settings)
        spec = self._used(str(node.use))
        params = spec.bind(bind(node.params or {}, self._params))
        return Walk(spec, params, self._used, self._price)

    def run(self, before: Extent) -> Journey:
        """Follow all ways to their ends."""
        declared = self._spec.inputs | self._spec.state
        shown = {name: shape(one.default, one.type) for name, one in declared.items()}
        extent = replace(before, fields={**shown, **before.fields}, unseen={})
        start = Front({}, extent)
        targets = self._onward(start, LANGGRAPH_START)
        fronts, ends = [replace(start, active=targets[0], arrived=targets[1])], list[Front]()
        for _ in range(MAX_STEPS):
            if not fronts:
                break
            met: dict[Any, Front] = {}
            for after in (after for front in fronts for after in self._step(front)):
                met[after.key] = met[after.key] | after if after.key in met else after
            ends += [front for front in met.values() if not front.active]
            fronts = [front for front in met.values() if front.active]
        end = reduce(Front.__or__, [*ends, *fronts])
        total = replace(end.total, exact=end.total.exact and not fronts)
        total = total.capped(_bound(self._spec.budget, self._params))
        nodes = {name: end.nodes[name] for name in self._spec.nodes if name in end.nodes}
        return Journey(total, nodes, end.extent, end.unknown)

    def _step(self, front: Front) -> Iterator[Front]:
        """All that may come of one superstep."""
        extents, nodes, counts = [], dict(front.nodes), dict(front.counts)
        step, total, unknown = NOTHING, front.total, front.unknown
        for name, times in front.active.items():
            spent, after, strange = self._visit(name, times, front)
            extents.append(after)
            unknown |= strange
            nodes[name] = nodes.get(name, NOTHING) + spent
            low, high = counts.get(name, (0, 0))
            counts[name] = low + front.sure, high + 1
            # What runs side by side needs its cells at once.
            cells = step.cells + spent.cells
            step = replace(step + spent, cells=cells)
        extent = together(front.extent, extents)
        done = replace(
            front, extent=extent, nodes=nodes, counts=counts, total=total + step, unknown=unknown
        )
        yield from self._ways(done)

    def _visit(self, name: str, times: int, front: Front) -> tuple[Spend, Extent, frozenset[str]]:
        """What the runs of one node spend in a superstep, and the population after it."""
        before = replace(front.extent, node=name, round=front._count(name)[1])
        if name == CONCLUDE:
            return NOTHING, before, frozenset()
        whole = before
        if times > 1:  # one run for each candidate, which sees only that
            before = replace(before, live=1)
        node, limits = self._nodes[name], self._spec.nodes[name].budget
        if isinstance(node, Walk):
            inner = node.run(replace(before, said=before.said, fields={}))
            spent, after = replace(inner.total, runs=1), replace(inner.after, fields=before.fields)
            after, strange = replace(after, unseen=before.unseen), bool(inner.unknown)
        else:
            cost = node.cost(before)
            spent = self._price(name, cost.asked, before, self._params)
            spent = replace(spent, runs=1, exact=cost.exact)
            after, strange = self._written(cost), not cost.known
        if limits is not None:  # what it cuts short leaves the old population alive
            spent = spent.capped(_bound(limits, self._params))
            alive = max(after.live, before.live + after.made - before.made)
            after = replace(after, live=alive, exact=False)
        if times > 1:
            born = times * (after.made - before.made)
            spent = _times(replace(spent, exact=spent.exact and whole.exact), times)
            after = replace(after, made=whole.made + born)
            after = replace(after, live=times * after.live, exact=whole.exact and after.exact)
        return spent, after, frozenset({name}) if strange else frozenset()

    def _written(self, cost: Cost) -> Extent:
        fields = dict(cost.after.fields)
        for name, shown in cost.written.items():
            declared = self._spec.state.get(name)
            reducer = declared.reducer if declared else "replace"
            fields[name] = _reduced(reducer, fields.get(name, ()), shown)
        return replace(cost.after, fields=fields)

    def _ways(self, done: Front) -> Iterator[Front]:
        """Where the nodes of a superstep may lead, all together."""
        active: dict[str, int] = {}
        arrived = done.arrived
        for name in done.active:
            if not self._routes.decides(name):
                found, arrived = self._onward(replace(done, arrived=arrived), name)
                active |= found
        deciding = [name for name in done.active if self._routes.decides(name)]
        choices = [list(self._choices(name, done)) for name in deciding]
        sure = done.sure
        if math.prod(map(len, choices)) > MAX_WAYS:
            ways, sure = [[link for each in choices for links in each for link in links]], False
        else:
            ways = [[link for links in way for link in links] for way in product(*choices)]
        total = done.total if sure else replace(done.total, exact=False)
        for links in ways:
            counts, targets, passed = dict(done.counts), dict(active), done.passed
            for link in links:
                low, high = done._count(link.key)
                counts[link.key] = low + sure, high + 1
                passed += sure and link.at_most is not None
                if link.target != LANGGRAPH_END:
                    runs = max(1, done.extent.live) if link.each else 1
                    targets[link.target] = max(runs, targets.get(link.target, 0))
            none = any(link.when and NONE_LIVE in conjuncts(link.when.text) for link in links)
            yield replace(
                done,
                extent=replace(done.extent, live=0, exact=True) if none else done.extent,
                active=targets,
                arrived=arrived,
                counts=counts,
                passed=passed,
                total=total,
                sure=sure,
            )

    def _onward(self, front: Front, name: str) -> tuple[dict[str, int], frozenset[tuple[int, str]]]:
        """Where fixed edges lead from a node; those of joins only when all have come."""
        targets, arrived = {}, front.arrived
        for number, (sources, target) in enumerate(self._routes.fixed):
            if name not in sources:
                continue
            here = {source for join, source in arrived if join == number} | {name}
            if here.issuperset(sources):
                arrived = frozenset(each for each in arrived if each[0] != number)
                if target != LANGGRAPH_END:
                    targets[target] = 1
            else:
                arrived |= {(number, name)}
        return targets, arrived

    def _choices(self, name: str, done: Front) -> Iterator[list[Link]]:
        """The links that a deciding node may follow, in each case."""
        links = self._routes.decisions(name)
        low, high = done._count(name)
        for link in links:
            if not link.conditional:
                continue
            is_open = self._open(link, (low - 1, high - 1), done)
            if is_open is not False:
                yield [link]
            if is_open:
                return
        yield [link for link in links if not link.conditional]

    def _open(self, link: Link, rounds: tuple[int, int], done: Front) -> bool | None:
        """Whether a link is open; None if that can't be told."""
        low, high = done._count(link.key)
        if link.at_most is not None and (low >= link.at_most or done.passed >= self._bounds):
            return False
        holds = self._holds(link, rounds, done.extent)
        if holds and link.at_most is not None and high >= link.at_most:
            return None
        if holds and link.each:
            return True if done.extent.exact and done.extent.live else None
        return holds

    def _holds(self, link: Link, rounds: tuple[int, int], extent: Extent) -> bool | None:
        """Whether a link's condition holds; None if that hangs on what the model says."""
        if link.when is None:
            return True
        if rounds[1] - rounds[0] >= MAX_TRIED:
            return None
        sizes = {
            name: len(items)
            for name, items in extent.fields.items()
            if name in link.when.names and isinstance(items, tuple)
        }
        known = frozenset(sizes.items())
        found = {self._at(link.when.text, n, known) for n in range(rounds[0], rounds[1] + 1)}
        return found.pop() if len(found) == 1 else None

    def _at(self, text: str, number: int, sizes: frozenset[tuple[str, int]]) -> bool | None:
        key = text, number, sizes
        if key not in self._decided:
            given = {**self._params, "round": number}
            self._decided[key] = decided(text, self._types, given, dict(sizes))
        return self._decided[key]


def decided(
    text: str, types: Mapping[str, str], known: Mapping[str, Any], sizes: Mapping[str, int]
) -> bool | None:
    """Whether a condition holds, as far as that is known before the run.

    Args:
        text: the condition.
        types: of all that it may name.
        known: the params and the round.
        sizes: of lists of the state, how long each can be.
    """
    try:
        found = [_part(Condition(part, types), known, sizes) for part in conjuncts(text)]
    except ConditionError:  # a part can't be read, or fails, without the rest
        return None
    return False if False in found else None if None in found else True


def _part(part: Condition, known: Mapping[str, Any], sizes: Mapping[str, int]) -> bool | None:
    """Whether it is true, or false, whatever the lists' lengths are."""
    open_ = part.names - known.keys()
    measured = {name for name in open_ & sizes.keys() if _only_measured(name, part.text)}
    lengths = [range(sizes[name] + 1) for name in measured]
    if open_ != measured or math.prod(map(len, lengths)) > MAX_TRIED:
        return None
    tried = [dict(zip(measured, each, strict=True)) for each in product(*lengths)]
    states = [State(question="", fields={n: [""] * k for n, k in each.items()}) for each in tried]
    found = {part.holds(state, known["round"], known) for state in states}
    return found.pop() if len(found) == 1 else None


def _only_measured(name: str, text: str) -> bool:
    return len(re.findall(rf"\b{name}\b", text)) == len(re.findall(rf"\bsize\({name}\)", text))


def conjuncts(text: str) -> list[str]:
    """The conditions that a condition joins by ``&&``; itself if it has other joints outside."""
    if "\\" in text or "//" in text:
        return [text]
    parts, depth, quote, at = [""], 0, "", 0
    while at < len(text):
        letter = text[at]
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'":
            quote = letter
        depth += 0 if quote else (letter in "([{") - (letter in ")]}")
        if depth == 0 and not quote:
            if letter in "?|":
                return [text]
            if text.startswith("&&", at):
                parts.append("")
                at += 2
                continue
        parts[-1] += letter
        at += 1
    return [text] if quote else [part.strip() for part in parts]


def shape(value: Any, kind: str = "string") -> Shown:
    """What a prompt shows of a value that is known."""
    if isinstance(value, list | tuple):
        return tuple(shape(item) for item in value)
    if value is None:
        return () if kind == "list" else ""
    return str(value)


def together(before: Extent, after: list[Extent]) -> Extent:
    """The population after nodes that ran side by side."""
    if len(after) == 1:
        return after[0]
    grown = [max(each.made - before.made, each.live - before.live) for each in after]
    judged = {name for each in after for name in each.unseen}
    born = sum(each.made - before.made for each in after)
    fields: dict[str, Shown] = {}
    for each in after:
        fields |= {n: shown for n, shown in each.fields.items() if shown != before.fields.get(n)}
    return Extent(
        live=before.live + sum(grown),
        exact=all(each.exact and each.live >= before.live for each in after),
        made=before.made + born,
        text=max(each.text for each in after),
        said=max(each.said for each in after),
        unseen={
            name: min(each.unseen.get(name, before.made) for each in after) + born
            for name in judged
        },
        fields={**before.fields, **fields},
    )


def _times(spent: Spend, times: int) -> Spend:
    summed = reduce(Spend.__add__, [spent] * times)
    return replace(summed, cells=spent.cells * times)


def _reduced(reducer: str, old: Shown, new: Shown) -> Shown:
    if reducer == "append":
        items = old if isinstance(old, tuple) else (old,)
        return (*items, *(new if isinstance(new, tuple) else (new,)))
    if reducer in ("add", "merge"):
        return tokens(old) + tokens(new)
    return new


def _bound(limits: Limits | None, params: Mapping[str, Scalar]) -> Limits | None:
    return limits and Limits.model_validate(bind(limits.model_dump(mode="json"), params))
