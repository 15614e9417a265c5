"""What a node does: what its kind does, or the whole of another graph."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from langgraph.graph.state import CompiledStateGraph

from thinkgraph.graphs.language.spec import Scalar, Spec
from thinkgraph.graphs.runtime import state as channels
from thinkgraph.graphs.runtime.budget import limited
from thinkgraph.graphs.runtime.context import RunContext
from thinkgraph.graphs.runtime.models import Roles
from thinkgraph.models import tracing  # noqa: F401 (here, and not first in an event loop)
from thinkgraph.models.event_loop import wait_for
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.population import State, Update
from thinkgraph.nodes.step import Step


class Work(Protocol):
    """What a node does, with or without an event loop."""

    def invoke(self, state: State, step: Step) -> Update:
        """Work to the end."""
        ...

    async def ainvoke(self, state: State, step: Step) -> Update:
        """Work."""
        ...


@dataclass(frozen=True)
class KindWork:
    """The work of a node kind."""

    node: Node

    def invoke(self, state: State, step: Step) -> Update:
        """Run it to its end."""
        return wait_for(self.node.run(state, step))

    async def ainvoke(self, state: State, step: Step) -> Update:
        """Run it, once its model is open."""
        role = getattr(self.node, "model", None)
        if isinstance(role, str) and isinstance(step.models, Roles):
            await step.models.open(role)
        return await self.node.run(state, step)


@dataclass(frozen=True)
class GraphWork:
    """Another graph as the work of a node: it works on the population as a node does."""

    spec: Spec
    params: Mapping[str, Scalar]
    app: CompiledStateGraph[Any, Any]

    def invoke(self, state: State, step: Step) -> Update:
        """Run the graph on the state; what it spends is the node's."""
        given: Any = channels.plain(state)
        return self._update(self.app.invoke(given, context=self._context(step)), step)

    async def ainvoke(self, state: State, step: Step) -> Update:
        """Run the graph on the state; what it spends is the node's."""
        given: Any = channels.plain(state)
        return self._update(await self.app.ainvoke(given, context=self._context(step)), step)

    def _context(self, step: Step) -> RunContext:
        limits, budget = self.spec.budget, step.budget
        return RunContext(
            graph=self.spec,
            seed=step.seed,
            models=step.models,
            budget=limited(limits, self.params, budget) if limits else budget,
            emit=step.emit,
            scope=f"{step.key}/",
            record=step.record,
        )

    def _update(self, values: Mapping[str, Any], step: Step) -> Update:
        step.usage += channels.total_usage(values)
        step.failures += channels.failures(values)
        after = channels.read(self.spec, values)
        return Update(
            candidates=tuple(after.candidates.values()),
            critiques=tuple(after.critiques.values()),
            answer=after.answer,
        )
