"""From a checked spec to a LangGraph ``StateGraph``: one LangGraph node for each of its own.

Chains without conditions become LangGraph's edges. A node that decides where to go returns a
``Command`` with its update and its destinations, since how often an edge was followed is part
of the state and has to be written with it. Before the spec's nodes a turn begins, and after
them it is concluded.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from langgraph.graph import END as LANGGRAPH_END
from langgraph.graph import START as LANGGRAPH_START
from langgraph.graph import StateGraph

from thinkgraph.graphs.language.spec import NodeSpec, Spec
from thinkgraph.graphs.runtime.budget import RunBudgets, bound, least
from thinkgraph.graphs.runtime.context import Context
from thinkgraph.graphs.runtime.node import (
    Beginning,
    Binding,
    Conclusion,
    GraphWork,
    KindWork,
    NodeRunnable,
    NodeRunner,
    Work,
)
from thinkgraph.graphs.runtime.routes import CONCLUDE, Routes
from thinkgraph.graphs.runtime.state import Schemas
from thinkgraph.nodes.base.param import bind
from thinkgraph.nodes.registry import node_kinds

BEGIN = "_begin"
"""The node before all others; no node of a spec can have its name."""


def build(spec: Spec, binding: Binding, *, within: bool = False) -> StateGraph[Any, Any, Any, Any]:
    """The LangGraph graph of a spec, to be compiled.

    Args:
        spec: the graph.
        binding: what it is compiled with.
        within: whether it is a node's work in another, and so begins with that one's population.
    """
    schemas, routes = Schemas(spec), Routes(spec, binding.params)
    budgets = RunBudgets(least(bound(spec.budget, binding.params), binding.budget))
    rest = (spec, binding, routes, budgets)
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(
        schemas.state,
        context_schema=Context,
        input_schema=schemas.state if within else schemas.input,
        output_schema=schemas.output,
    )
    graph.add_node(BEGIN, NodeRunnable(Beginning(BEGIN, spec)))
    graph.add_edge(LANGGRAPH_START, BEGIN)
    for name, node in spec.nodes.items():
        runner = NodeRunner(name, _work(node, binding), *rest)
        graph.add_node(name, NodeRunnable(runner), destinations=routes.destinations(name) or None)
    # Paths may end at different times; the run is concluded once, after the last.
    vote = Conclusion(CONCLUDE, _work(NodeSpec(kind="vote"), binding), *rest)
    graph.add_node(CONCLUDE, NodeRunnable(vote), defer=True)
    graph.add_edge(CONCLUDE, LANGGRAPH_END)
    for sources, target in routes.fixed:
        after = [BEGIN if source == LANGGRAPH_START else source for source in sources]
        graph.add_edge(after[0] if len(after) == 1 else after, target)
    return graph


def _work(node: NodeSpec, binding: Binding) -> Work:
    """What a node does: its kind's run, or the whole of another graph."""
    if node.kind is not None:
        settings = bind(node.settings, binding.params)
        return KindWork(node_kinds()[node.kind].model_validate(settings))
    spec = binding.used(str(node.use))
    params = spec.bind(bind(node.params or {}, binding.params))
    inner = replace(binding, params=params, budget=None)
    return GraphWork(spec, params, build(spec, inner, within=True).compile())
