"""The work of a node: a run of its kind, or of another graph."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Protocol

from langgraph.graph.state import CompiledStateGraph

from thinkgraph.graphs.checker.checks.data_flow import MERGING
from thinkgraph.graphs.language.spec import END, Scalar, Spec, Use
from thinkgraph.graphs.runtime import state as channels
from thinkgraph.graphs.runtime.budget import limited
from thinkgraph.graphs.runtime.context import RunContext
from thinkgraph.graphs.runtime.models import Roles
from thinkgraph.graphs.runtime.restart import keep, keep_sync, task_id
from thinkgraph.graphs.runtime.result import parsed
from thinkgraph.models import tracing  # noqa: F401 (here, and not first in an event loop)
from thinkgraph.models.errors import ModelError, ThinkgraphError
from thinkgraph.models.event_loop import wait_for
from thinkgraph.models.formats.tools import closed
from thinkgraph.nodes.answers import Extractor
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.base.sampling_node import CandidateNode, SamplingNode
from thinkgraph.nodes.population import State, Update
from thinkgraph.nodes.step import Step


class Work(Protocol):
    """The work of a node, with or without an event loop."""

    def invoke(self, state: State, step: Step) -> Update:
        """Do the work, without an event loop."""
        ...

    async def ainvoke(self, state: State, step: Step) -> Update:
        """Do the work within an event loop."""
        ...


@dataclass(frozen=True)
class KindWork:
    """The work of a node kind."""

    node: Node

    def invoke(self, state: State, step: Step) -> Update:
        """Run the kind, without an event loop."""
        if self.node.waits:
            step.keep = keep_sync
        return wait_for(self.node.run(state, step))

    async def ainvoke(self, state: State, step: Step) -> Update:
        """Load the node's models, then run the kind within an event loop."""
        if isinstance(step.models, Roles):
            roles = self.node.model_roles
            # One of several may fail; its error is raised again where it is asked.
            passed_over = (ModelError,) if len(roles) > 1 else ()
            for role in roles:
                with suppress(*passed_over):
                    await step.models.open(role)
        if self.node.waits:
            step.keep = keep
        return await self.node.run(state, step)


@dataclass(frozen=True)
class GraphWork:
    """Another graph as the work of a node; it works on the population as a node kind does."""

    spec: Spec
    params: Mapping[str, Scalar]
    app: CompiledStateGraph[Any, Any]
    names: Use | None = None
    """Names of its inputs and outputs; None passes all fields and takes the population."""

    def invoke(self, state: State, step: Step) -> Update:
        """Run the graph on the state; its usage counts as the node's."""
        given: Any = self._given(state, step)
        with self._counted(step) as context:
            values = self.app.invoke(given, context=context)
        return self._update(values, step)

    async def ainvoke(self, state: State, step: Step) -> Update:
        """Run the graph on the state; its usage counts as the node's."""
        given: Any = self._given(state, step)
        with self._counted(step) as context:
            values = await self.app.ainvoke(given, context=context)
        return self._update(values, step)

    def _given(self, state: State, step: Step) -> channels.Json:
        """The channel values that the graph starts with."""
        if self.names is None:
            return channels.plain(state, state.fields)
        known = {
            **state.fields,
            **{f"${name}": value for name, value in step.params.items()},
            "question": state.question,
            "answer": (state.answer and state.answer.value) or "",
        }
        given = {inner: known.get(outer) for inner, outer in self.names.inputs.items()}
        if self.names.asks_anew:
            return {**given, "question": str(given["question"] or "")}
        return channels.plain(state, given)

    @contextmanager
    def _counted(self, step: Step) -> Iterator[Any]:
        """The context of a run of the graph; its usage counts as the node's if it fails, too.

        A failed run returns no channels, which contain the usage of its nodes.
        """
        context = self._context(step)
        try:
            yield context
        except ThinkgraphError:
            step.usage += context.budget.used
            raise

    def _context(self, step: Step) -> RunContext:
        return RunContext(
            graph=self.spec,
            seed=step.seed,
            models=step.models,
            budget=limited(self.spec.budget, self.params, step.budget, task_id()),
            emit=step.emit,
            scope=f"{step.key}/",
            record=step.record,
            tools=step.tools,
            verifiers=step.verifiers,
        )

    def _update(self, values: Mapping[str, Any], step: Step) -> Update:
        step.usage += channels.total_usage(values)
        step.failures += channels.failures(values)
        after = channels.read(self.spec, values)
        written = self.names.fields_written if self.names else {}
        if self.names is not None and after.is_rejected:
            step.failures.append(f"the graph {self.spec.name!r} accepted nothing")
        fields = {outer: self._found(inner, after) for outer, inner in written.items()}
        if self.names is not None and not self.names.gives_population:
            return Update(fields=fields)
        return Update(
            candidates=tuple(after.candidates.values()),
            critiques=tuple(after.critiques.values()),
            answer=after.answer,
            fields=fields,
        )

    def _found(self, name: str, after: State) -> object:
        """The value of a name in ``into`` after the graph has run."""
        if name in self.spec.state:
            return after.fields[name]
        if name == "candidates":
            return [candidate.text for candidate in after.live]
        if after.answer is None:
            return ""
        return after.answer.text if name == "text" else after.answer.value or ""


