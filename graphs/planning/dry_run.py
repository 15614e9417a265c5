"""A dry run: an abstract interpretation of the graph, superstep by superstep, without a model.

Texts that no model has generated yet are represented by token counts. Some conditions depend on
what a model would write, so all branches that a run may take are followed in parallel. Branches
that reach the same nodes in the same superstep are merged, with the greater of their bounds, so the
work grows with the length of a run and not with the number of paths through it. A condition that
depends only on the round and the params is decided as in the run.

Where a run could have more than ``MAX_COUNT`` candidates, or items of a list, the dry run stops and
says that it has no bound.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from itertools import chain, islice, product, repeat
from operator import or_
from typing import Any, NamedTuple

from langgraph.graph import END as LANGGRAPH_END
from langgraph.graph import START as LANGGRAPH_START

from thinkgraph.graphs.language.condition import Condition
from thinkgraph.graphs.language.spec import ITEM, Limits, NodeSpec, Scalar, Spec
from thinkgraph.graphs.planning.spent import MAX_COUNT, NOTHING, Spent
from thinkgraph.graphs.runtime.routes import CONCLUDE, Link, Routes
from thinkgraph.nodes.base.cost import Cost, PopulationBounds, RequestBounds, TextBound, token_bound
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.base.param import bind
from thinkgraph.nodes.registry import node_kinds

MAX_STEPS = 10_000
"""Maximum number of supersteps of a dry run; a run's own limit is no greater."""
MAX_BRANCHES = 64
"""Maximum number of branches out of one superstep; more are merged into one."""
MAX_TRIED = 64
"""Maximum number of combinations of values with which a condition is tried."""

Price = Callable[[str, Iterable[RequestBounds], PopulationBounds, Mapping[str, Any]], Spent]
"""Returns the cost of a node's requests, for a population and the graph's params."""


