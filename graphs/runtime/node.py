"""One node as LangGraph runs it: reads the channels, works, writes them, and says where to go."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Protocol

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.graph.state import CompiledStateGraph
from langgraph.runtime import get_runtime
from langgraph.types import Command, Send

from thinkgraph.graphs.language.spec import Limits, Scalar, Spec
from thinkgraph.graphs.runtime import state as channels
from thinkgraph.graphs.runtime.budget import RunBudget, RunBudgets, limited
from thinkgraph.graphs.runtime.context import Context, RunContext
from thinkgraph.graphs.runtime.models import Roles
from thinkgraph.graphs.runtime.routes import Routes
from thinkgraph.graphs.runtime.state import Json
from thinkgraph.graphs.runtime.turn import begin, reply
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.event_loop import wait_for
from thinkgraph.models.model import Budget, Model
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.event import NodeStarted
from thinkgraph.nodes.population import State, Update
from thinkgraph.nodes.prompts.prompt import Prompt
from thinkgraph.nodes.step import Step

Models = Callable[[str], Model]
"""A model by its role; the empty role is the run's model."""


@dataclass(frozen=True)
class Binding:
    """What a graph is compiled with.

    Attributes:
        params: the value of every param.
        models: of runs whose context has none.
        used: the spec that a ``use`` names.
        seed: of runs whose context has none.
        prompts: prompts that replace built-in ones of the same name.
        budget: what a run may spend, beside what its spec says.
    """

    params: Mapping[str, Scalar]
    models: Models
    used: Callable[[str], Spec]
    seed: int = 0
    prompts: Mapping[str, Prompt] = field(default_factory=dict)
    budget: Limits | None = None


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
        """Run it."""
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
            seed=step.seed,
            models=step.models,
            budget=limited(limits, self.params, budget) if limits else budget,
            emit=step.emit,
            scope=f"{step.key}/",
        )

    def _update(self, values: Mapping[str, Any], step: Step) -> Update:
        step.usage += channels.total_usage(values)
        after = channels.read(self.spec, values)
        return Update(
            candidates=tuple(after.candidates.values()),
            critiques=tuple(after.critiques.values()),
            answer=after.answer,
        )


class NodeRunnable(Runnable[Any, Any]):
    """A node as LangGraph calls it.

    LangGraph traces a node itself; a ``RunnableLambda`` would do so once more, which takes
    longer than the rest of the layer.
    """

    def __init__(self, runner: NodeRunner | Beginning) -> None:
        self.name = runner.name
        self._runner = runner

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the node to its end."""
        return self._runner.invoke(input)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the node."""
        return await self._runner.ainvoke(input)


