"""Routing: the edges of each node, unconditional ones and conditional branches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from langgraph.graph import START as LANGGRAPH_START

from thinkgraph.graphs.language.condition import Condition, variable_types
from thinkgraph.graphs.language.spec import END, START, Edge, Scalar, Spec
from thinkgraph.nodes.base.param import bind
from thinkgraph.nodes.population import State

CONCLUDE = "conclude"
"""The node at the end of every path: it votes if needed, and writes the answer's message."""


class Routes:
    """The edges of a graph: fixed ones, and the links among which deciding nodes choose."""

    def __init__(self, spec: Spec, params: Mapping[str, Scalar]) -> None:
        self._types = variable_types(spec)
        self._params = params
        self._decisions: dict[str, list[Link]] = {}
        deciding = {
            sources[0] for edge in spec.edges if edge.is_conditional for sources, _ in edge.links
        }
        self.fixed: list[tuple[tuple[str, ...], str]] = []
        for edge in spec.edges:
            for sources, targets in edge.links:
                for target in targets:
                    if deciding.isdisjoint(sources):
                        self.fixed += _arrows(sources, target)
                    else:
                        link = self._link(edge, sources[0], target)
                        self._decisions.setdefault(sources[0], []).append(link)

    def _link(self, edge: Edge, source: str, target: str) -> Link:
        return Link(
            key=f"{source} -> {target} {edge.when or ''}".strip(),
            target=CONCLUDE if target == END else target,
            conditional=edge.is_conditional,
            when=Condition(edge.when, self._types) if edge.when else None,
            at_most=bind(edge.bound, self._params),
            repeats=edge.repeat is not None,
            each=edge.each,
        )

    def ends_after(self, node: str) -> bool:
        """Whether all edges from a node lead to the end of the run."""
        targets = {target for sources, target in self.fixed if node in sources}
        targets |= {link.target for link in self.decisions(node)}
        return targets == {CONCLUDE}

    def decides(self, node: str) -> bool:
        """Whether a node chooses among its edges."""
        return node in self._decisions

    def decisions(self, node: str) -> list[Link]:
        """The links among which a deciding node chooses, in their order."""
        return self._decisions.get(node, [])

    def destinations(self, node: str) -> dict[str, str]:
        """The targets of a deciding node, each with a label for drawings."""
        return {link.target: link.label for link in self.decisions(node)}

    def follow(self, node: str, state: State, round: int, counts: Mapping[str, int]) -> list[Link]:
        """The links that a deciding node follows in a state."""
        links = self._decisions[node]
        for link in links:
            if link.conditional and link.open(state, round, self._params, counts):
                return [link]
        return [link for link in links if not link.conditional]


@dataclass(frozen=True)
class Link:
    """One arrow from a deciding node to a target."""

    key: str
    target: str
    conditional: bool
    when: Condition | None
    at_most: int | None
    """Maximum number of passes; if ``repeats``, also of runs of the target."""
    repeats: bool
    each: str | None
    """What the link fans out over: ``candidates``, or a list field."""

    @property
    def label(self) -> str:
        """The condition and the bound, in a few words."""
        words = [self.key.partition(" -> ")[2].partition(" ")[2]]
        if self.at_most is not None:
            words.append(f"repeat {self.at_most}" if self.repeats else f"at most {self.at_most}×")
        return ", ".join(filter(None, words))

    def items(self, state: State) -> Sequence[Any]:
        """The items that the link fans out over, with one run of the target for each."""
        if self.each == "candidates":
            return state.live
        found = state.fields.get(self.each or "")
        return found if isinstance(found, list) else ()

    def passes(self, counts: Mapping[str, int]) -> int:
        """How much of the bound is used: the greater of both counts.

        The target may also run by other edges, and a fallback may run in its place.
        """
        runs = counts.get(self.target, 0) if self.repeats else 0
        return max(runs, counts.get(self.key, 0))

    def open(
        self, state: State, round: int, params: Mapping[str, Scalar], counts: Mapping[str, int]
    ) -> bool:
        """Whether the link may be followed: bound not reached, items to run for, condition true."""
        if self.at_most is not None and self.passes(counts) >= self.at_most:
            return False
        if self.each and not self.items(state):
            return False
        return self.when is None or self.when.holds(state, round, params)


def _arrows(sources: tuple[str, ...], target: str) -> list[tuple[tuple[str, ...], str]]:
    """The fixed edges of one stage: a join of all sources, but one edge per source to the end."""
    if target == END:
        return [((source,), CONCLUDE) for source in sources]
    return [(tuple(LANGGRAPH_START if s == START else s for s in sources), target)]