@dataclass(frozen=True)
class Branch:
    """Where runs may be after some supersteps, with bounds of what they have spent."""

    active: Mapping[str, int]
    """The nodes of the next superstep, with the maximum number of runs of each."""
    population: PopulationBounds
    arrived: frozenset[tuple[int, str]] = frozenset()
    """Pairs of a join's number and a source that has reached the join."""
    counts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Minimum and maximum number of runs of each node, and of passes of each decided edge."""
    passed: int = 0
    """Minimum number of passes of bounded edges."""
    nodes: Mapping[str, Spent] = field(default_factory=dict)
    """Bound of what each node spent; their sum may be more than any run can reach."""
    total: Spent = NOTHING
    certain: bool = True
    """Whether every run of this branch runs all the active nodes."""

    @property
    def key(self) -> Any:
        """Where the branch is; branches with the same key are merged."""
        return frozenset(self.active), self.arrived

    def count(self, key: str) -> tuple[int, int]:
        """The minimum and maximum number of runs of a node, or passes of an edge."""
        return self.counts.get(key, (0, 0))

    def __or__(self, other: Branch) -> Branch:
        """Merge two branches, with the greater of their bounds."""
        keys = self.counts.keys() | other.counts.keys()
        both = {key: (self.count(key), other.count(key)) for key in keys}
        return Branch(
            active=_greater(self.active, other.active, max, 0),
            population=self.population | other.population,
            arrived=self.arrived | other.arrived,
            counts={key: (min(a[0], b[0]), max(a[1], b[1])) for key, (a, b) in both.items()},
            passed=min(self.passed, other.passed),
            nodes=_greater(self.nodes, other.nodes, or_, NOTHING),
            total=self.total | other.total,
            certain=self.certain and other.certain,
        )


def _greater(
    one: Mapping[str, Any], other: Mapping[str, Any], join: Callable[..., Any], missing: Any
) -> dict[str, Any]:
    """Two mappings with the values of each key joined, in the order of their keys."""
    return {k: join(one.get(k, missing), other.get(k, missing)) for k in {**one, **other}}


class Choice(NamedTuple):
    """The links that a node follows in one case, and the maximum number of live candidates then."""

    links: list[Link]
    live: int


class Outcome(NamedTuple):
    """What the runs of a node in one superstep spend, and the population after them."""

    total: Spent
    nodes: Mapping[str, Spent]
    """By node, what may count as its own: a fallback also gets what the failed node spent."""
    after: PopulationBounds


class DryRun:
    """A dry run of one graph with the values of its params.

    Args:
        spec: the graph, checked.
        params: the values of its params.
        used: returns the spec that a ``use`` names.
        price: returns the cost of requests.
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
        self._nodes = {name: self._bound(node) for name, node in spec.nodes.items()}
        self._links = [link for name in spec.nodes for link in self._routes.decisions(name)]
        self._most_passes = sum(link.at_most or 0 for link in self._links)

    def _bound(self, node: NodeSpec) -> Node | DryRun:
        use = node.used
        if use is None:
            settings = bind(node.settings, self._params)
            return node_kinds()[str(node.kind)].model_validate(settings)
        spec = self._used(use.graph)
        params = spec.bind(bind(use.params, self._params))
        return DryRun(spec, params, self._used, self._price)

    def run(self, before: PopulationBounds) -> Branch:
        """Follow all branches to their ends, and merge them."""
        declared = self._spec.inputs | self._spec.state
        shown = {name: text_bound(one.default, one.type) for name, one in declared.items()}
        fields = {**shown, **before.fields}
        start = Branch({}, replace(before, fields=fields, unjudged={}, judgements={}))
        targets, arrived = self._follow_fixed(start, LANGGRAPH_START)
        branches, ends = [replace(start, active=targets, arrived=arrived)], list[Branch]()
        for _ in range(MAX_STEPS):
            if not branches or not all(end.total.bounded for end in ends):
                break
            merged: dict[Any, Branch] = {}
            for after in (after for branch in branches for after in self._superstep(branch)):
                merged[after.key] = merged[after.key] | after if after.key in merged else after
            ends += [branch for branch in merged.values() if not branch.active]
            branches = [branch for branch in merged.values() if branch.active]
        end = reduce(or_, [*ends, *branches])
        total = end.total.updated(exact=end.total.exact and not branches)
        total = total.capped(_limits(self._spec.budget, self._params))
        nodes = {name: end.nodes[name] for name in self._spec.nodes if name in end.nodes}
        if not total.bounded:
            nodes = {name: spent.without_bound() for name, spent in nodes.items()}
        return replace(end, total=total, nodes=nodes)

    def _superstep(self, branch: Branch) -> Iterator[Branch]:
        """All branches that may follow from one superstep."""
        nodes, counts, step = dict(branch.nodes), dict(branch.counts), NOTHING
        populations = []
        for name, times in branch.active.items():
            outcome = self._run_node(name, times, branch)
            populations.append(outcome.after)
            step = step.beside(outcome.total)
            # If the node may have a fallback run in its place, neither is certain to run.
            certain = branch.certain and len(outcome.nodes) == 1
            for each, spent in outcome.nodes.items():
                nodes[each] = nodes.get(each, NOTHING) + spent
                low, high = counts.get(each, (0, 0))
                counts[each] = low + certain, high + 1
        population = branch.population.after(populations)
        total = branch.total + step
        done = replace(branch, population=population, nodes=nodes, counts=counts, total=total)
        if total.bounded and _largest_count(population) <= MAX_COUNT:
            yield from self._branches(branch, done)
        else:
            population = replace(population, live=min(population.live, MAX_COUNT))
            total = total.without_bound()
            yield replace(done, population=population, active={}, total=total)

    def _run_node(self, name: str, times: int, branch: Branch) -> Outcome:
        """The outcome of the runs of one node in a superstep."""
        whole = replace(branch.population, node=name, round=branch.count(name)[1])
        if name == CONCLUDE:
            return Outcome(NOTHING, {name: NOTHING}, whole)
        over = {link.each for link in self._links if link.target == name} - {None}
        alone = times > 1 and over == {"candidates"}  # each run sees a candidate of its own
        before = replace(whole, live=1) if alone else whole
        if items := [_items(whole.fields.get(str(each))) for each in over - {"candidates"}]:
            item = max(map(token_bound, sum(items, ())), default=0)
            before = replace(before, fields={**before.fields, ITEM: item})
        total, nodes, after = self._run_until_done(name, times, before, branch)
        after = replace(after, fields={k: v for k, v in after.fields.items() if k != ITEM})
        if times > 1:
            exact = total.exact and whole.exact
            total = total.updated(exact=exact).times(times)
            nodes = {each: one.updated(exact=exact).times(times) for each, one in nodes.items()}
            made = whole.made + times * (after.made - before.made)
            live = times * after.live
            if not alone:
                live = before.live + times * max(0, after.live - before.live)
            after = replace(after, made=made, live=live, exact=whole.exact and after.exact)
        return Outcome(total, nodes, after)

    def _run_until_done(
        self, name: str, times: int, before: PopulationBounds, branch: Branch
    ) -> Outcome:
        """The outcome of one run of a node, with its failed attempts and its fallback.

        Each attempt may run both the node and its fallback: if the fallback fails too, the node is
        tried again.
        """
        spent, after = self._attempt(name, times, before)
        node = self._spec.nodes[name]
        attempts, other = node.retry.max_attempts if node.retry else 1, node.fallback
        if attempts > 1:
            spent = spent.repeated(attempts).updated(exact=False)
        if other is None:
            return Outcome(spent, {name: spent}, after)
        before = replace(before, node=other, round=branch.count(other)[1])
        instead, after_other = self._attempt(other, times, before)
        both = (spent + instead.repeated(attempts)).updated(exact=False)
        nodes = {name: spent.updated(exact=False), other: both}
        return Outcome(both, nodes, after | after_other)

    def _attempt(
        self, name: str, times: int, before: PopulationBounds
    ) -> tuple[Spent, PopulationBounds]:
        """What one attempt of one run of a node spends, and the population if it succeeds."""
        node, limits = self._nodes[name], self._spec.nodes[name].budget
        if isinstance(node, DryRun):
            spent, after = self._run_used(node, self._spec.nodes[name], before, times)
        else:
            cost = node.cost(before)
            spent = self._price(name, cost.requests, before, self._params)
            spent, after = (
                spent.updated(
                    runs=1, exact=cost.exact, known=cost.known, tool_calls=cost.tool_calls
                ),
                self._after(cost, times),
            )
        if limits is None:
            return spent, after
        # A run that is cut short leaves the old population live.
        live = max(after.live, before.live + after.made - before.made)
        return spent.capped(_limits(limits, self._params)), replace(after, live=live, exact=False)

    def _run_used(
        self, node: DryRun, spec: NodeSpec, before: PopulationBounds, times: int
    ) -> tuple[Spent, PopulationBounds]:
        """What one run of a used graph spends, and this graph's population after it."""
        use = None if spec.shares_fields else spec.used
        begins = replace(before, fields={})
        if use is not None:
            known = {f"${name}": text_bound(value) for name, value in self._params.items()}
            known |= {"answer": before.longest, **before.fields}
            given = {n: known[outer] for n, outer in use.inputs.items() if outer in known}
            begins = replace(before, fields=given)
            if use.asks_anew:
                begins = PopulationBounds(fields=given)
        end = node.run(begins)
        fields = dict(before.fields)
        written = use.fields_written if use else {}
        for outer, inner in written.items():
            text: TextBound = end.population.fields.get(inner, end.population.longest)
            if inner == "candidates":
                text = (end.population.longest,) * end.population.live
            self._write(fields, outer, text, times)
        after = replace(before, fields=fields)
        if use is None or use.gives_population:
            after = replace(end.population, fields=fields, judgements=before.judgements)
            if use is not None and use.asks_anew:
                after = replace(after, live=before.live + after.live, made=before.made + after.made)
            # The graph may have added candidates, or revived some that were retired before.
            after = after.all_unjudged()
        return end.total.updated(runs=1), after

    def _after(self, cost: Cost, times: int) -> PopulationBounds:
        fields = dict(cost.after.fields)
        for name, text in cost.written.items():
            self._write(fields, name, text, times)
        return replace(cost.after, fields=fields)

    def _write(self, fields: dict[str, TextBound], name: str, text: TextBound, times: int) -> None:
        """Write a field of the state ``times`` times, by its reducer."""
        declared = self._spec.state.get(name)
        reducer = declared.reducer if declared else "replace"
        fields[name] = _reduced(reducer, fields.get(name, ()), text, times)

    def _branches(self, before: Branch, done: Branch) -> Iterator[Branch]:
        """One branch for each combination of what the nodes of a superstep may choose.

        A node that chooses sees its own run counted, and not those of nodes beside it.
        """
        fixed: dict[str, int] = {}
        arrived, certain = done.arrived, done.certain
        for name in done.active:
            if not self._routes.decides(name):
                found, arrived = self._follow_fixed(replace(done, arrived=arrived), name)
                fixed |= found
        deciding = [name for name in done.active if self._routes.decides(name)]
        choices = [
            list(self._choices(name, replace(done, counts=self._seen(name, before, done))))
            for name in deciding
        ]
        if math.prod(map(len, choices)) > MAX_BRANCHES:
            cases, certain = [[choice for each in choices for choice in each]], False
        else:
            cases = [list(case) for case in product(*choices)]
        done = replace(done, arrived=arrived, certain=certain)
        if not certain:
            done = replace(done, total=done.total.updated(exact=False))
        for case in cases:
            yield self._followed(done, fixed, case)

    def _followed(self, done: Branch, fixed: Mapping[str, int], case: list[Choice]) -> Branch:
        """The branch on which every deciding node has made its choice."""
        counts, active, passed = dict(done.counts), dict(fixed), done.passed
        for link in (link for choice in case for link in choice.links):
            low, high = done.count(link.key)
            counts[link.key] = low + done.certain, high + 1
            passed += done.certain and link.at_most is not None
            if link.target != LANGGRAPH_END:
                runs = max(1, self._targets(link, done.population)) if link.each else 1
                active[link.target] = max(runs, active.get(link.target, 0))
        population, live = done.population, done.population.live
        if done.certain:
            live = min((choice.live for choice in case), default=live)
        if live < population.live:
            population = replace(population, live=live, exact=live == 0)
        return replace(done, population=population, active=active, counts=counts, passed=passed)

    def _follow_fixed(
        self, branch: Branch, name: str
    ) -> tuple[dict[str, int], frozenset[tuple[int, str]]]:
        """Targets of a node's fixed edges; of joins only once all sources have arrived."""
        targets, arrived = {}, branch.arrived
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

    def _choices(self, name: str, done: Branch) -> Iterator[Choice]:
        """The choices that a deciding node may make."""
        links, rounds = self._routes.decisions(name), self._rounds(name, done)
        for link in links:
            if not link.conditional:
                continue
            is_open, live = self._open(link, rounds, done)
            if is_open is not False:
                yield Choice([link], live)
            if is_open:
                return
        yield Choice([link for link in links if not link.conditional], done.population.live)

    def _seen(self, name: str, before: Branch, done: Branch) -> dict[str, tuple[int, int]]:
        """The counts that a node sees when it chooses, at the end of a superstep."""
        own = {name, self._spec.nodes[name].fallback or name}
        return {**before.counts, **{each: done.count(each) for each in own}}

    def _rounds(self, name: str, done: Branch) -> range:
        """The rounds in which a node may choose; a fallback in its place has rounds of its own."""
        low, high = done.count(name)
        other = self._spec.nodes[name].fallback
        return range(low - 1, high) if other is None else range(max(high, done.count(other)[1]))

    def _open(self, link: Link, rounds: range, done: Branch) -> tuple[bool | None, int]:
        """Whether a link is open (None if unknown), and the maximum of live candidates if it is."""
        counted = [done.count(key) for key in (link.key, *([link.target] * link.repeats))]
        low, high = map(max, zip(*counted, strict=True))
        live, most = done.population.live, link.at_most
        if most is not None and (low >= most or done.passed >= self._most_passes):
            return False, live
        if link.when is None:
            holds: bool | None = True
        else:
            holds, live = decided(link.when, self._params, rounds, done.population)
        if holds and most is not None and high >= most:
            holds = None
        if link.each not in (None, "candidates") and not self._targets(link, done.population):
            return False, live
        if holds and link.each and not (done.population.exact and live):
            holds = None
        return holds, live

    def _targets(self, link: Link, population: PopulationBounds) -> int:
        """The maximum number of runs that a link with a fan-out starts."""
        if link.each == "candidates":
            return population.live
        return len(_items(population.fields.get(str(link.each))))


