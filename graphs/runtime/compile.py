"""The compiler: from a checked spec to a LangGraph ``StateGraph``.

Chains without conditions become LangGraph edges. A node with conditional edges returns a
``Command`` with its update and its destinations, since the number of times that an edge was
followed is part of the state and has to be written with the update. One node before the spec's
nodes begins the turn, and one after them concludes it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from langgraph.graph import END as LANGGRAPH_END
from langgraph.graph import START as LANGGRAPH_START
from langgraph.graph import StateGraph

from thinkgraph.graphs.language.spec import Spec
from thinkgraph.graphs.requirements import (
    Requirements,
    measures_entropies,
    requirements,
    with_confidence,
)
from thinkgraph.graphs.runtime.budget import RunBudgets, bound, least
from thinkgraph.graphs.runtime.context import Binding, Context
from thinkgraph.graphs.runtime.node import (
    Beginning,
    Conclusion,
    NodeRunnable,
    NodeRunner,
    retry_policy,
)
from thinkgraph.graphs.runtime.routes import CONCLUDE, Routes
from thinkgraph.graphs.runtime.state import Schemas
from thinkgraph.graphs.runtime.work import GraphWork, KindWork, Work, held, held_graph
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.base.param import bind
from thinkgraph.nodes.kinds.vote import Vote
from thinkgraph.nodes.prompts.prompt import load_prompt, prompts_in
from thinkgraph.nodes.registry import node_kinds

BEGIN = "_begin"
"""The first node of a run; no node of a spec can have this name."""
ANSWER = "thinkgraph_answer"
"""Key of a node's metadata: whether the text that the node streams is the answer."""


def build(
    spec: Spec, binding: Binding, *, stores: bool = True, within: bool = False
) -> StateGraph[Any, Any, Any, Any]:
    """Build the LangGraph graph of a spec, to be compiled.

    Args:
        spec: the graph.
        binding: what it is compiled with.
        stores: whether the graphs that it uses share its checkpointer; else they have none.
        within: whether it is used by another graph, and so starts with that graph's population.
    """
    if measures_entropies(spec, binding.params, binding.used):
        binding = replace(binding, confidence=True)
    schemas, routes = Schemas(spec), Routes(spec, binding.params)
    budgets = RunBudgets(least(bound(spec.budget, binding.params), binding.budget))
    rest = (spec, binding, routes, budgets)
    graph: StateGraph[Any, Any, Any, Any] = StateGraph(
        schemas.state,
        context_schema=Context,
        input_schema=schemas.state if within else schemas.input,
        output_schema=schemas.output,
    )
    required = requirements(spec, binding.params, binding.used) if not within else Requirements()
    graph.add_node(BEGIN, NodeRunnable(Beginning(BEGIN, spec, binding, required)))
    graph.add_edge(LANGGRAPH_START, BEGIN)
    work = {name: _work(spec, name, binding, stores) for name in spec.nodes}
    writers = _writers(work, routes)
    for name, node in spec.nodes.items():
        runner = NodeRunner(name, work[name], *rest)
        if (other := node.fallback) is not None:
            stand_in = NodeRunner(other, work[other], *rest, in_place_of=name)
            runner = replace(runner, fallback=stand_in)
        graph.add_node(
            name,
            NodeRunnable(runner),
            destinations=routes.destinations(name) or None,
            metadata=None if within else {ANSWER: name in writers},
            retry_policy=retry_policy(node.retry) if node.retry else None,
        )
    # Paths may end at different times; the run is concluded once, after the last.
    vote = Conclusion(CONCLUDE, KindWork(Vote()), *rest, writers=writers)
    metadata = None if within else {ANSWER: not writers}
    graph.add_node(CONCLUDE, NodeRunnable(vote), defer=True, metadata=metadata)
    graph.add_edge(CONCLUDE, LANGGRAPH_END)
    for sources, target in routes.fixed:
        after = [BEGIN if source == LANGGRAPH_START else source for source in sources]
        graph.add_edge(after[0] if len(after) == 1 else after, target)
    return graph


def _writers(work: Mapping[str, Work], routes: Routes) -> frozenset[str]:
    """The node whose text is the answer from its first token on, as a set; empty if there is none.

    It writes one candidate as the answer, all other candidates are its own or it reads and replaces
    them, and no node follows it.
    """
    kinds = {name: each.node for name, each in work.items() if isinstance(each, KindWork)}
    reads = {name for name, kind in kinds.items() if "candidates" in kind.input_channels}
    still = {name for name, kind in kinds.items() if "candidates" not in kind.output_channels}
    last = {name for name, kind in kinds.items() if kind.writes_answer and routes.ends_after(name)}
    found = {name for name in last if name in reads or work.keys() - still == {name}}
    return frozenset(found) if len(found) == 1 else frozenset()


def _read_prompts(node: Node) -> None:
    """Read the files of a node's prompts now, so that a run doesn't block its event loop."""
    for _, prompt in prompts_in(node):
        if isinstance(prompt, str):
            load_prompt(prompt)


def _work(graph: Spec, name: str, binding: Binding, stores: bool) -> Work:
    """The work of a node: a run of its kind, or of another graph."""
    node = graph.nodes[name]
    use = node.used
    if use is None:
        kind = node_kinds()[str(node.kind)].model_validate(bind(node.settings, binding.params))
        _read_prompts(kind)
        kind = held(graph, name, kind)
        return KindWork(with_confidence(kind) if binding.confidence else kind)
    spec = held_graph(graph, name, binding.used(use.graph))
    params = spec.bind(bind(use.params, binding.params))
    inner = replace(binding, params=params, budget=None)
    within = build(spec, inner, stores=stores, within=True)
    compiled = within.compile(checkpointer=None if stores else False)
    return GraphWork(spec, params, compiled, None if node.shares_fields else use)
