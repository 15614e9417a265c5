"""The check context, as in ESLint: the valid parts of a spec, and `report` for its problems."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from pydantic import BaseModel, ValidationError

from thinkgraph.graphs.checker.schema_errors import Violation, violations
from thinkgraph.graphs.language.document import DataPath, Document
from thinkgraph.graphs.language.problem import Location, Problem, nearest
from thinkgraph.graphs.language.rules import problem
from thinkgraph.graphs.language.spec import (
    END,
    START,
    Edge,
    Input,
    Limits,
    NodeSpec,
    Param,
    Spec,
    StateField,
)
from thinkgraph.models.cached_property import cached_property
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.registry import node_kinds

M = TypeVar("M", bound=BaseModel)


MAX_PROBLEMS = 100
"""Maximum number of reported problems of one spec."""
MAX_LINKS = 2048
"""Maximum number of arrows of a spec, each from one node to one node."""


class TooManyProblems(Exception):
    """The maximum number of reported problems is reached."""


class Link(NamedTuple):
    """One arrow of an edge; ``sources`` are all sources of the join that it is part of."""

    edge: int
    source: str
    target: str
    sources: tuple[str, ...]


@dataclass
class CheckContext:
    """A spec under check: its well-formed parts, and the problems found so far.

    Attributes:
        source: the spec's text, or the graph composed in Python.
        nodes: the well-formed nodes, by name.
        kinds: the node kinds with their settings, of nodes whose kind is known and accepts them.
        edges: the well-formed edges, by their index in the text.
        found: the problems found so far.
        tools: the names of the tools that a run would be given; None if they aren't checked.
        verifiers: the same for verifiers.
    """

    source: Document
    inputs: dict[str, Input] = field(default_factory=dict)
    params: dict[str, Param] = field(default_factory=dict)
    state: dict[str, StateField] = field(default_factory=dict)
    nodes: dict[str, NodeSpec] = field(default_factory=dict)
    kinds: dict[str, Node] = field(default_factory=dict)
    edges: dict[int, Edge] = field(default_factory=dict)
    found: list[Problem] = field(default_factory=list)
    tools: Collection[str] | None = None
    verifiers: Collection[str] | None = None
    _corrections: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls,
        source: Document,
        tools: Collection[str] | None = None,
        verifiers: Collection[str] | None = None,
    ) -> CheckContext:
        """The context of a source; :meth:`check_schema` then reports the problems of its form."""
        problems = list(source.problems)
        context = cls(source, found=problems, tools=tools, verifiers=verifiers)
        data = source.data or {}
        context.inputs = _well_formed(Input, data.get("inputs"))
        context.params = _well_formed(Param, data.get("params"))
        context.state = _well_formed(StateField, data.get("state"))
        context.nodes = _well_formed(NodeSpec, data.get("nodes"), NODE_SETTINGS)
        context.edges = _edges(data.get("edges"))
        context.kinds = {n: node for n in context.nodes if (node := context._kind(n)) is not None}
        return context

    def check_schema(self) -> None:
        """Report violations of the models of the language."""
        if self.source.data is not None:
            for violation in violations(Spec, self.source.data):
                self.report_violation(violation)
            if len(self.links) > MAX_LINKS:
                message = f"the edges have more than {MAX_LINKS} arrows in total"
                self.report("TG104", ("edges",), message, key=True)

    def _kind(self, name: str) -> Node | None:
        node = self.nodes[name]
        kind = node_kinds().get(node.kind or "")
        if kind is None:
            return None
        return _mended(kind, node.settings, kind.model_fields.keys() | node.settings.keys())

    def report(
        self, code: str, path: DataPath, message: str, hint: str = "", *, key: bool = False
    ) -> None:
        """Report a problem of a value, or of its key."""
        self.report_at(code, path, self.source.locate(path, key=key), message, hint)

    def report_at(
        self, code: str, path: DataPath, location: Location, message: str, hint: str = ""
    ) -> None:
        """Report a problem at a location, unless the value there could not be parsed."""
        if not any(path[: len(broken)] == broken for broken in self.source.broken):
            self.found.append(problem(code, message, location, hint))
        if len(self.found) >= MAX_PROBLEMS:
            raise TooManyProblems

    def report_violation(self, violation: Violation, prefix: DataPath = ()) -> None:
        """Report a violation of a model, whose data is at the path ``prefix``."""
        path = prefix + violation.path
        location = self.source.locate(path, key=violation.key)
        if violation.line:
            location = self.source.locate_within(path, violation.line, 1)
        self.report_at(violation.code, path, location, violation.message, violation.hint)

    def declared(self, section: str) -> set[str]:
        """The names that a section of the text has, well-formed or not."""
        data = self.source.data or {}
        found = data.get(section)
        return {str(name) for name in found} if isinstance(found, dict) else set()

    @property
    def output(self) -> str:
        """The name of the channel that is the run's result, well-formed or not."""
        name = self.source.at(self.output_path)
        return name if name and isinstance(name, str) else "answer"

    @property
    def output_path(self) -> DataPath:
        """The path of the name of the output."""
        long = isinstance(self.source.at(("output",)), dict)
        return ("output", "field") if long else ("output",)

    @property
    def fields(self) -> set[str]:
        """The names of the params, inputs and state."""
        return self.declared("params") | self.declared("inputs") | self.declared("state")

    @property
    def targets(self) -> set[str]:
        """The names that an edge may use."""
        return self.declared("nodes") | {START, END}

    def edge_path(self, number: int) -> DataPath:
        """The path of an edge's fields."""
        item = self.source.at(("edges", number))
        if isinstance(item, dict) and len(item) == 1 and "path" not in item:
            return ("edges", number, next(iter(item)))
        return ("edges", number) if isinstance(self.source.at(("edges",)), list) else ("edges",)

    def chain_location(self, number: int, name: str | None = None) -> Location:
        """The location of an edge's chain, or of the first mention of a node in it."""
        path = self.edge_path(number)
        written = self.source.at(path)
        key = len(path) == 3
        if not key and isinstance(written, dict):
            path = (*path, "path")
        whole = self.source.locate(path, key=key)
        column = _column(self.edges[number].path, name) if name else None
        if name is None or column is None:
            return whole
        return self.source.locate_within(path, 1, column, len(name), key=key)

    @cached_property
    def links(self) -> list[Link]:
        """The arrows, with each misspelt name replaced by the most similar known one."""
        found = (
            Link(number, source, target, tuple(map(self._corrected, sources)))
            for number, edge in self.edges.items()
            for sources, targets in edge.links
            for source in map(self._corrected, sources)
            for target in map(self._corrected, targets)
        )
        return list(islice(found, MAX_LINKS + 1))

    @property
    def fanned(self) -> set[str]:
        """The nodes to which an edge fans out over a list."""
        over = {n for n, edge in self.edges.items() if edge.each not in (None, "candidates")}
        return {link.target for link in self.links if link.edge in over}

    def _corrected(self, name: str) -> str:
        if name not in self._corrections:
            guesses = len(self._corrections) < MAX_PROBLEMS + len(self.targets)
            known = name in self.targets or not guesses
            self._corrections[name] = name if known else nearest(name, self.targets) or name
        return self._corrections[name]

    @property
    def is_complete(self) -> bool:
        """Whether all nodes and edges are well-formed, so that their paths can be analysed."""
        data = self.source.data or {}
        edges = data.get("edges")
        count = len(edges) if isinstance(edges, list) else 1
        known = all({link.source, link.target} <= self.targets for link in self.links)
        complete = self.nodes.keys() == self.declared("nodes") and len(self.edges) == count
        few = len(self.links) <= MAX_LINKS
        return bool(self.nodes and self.edges and few and known and complete)

    @property
    def spec(self) -> Spec:
        """The well-formed parts, as a spec."""
        data = self.source.data or {}
        return Spec.model_construct(
            thinkgraph=1,
            name=str(data.get("name")),
            inputs=self.inputs,
            params=self.params,
            state=self.state,
            nodes=self.nodes,
            edges=tuple(self.edges.values()),
        )

    @property
    def limits(self) -> Iterator[tuple[DataPath, dict[str, Any]]]:
        """The budgets, with their paths."""
        for path in [("budget",), *(("nodes", name, "budget") for name in self.nodes)]:
            value = self.source.at(path)
            if isinstance(value, dict) and not violations(Limits, value):
                yield path, value