def _items(bound: TextBound | None) -> tuple[TextBound, ...]:
    """The items of a list; empty if the field is not a list."""
    return bound if isinstance(bound, tuple) else ()


def decided(
    condition: Condition,
    params: Mapping[str, Any],
    rounds: range,
    population: PopulationBounds,
) -> tuple[bool | None, int]:
    """Whether a condition holds (None if unknown), and the maximum of live candidates if it does.

    It is tried with all possible rounds, numbers of live candidates and lengths of lists. If there
    are more than ``MAX_TRIED`` combinations, the names with the most values are left unknown.
    """
    fields = {name: population.fields[name] for name in condition.names & population.fields.keys()}
    lists = {
        name: range(len(items) + 1)
        for name, items in fields.items()
        if isinstance(items, tuple) and _is_only_measured(name, condition.text)
    }
    counts = {"round": rounds, "live": range(population.live + 1), **lists}
    possible = {name: values for name, values in counts.items() if name in condition.names}
    while math.prod(map(len, possible.values())) > MAX_TRIED:
        del possible[max(possible, key=lambda name: len(possible[name]))]
    tried: dict[str, Sequence[Any]] = {
        name: [[""] * size for size in values] if name in lists else values
        for name, values in possible.items()
    }
    outcomes = [
        (given.get("live", population.live), condition.decide({**params, **given}))
        for given in (dict(zip(tried, each, strict=True)) for each in product(*tried.values()))
    ]
    truths = {truth for _, truth in outcomes}
    most = max((live for live, truth in outcomes if truth is not False), default=population.live)
    return truths.pop() if len(truths) == 1 else None, most