@dataclass(frozen=True)
class NodeRunner:
    """A node in its graph.

    Args:
        name: the node's.
        work: what it does.
        spec: the graph.
        binding: what the graph is compiled with.
        routes: where its nodes lead.
        budgets: of the graph's runs.
    """

    name: str
    work: Work
    spec: Spec
    binding: Binding
    routes: Routes
    budgets: RunBudgets

    def invoke(self, values: Json) -> Any:
        """Run once on the channels' values; what it writes, or a command that also leads on."""
        with self._run(values) as run:
            run.update = self.work.invoke(run.state, run.step)
        return self._written(run, values)

    async def ainvoke(self, values: Json) -> Any:
        """Run once on the channels' values; what it writes, or a command that also leads on."""
        with self._run(values) as run:
            run.update = await self.work.ainvoke(run.state, run.step)
        return self._written(run, values)

    @contextmanager
    def _run(self, values: Json) -> Iterator[Run]:
        """One run of the node, while it works."""
        step, total = self._step(values)
        run = Run(channels.read(self.spec, values), step, total)
        step.emit(NodeStarted(node=step.node, round=step.round))
        began = time.perf_counter()
        try:
            if isinstance(total, RunBudget):
                with total.running():
                    yield run
            else:
                yield run
        except ThinkgraphError as error:
            raise error.at(f"node {step.node!r}") from error
        run.wall_s = round(time.perf_counter() - began, 3)

    def _step(self, values: Json) -> tuple[Step, Budget | None]:
        """What the node's run may use, and the budget of the graph's whole run."""
        context = self._context(values)
        limits = self.spec.nodes[self.name].budget if self.name in self.spec.nodes else None
        total, params = context.budget, self.binding.params
        step = Step(
            node=context.scope + self.name,
            round=(values.get("counts") or {}).get(self.name, 0),
            branch=values.get("branch", ""),
            seed=context.seed,
            params=params,
            models=context.models,
            emit=context.emit or get_stream_writer(),
            budget=limited(limits, params, total) if limits else total,
            prompts=self.binding.prompts,
        )
        return step, total

    def _context(self, values: Json) -> RunContext:
        """The run's context, whoever started it; one that isn't ours is a parent's."""
        given: Any = get_runtime(Context).context
        if isinstance(given, RunContext):
            return given
        own = given if isinstance(given, Context) else Context()
        limits = own.budget if isinstance(own.budget, Limits) else None
        above = own.budget if isinstance(own.budget, Budget) else None
        has_models = own.model is not None or own.models
        return RunContext(
            seed=self.binding.seed if own.seed is None else own.seed,
            models=Roles(own.model, own.models) if has_models else self.binding.models,
            budget=self.budgets.of(values, limits, above),
        )

    def _written(self, run: Run, values: Json) -> Any:
        step, update = run.step, run.update
        usage = {**step.usage.model_dump(), "wall_s": run.wall_s}
        written: Json = {
            "candidates": {c.id: c.model_dump(mode="json") for c in update.candidates},
            "critiques": {c.id: c.model_dump(mode="json") for c in update.critiques},
            "usage": {step.key: usage},
            "counts": {self.name: step.round + 1},
            **channels.written(self.spec, update.fields),
        }
        if update.answer is not None:
            written["answer"] = update.answer.model_dump(mode="json")
        after = channels.updated(self.spec, values, written)
        written["turn"] = self._progress(run, after)
        if self.routes.decides(self.name):
            return self._decide(written, after, values.get("counts") or {}, step.round)
        return written

    def _progress(self, run: Run, after: Json) -> Json:
        """What the turn's record takes of the run of a node."""
        turn: Json = {"id": after["turn"]["id"]}
        if isinstance(run.total, RunBudget):
            turn |= {"elapsed_s": run.total.elapsed, "cut": run.total.cut}
        if run.update.answer is not None:
            turn["answered"] = live(after)
        return turn

    def _decide(
        self, written: Json, after: Json, counts: Mapping[str, int], round: int
    ) -> Command[str]:
        links = self.routes.follow(self.name, channels.read(self.spec, after), round, counts)
        followed = {link.key: counts.get(link.key, 0) + 1 for link in links}
        written["counts"] = {**written["counts"], **followed}
        goto: list[Any] = []
        for link in links:
            goto.extend(_fan_out(link.target, after) if link.each else [link.target])
        return Command(update=written, goto=goto)


class Conclusion(NodeRunner):
    """The end of a run: votes if nothing has answered since the population last changed.

    The answer then goes into the conversation.
    """

    def invoke(self, values: Json) -> Any:
        """Vote if need be, and say the answer."""
        written = {} if self._is_answered(values) else super().invoke(values)
        return self._said(written, values)

    async def ainvoke(self, values: Json) -> Any:
        """Vote if need be, and say the answer."""
        written = {} if self._is_answered(values) else await super().ainvoke(values)
        return self._said(written, values)

    def _is_answered(self, values: Json) -> bool:
        return values.get("answer") is not None and values["turn"].get("answered") == live(values)

    def _said(self, written: Json, values: Json) -> Json:
        after = {**channels.updated(self.spec, values, written), "turn": values["turn"]}
        total = self._context(values).budget
        message = reply(self.spec, after, total.cut if total else None)
        return {**written, "messages": [message]}


@dataclass(frozen=True)
class Beginning:
    """The beginning of a turn, before the first nodes of a spec."""

    name: str
    spec: Spec

    def invoke(self, values: Json) -> Json:
        """Take the question into the conversation, and empty what the last turn has left."""
        return begin(self.spec, values)

    async def ainvoke(self, values: Json) -> Json:
        """The same."""
        return begin(self.spec, values)


def live(values: Json) -> list[str]:
    """The live candidates, by their ids."""
    return [key for key, candidate in (values.get("candidates") or {}).items() if candidate["live"]]


def _fan_out(target: str, values: Json) -> list[Send]:
    """One run of the target for each live candidate, which sees only that one."""
    return [
        Send(target, {**values, "candidates": {key: values["candidates"][key]}, "branch": key})
        for key in live(values)
    ]


@dataclass
class Run:
    """One run of a node: what it reads, what it may use, and what comes of it."""

    state: State
    step: Step
    total: Budget | None
    update: Update = field(default_factory=Update)
    wall_s: float = 0.0