NODE_SETTINGS = frozenset({"budget", "retry", "fallback"})
"""Settings that are left out if they are invalid, so that the rest of a node is still checked."""


def _well_formed(
    model: type[M], section: Any, optional: Collection[str] = frozenset()
) -> dict[str, M]:
    if not isinstance(section, Mapping):
        return {}
    found = {str(name): _mended(model, data, optional) for name, data in section.items()}
    return {name: each for name, each in found.items() if each is not None}


def _mended(model: type[M], data: Any, optional: Collection[str]) -> M | None:
    """The data as a model, without invalid ones of the optional fields.

    So the valid rest is still checked; None if the rest is invalid too.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        refused = {each["loc"][0] for each in error.errors(include_url=False) if each["loc"]}
    if not isinstance(data, Mapping) or not refused <= set(optional) & data.keys():
        return None
    try:
        return model.model_validate({k: v for k, v in data.items() if k not in refused})
    except ValidationError:
        return None


def _edges(section: Any) -> dict[int, Edge]:
    items = section if isinstance(section, list) else [section] if isinstance(section, str) else []
    numbered = {str(number): item for number, item in enumerate(items)}
    return {int(number): edge for number, edge in _well_formed(Edge, numbered).items()}


def _column(chain: str, name: str) -> int | None:
    """The column, from 1, of a node's name in the text of a chain."""
    start = 0
    for stage in chain.split("->"):
        at = 0
        for part in stage.replace("[", ",").replace("]", ",").split(","):
            if part.strip() == name:
                return start + at + len(part) - len(part.lstrip()) + 1
            at += len(part) + 1
        start += len(stage) + 2
    return None
