"""From a checked spec to a LangGraph ``StateGraph``: one LangGraph node for each of its own.

Chains without conditions become LangGraph's edges. A node that decides where to go returns a
``Command`` with its update and its destinations, since how often an edge was followed is part
of the state and has to be written with it.
"""

from __future__ import annotations

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict, TypeVar

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.graph import END as LANGGRAPH_END
from langgraph.graph import START as LANGGRAPH_START
from langgraph.graph import StateGraph
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import get_runtime
from langgraph.types import Command, Send

from thinkgraph.graphs.language.condition import Condition, variable_types
from thinkgraph.graphs.language.spec import END, START, Edge, Limits, NodeSpec, Scalar, Spec
from thinkgraph.graphs.runtime import state as channels
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Budget, Model, Usage
from thinkgraph.nodes.base.param import bind
from thinkgraph.nodes.event import NodeEvent, NodeStarted
from thinkgraph.nodes.population import State, Update
from thinkgraph.nodes.prompts.prompt import Prompt
from thinkgraph.nodes.registry import node_kinds
from thinkgraph.nodes.step import Step

NOTHING = Usage()
CONCLUDE = "conclude"
"""The node that is added before END where a path would end without an answer: a vote."""

T = TypeVar("T")
Models = Callable[[str], Model]
"""A model by its role; the empty role is the run's model."""
Work = Callable[[State, Step], Awaitable[Update]]
"""What a node does."""


class Context(TypedDict, total=False):
    """What one invocation may set: LangGraph's ``context=``.

    ``emit`` is told the run's events in place of LangGraph's custom stream; ``scope`` goes before
    the names of the nodes. A graph that uses another sets both.
    """

    seed: int
    models: Models
    budget: Budget
    emit: Callable[[NodeEvent], None]
    scope: str


@dataclass(frozen=True)
class Binding:
    """What a graph is compiled with.

    Attributes:
        params: the value of every param.
        models: of runs whose context has none.
        used: the spec that a ``use`` names.
        seed: of runs whose context has none.
        prompts: prompts that replace built-in ones of the same name.
    """

    params: Mapping[str, Scalar]
    models: Models
    used: Callable[[str], Spec]
    seed: int = 0
    prompts: Mapping[str, Prompt] = field(default_factory=dict)


def build(spec: Spec, binding: Binding) -> StateGraph[Any, Context, Any, Any]:
    """The LangGraph graph of a spec, to be compiled."""
    graph = StateGraph(channels.schema(spec), context_schema=Context)
    routes = Routes(spec, binding.params)
    for name, node in spec.nodes.items():
        runner = Runner(name, _work(node, binding), spec, binding, routes)
        graph.add_node(name, NodeRunnable(runner), destinations=routes.destinations(name) or None)
    if routes.concludes:
        runner = Runner(CONCLUDE, _work(NodeSpec(kind="vote"), binding), spec, binding, routes)
        graph.add_node(CONCLUDE, NodeRunnable(runner))
        graph.add_edge(CONCLUDE, LANGGRAPH_END)
    for sources, target in routes.fixed:
        graph.add_edge(sources[0] if len(sources) == 1 else list(sources), target)
    return graph


def gives(node: NodeSpec) -> frozenset[str]:
    """The channels that a node writes."""
    if node.kind is not None:
        return node_kinds()[node.kind].output_channels
    return frozenset({"candidates", "critiques", "answer"})


def _work(node: NodeSpec, binding: Binding) -> Work:
    """What a node does: its kind's run, or the whole of another graph."""
    if node.kind is not None:
        settings = bind(node.settings, binding.params)
        return node_kinds()[node.kind].model_validate(settings).run
    spec = binding.used(str(node.use))
    inner = replace(binding, params=spec.bind(bind(node.params or {}, binding.params)))
    return Used(spec, inner.params, build(spec, inner).compile()).run