OWN = frozenset({"json_schema", "grammar", "tagged", "thinking", "prefix"})
"""Settings by which a node constrains its own text; the output's schema is not applied then."""
STEPWISE = frozenset({"expand"})
"""Kinds whose texts are parts of an answer."""


class JsonText(Extractor):
    """The whole text as JSON in one notation, so that votes compare values."""

    name = "text"
    about = "the whole text as JSON"

    def find(self, text: str) -> str:
        """Return the value of the text as JSON, or the unchanged text if it isn't JSON."""
        return next((json.dumps(form, ensure_ascii=False) for form in parsed(text)), text)


def held(spec: Spec, name: str, node: Node) -> Node:
    """A spec's node, constrained to the schema of the spec's output if it samples that output."""
    schema = spec.output.json_schema
    if schema is None or not _samples_output(spec, name, node) or OWN & node.model_fields_set:
        return node
    changed: dict[str, Any] = {"json_schema": closed(schema)}
    if isinstance(node, CandidateNode) and "extract" not in node.model_fields_set:
        changed["extract"] = JsonText()
    return node.model_copy(update=changed)


def held_graph(spec: Spec, name: str, inner: Spec) -> Spec:
    """A used graph, with the schema of the spec's output if it produces that output."""
    use = spec.nodes[name].used
    answers = spec.output.field == inner.output.field == "answer"
    if spec.output.json_schema is None or inner.output.json_schema is not None or not answers:
        return inner
    if use is None or not use.gives_population or not _lasts(spec, name):
        return inner
    return inner.model_copy(update={"output": spec.output})


def _samples_output(spec: Spec, name: str, node: Node) -> bool:
    field = spec.output.field
    if not isinstance(node, SamplingNode):
        return False
    if field != "answer":
        replaced = field in spec.state and spec.state[field].reducer == "replace"
        return replaced and getattr(node, "into", None) == field and _writes_text(node, field)
    return isinstance(node, CandidateNode) and node.kind not in STEPWISE and _lasts(spec, name)


def _writes_text(node: Node, field: str) -> bool:
    return node.field_types.get(field) == "string"


def _lasts(spec: Spec, name: str) -> bool:
    """Whether a node's candidates may remain at the end of a run: no later node replaces them."""
    forward: dict[str, set[str]] = defaultdict(set)
    for edge in spec.edges:
        for sources, targets in edge.links:
            for source in sources:
                forward[source].update(targets)
    found = [name, *(owner for owner, node in spec.nodes.items() if node.fallback == name)]
    for at in found:
        follow = forward[at] - set(found)
        found += [n for n in follow if n == END or spec.nodes[n].kind not in MERGING]
    return END in found