def _is_only_measured(name: str, text: str) -> bool:
    return len(re.findall(rf"\b{name}\b", text)) == len(re.findall(rf"\bsize\({name}\)", text))


def text_bound(value: Any, kind: str = "string") -> TextBound:
    """What a prompt shows for a known value."""
    if isinstance(value, list | tuple):
        return tuple(text_bound(item) for item in value)
    if value is None:
        return () if kind == "list" else ""
    return str(value)


def _reduced(reducer: str, old: TextBound, new: TextBound, times: int) -> TextBound:
    """A field after ``times`` writes; a list is cut one item after ``MAX_COUNT``."""
    if reducer == "append":
        items = old if isinstance(old, tuple) else (old,)
        added = new if isinstance(new, tuple) else (new,)
        more = chain.from_iterable(repeat(added, times))
        return tuple(islice(chain(items, more), MAX_COUNT + 1))
    if reducer in ("add", "merge"):
        return token_bound(old) + times * token_bound(new)
    return new


def _largest_count(population: PopulationBounds) -> int:
    """The number of live candidates, or the length of the longest list if it is greater."""
    return max(population.live, *map(len, map(_items, population.fields.values())), 0)


def _limits(limits: Limits | None, params: Mapping[str, Scalar]) -> Limits | None:
    return limits and Limits.model_validate(bind(limits.model_dump(mode="json"), params))