class Routes:
    """Where each node leads: the fixed edges, and the decisions of the nodes that have some."""

    def __init__(self, spec: Spec, params: Mapping[str, Scalar]) -> None:
        self._answering = {name for name, node in spec.nodes.items() if "answer" in gives(node)}
        self._types = variable_types(spec)
        self._params = params
        self.concludes = False
        self._decisions: dict[str, list[Link]] = {}
        deciding = {
            sources[0] for edge in spec.edges if edge.is_conditional for sources, _ in edge.links
        }
        self.fixed: list[tuple[tuple[str, ...], str]] = []
        for edge in spec.edges:
            for sources, targets in edge.links:
                for target in targets:
                    if deciding.isdisjoint(sources):
                        start = tuple(LANGGRAPH_START if s == START else s for s in sources)
                        self.fixed.append((start, self._place(target, sources)))
                    else:
                        link = self._link(edge, sources[0], target)
                        self._decisions.setdefault(sources[0], []).append(link)

    def _place(self, target: str, sources: tuple[str, ...]) -> str:
        if target != END:
            return target
        if self._answering.issuperset(sources):
            return LANGGRAPH_END
        self.concludes = True
        return CONCLUDE

    def _link(self, edge: Edge, source: str, target: str) -> Link:
        return Link(
            key=f"{source} -> {target} {edge.when or ''}".strip(),
            target=self._place(target, (source,)),
            conditional=edge.is_conditional,
            when=Condition(edge.when, self._types) if edge.when else None,
            at_most=bind(edge.at_most, self._params),
            each=edge.each is not None,
        )

    def decides(self, node: str) -> bool:
        """Whether a node chooses among its edges."""
        return node in self._decisions

    def decisions(self, node: str) -> list[Link]:
        """The arrows among which a deciding node chooses, in their order."""
        return self._decisions.get(node, [])

    def destinations(self, node: str) -> dict[str, str]:
        """Where a deciding node may go, with a label for the drawing."""
        return {link.target: link.label for link in self.decisions(node)}

    def follow(self, node: str, state: State, round: int, counts: Mapping[str, int]) -> list[Link]:
        """The edges that a deciding node follows now."""
        links = self._decisions[node]
        for link in links:
            if link.conditional and link.open(state, round, self._params, counts):
                return [link]
        return [link for link in links if not link.conditional]


@dataclass(frozen=True)
class Link:
    """One arrow out of a deciding node."""

    key: str
    target: str
    conditional: bool
    when: Condition | None
    at_most: int | None
    each: bool

    @property
    def label(self) -> str:
        """The condition and the bound, in a few words."""
        words = [self.key.partition(" -> ")[2].partition(" ")[2]]
        if self.at_most is not None:
            words.append(f"at most {self.at_most}×")
        return ", ".join(filter(None, words))

    def open(
        self, state: State, round: int, params: Mapping[str, Scalar], counts: Mapping[str, int]
    ) -> bool:
        """Whether it may be followed: its bound isn't reached and its condition holds."""
        if self.at_most is not None and counts.get(self.key, 0) >= self.at_most:
            return False
        if self.each and not state.live:
            return False
        return self.when is None or self.when.holds(state, round, params)


@dataclass(frozen=True)
class Used:
    """Another graph as the work of a node: it works on the population as a node does."""

    spec: Spec
    params: Mapping[str, Scalar]
    app: CompiledStateGraph[Any, Context, Any, Any]

    async def run(self, state: State, step: Step) -> Update:
        """Run the graph on the state; what it spends is the node's."""
        context: Context = {
            "seed": step.seed,
            "models": step.models,
            "emit": step.emit,
            "scope": f"{step.key}/",
        }
        limits = self.spec.budget
        budget = limited(limits, self.params, NOTHING, step.budget) if limits else step.budget
        if budget is not None:
            context["budget"] = budget
        values = await self.app.ainvoke(channels.plain(state), context=context)
        step.usage += channels.total_usage(values)
        after = channels.read(self.spec, values)
        return Update(
            candidates=tuple(after.candidates.values()),
            critiques=tuple(after.critiques.values()),
            answer=after.answer,
        )


class NodeRunnable(Runnable[Any, Any]):
    """A node as LangGraph calls it, with or without an event loop.

    LangGraph traces a node itself; a ``RunnableLambda`` would do so once more, which takes
    longer than the rest of the layer.
    """

    def __init__(self, runner: Runner) -> None:
        self.name = runner.name
        self._runner = runner

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the node to its end."""
        return wait_for(self._runner.run(input))

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the node."""
        return await self._runner.run(input)


@dataclass(frozen=True)
class Runner:
    """A node in its graph: reads the channels, runs, writes them, and says where to go."""

    name: str
    work: Work
    spec: Spec
    binding: Binding
    routes: Routes

    async def run(self, values: dict[str, Any]) -> Any:
        """Run once on the channels' values; what it writes, or a command that also leads on."""
        state = channels.read(self.spec, values)
        if not state.question.strip():
            raise ThinkgraphError("the question is empty")
        counts = values.get("counts") or {}
        step = self._step(counts.get(self.name, 0), values)
        step.emit(NodeStarted(node=step.node, round=step.round))
        began = time.perf_counter()
        try:
            update = await self.work(state, step)
        except ThinkgraphError as error:
            raise error.at(f"node {step.node!r}") from error
        written = self._written(update, step, round(time.perf_counter() - began, 3))
        if not self.routes.decides(self.name):
            return written
        after = channels.updated(self.spec, values, written)
        return self._decide(written, after, counts, step.round)

    def _step(self, round: int, values: Mapping[str, Any]) -> Step:
        given = get_runtime(Context).context
        # As a subgraph it is handed its parent's context, which may be anything.
        context = given if isinstance(given, dict) else Context()
        return Step(
            node=context.get("scope", "") + self.name,
            round=round,
            branch=values.get("branch", ""),
            seed=context.get("seed", self.binding.seed),
            params=self.binding.params,
            models=context.get("models", self.binding.models),
            emit=context.get("emit") or get_stream_writer(),
            budget=self._budget(context.get("budget"), values),
            prompts=self.binding.prompts,
        )

    def _budget(self, run: Budget | None, values: Mapping[str, Any]) -> Budget | None:
        limits = self.spec.nodes[self.name].budget if self.name in self.spec.nodes else None
        if run is None and self.spec.budget is not None:
            run = limited(self.spec.budget, self.binding.params, channels.total_usage(values))
        return limited(limits, self.binding.params, NOTHING, run) if limits else run

    def _written(self, update: Update, step: Step, wall_s: float) -> dict[str, Any]:
        data = update.model_dump(mode="json", exclude={"candidates", "critiques", "fields"})
        written: dict[str, Any] = {
            "candidates": {c.id: c.model_dump(mode="json") for c in update.candidates},
            "critiques": {c.id: c.model_dump(mode="json") for c in update.critiques},
            "usage": {step.key: {**step.usage.model_dump(), "wall_s": wall_s}},
            "counts": {self.name: step.round + 1},
            **channels.written(self.spec, update.fields),
        }
        if update.answer is not None:
            written["answer"] = data["answer"]
        return written

    def _decide(
        self,
        written: dict[str, Any],
        after: dict[str, Any],
        counts: Mapping[str, int],
        round: int,
    ) -> Command[str]:
        links = self.routes.follow(self.name, channels.read(self.spec, after), round, counts)
        followed = {link.key: counts.get(link.key, 0) + 1 for link in links}
        written["counts"] = {**written["counts"], **followed}
        goto: list[Any] = []
        for link in links:
            goto.extend(_fan_out(link.target, after) if link.each else [link.target])
        return Command(update=written, goto=goto)


def _fan_out(target: str, values: dict[str, Any]) -> list[Send]:
    """One run of the target for each live candidate, which sees only that one."""
    live = [key for key, candidate in values["candidates"].items() if candidate["live"]]
    return [
        Send(target, {**values, "candidates": {key: values["candidates"][key]}, "branch": key})
        for key in live
    ]


def limited(
    limits: Limits,
    params: Mapping[str, Scalar],
    spent: Usage = NOTHING,
    parent: Budget | None = None,
) -> Budget:
    """The budget that limits leave after what was spent."""
    bound = Limits.model_validate(bind(limits.model_dump(mode="json"), params))
    made = Budget(bound.tokens, bound.seconds, bound.calls)
    made.spend(tokens=spent.completion_tokens, calls=spent.model_calls)
    made.parent = parent
    return made


def wait_for(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end, also from a thread whose event loop is running."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work)
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(contextvars.copy_context().run, asyncio.run, work).result()
