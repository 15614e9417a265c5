"""A node of the LangGraph graph: reads channels, runs, writes channels, and routes."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from langchain_core.runnables import Runnable, RunnableConfig
from langgraph.config import get_stream_writer
from langgraph.runtime import get_runtime
from langgraph.types import Command, RetryPolicy, Send

from thinkgraph.graphs.language.spec import ITEM, Limits, Retry, Spec
from thinkgraph.graphs.requirements import Requirements, check_models
from thinkgraph.graphs.runtime import state as channels
from thinkgraph.graphs.runtime.budget import Place, RunBudget, RunBudgets, limited
from thinkgraph.graphs.runtime.context import Binding, Context, RunContext
from thinkgraph.graphs.runtime.models import Roles
from thinkgraph.graphs.runtime.restart import task_id
from thinkgraph.graphs.runtime.result import output
from thinkgraph.graphs.runtime.routes import Link, Routes
from thinkgraph.graphs.runtime.state import Json
from thinkgraph.graphs.runtime.turn import begin, reply
from thinkgraph.graphs.runtime.work import Work
from thinkgraph.models.errors import ModelError, NoProbabilities, PromptTooLong, ThinkgraphError
from thinkgraph.models.model import Budget
from thinkgraph.nodes.event import NodeStarted
from thinkgraph.nodes.population import State, Update
from thinkgraph.nodes.step import Step
from thinkgraph.nodes.tools.tool import all_tools
from thinkgraph.nodes.tools.verifier import all_verifiers


class NodeRunnable(Runnable[Any, Any]):
    """A node as LangGraph calls it.

    LangGraph traces a node itself; a ``RunnableLambda`` would trace it a second time, which takes
    longer than the rest of this layer.
    """

    def __init__(self, runner: NodeRunner | Beginning) -> None:
        self.name = runner.name
        self._runner = runner

    def invoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the node, without an event loop."""
        return self._runner.invoke(input)

    async def ainvoke(self, input: Any, config: RunnableConfig | None = None, **kwargs: Any) -> Any:
        """Run the node within an event loop."""
        return await self._runner.ainvoke(input)


@dataclass(frozen=True)
class NodeRunner:
    """A node in its graph.

    Args:
        name: the name of the node.
        work: the work of the node.
        spec: the graph.
        binding: what the graph is compiled with.
        routes: the edges of the graph.
        budgets: the budgets of the graph's runs.
        fallback: the node that runs in its place when it fails and isn't retried.
        in_place_of: if this is a fallback, the node whose edges are followed.
    """

    name: str
    work: Work
    spec: Spec
    binding: Binding
    routes: Routes
    budgets: RunBudgets
    fallback: NodeRunner | None = None
    in_place_of: str = ""

    def invoke(self, values: Json, before: Sequence[str] = ()) -> Any:
        """Run once; returns the channel updates, or a ``Command`` that also routes.

        Args:
            values: the values of the channels.
            before: if this is a fallback, why the node that it replaces failed.
        """
        try:
            with self._run(values, before) as run:
                run.update = self.work.invoke(run.state, run.step)
        except ModelError as error:
            return self._other(error).invoke(values, [str(error)])
        return self._written(run, values)

    async def ainvoke(self, values: Json, before: Sequence[str] = ()) -> Any:
        """Run once within an event loop; see :meth:`invoke`."""
        try:
            with self._run(values, before) as run:
                run.update = await self.work.ainvoke(run.state, run.step)
        except ModelError as error:
            return await self._other(error).ainvoke(values, [str(error)])
        return self._written(run, values)

    def _other(self, error: ModelError) -> NodeRunner:
        """The fallback; raises the error if there is none, or if the node is to be retried."""
        if self.fallback is None:
            raise error
        policy = self.spec.nodes[self.name].retry
        info = get_runtime().execution_info
        tried = info.node_attempt if info else 1
        if policy and tried < policy.max_attempts and is_transient(error):
            raise error
        return self.fallback

    @contextmanager
    def _run(self, values: Json, before: Sequence[str]) -> Iterator[Run]:
        """Time one run of the node, and name the node in its errors."""
        step, total = self._step(values)
        step.failures += before
        run = Run(channels.read(self.spec, values), step, total)
        step.emit(NodeStarted(node=step.node, round=step.round))
        began = time.perf_counter()
        try:
            with total.running():
                yield run
            step.raise_if_failed()
        except ThinkgraphError as error:
            total.fail(task_id(), step.usage)
            raise error.at(f"node {step.node!r}") from error
        finally:
            total.note(step.usage)
        run.wall_s = round(time.perf_counter() - began, 3)

    def _step(self, values: Json) -> tuple[Step, RunBudget]:
        """The step of this run of the node, and the budget of the graph's whole run."""
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
            record=context.record,
            emit=context.emit or get_stream_writer(),
            budget=limited(limits, params, total) if limits else total,
            prompts=self.binding.prompts,
            tools=all_tools(context.tools),
            verifiers=all_verifiers(context.verifiers),
            turn=values["turn"]["id"],
        )
        return step, total

    def _context(self, values: Json) -> RunContext:
        """The run's ``RunContext``, or one made from its ``Context`` and the binding."""
        given = own_context(self.spec)
        if isinstance(given, RunContext):
            given.budget.resume(values)
            return given
        own = given
        limits = own.budget if isinstance(own.budget, Limits) else None
        above = own.budget if isinstance(own.budget, Budget) else None
        has_models = own.model is not None or own.models
        return RunContext(
            graph=self.spec,
            seed=self.binding.seed if own.seed is None else own.seed,
            models=Roles(own.model, own.models) if has_models else self.binding.models,
            budget=self.budgets.of(values, here(), limits, above),
            tools={**self.binding.tools, **(own.tools or {})},
            verifiers={**self.binding.verifiers, **(own.verifiers or {})},
        )

    def _written(self, run: Run, values: Json) -> Any:
        step, update = run.step, run.update
        spent = step.usage + run.total.take_failed(task_id())
        usage = {**spent.model_dump(), "wall_s": run.wall_s}
        if step.failures:
            usage["failures"] = step.failures
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
        if self.routes.decides(self.in_place_of or self.name):
            return self._decide(written, after, step.round)
        return written

    def _progress(self, run: Run, after: Json) -> Json:
        """The update of the turn's channel after a run of the node."""
        total = run.total
        turn: Json = {"id": after["turn"]["id"], "elapsed_s": total.elapsed}
        if total.cut:  # None would replace what a node side by side with it has written
            turn["cut"] = total.cut
        if run.update.answer is not None:
            turn["answered"] = live(after)
        return turn

    def _decide(self, written: Json, after: Json, round: int) -> Command[str]:
        counts = after["counts"]
        state = channels.read(self.spec, after)
        links = self.routes.follow(self.in_place_of or self.name, state, round, counts)
        followed = {link.key: counts.get(link.key, 0) + 1 for link in links}
        written["counts"] = {**written["counts"], **followed}
        goto: list[Any] = []
        for link in links:
            goto.extend(_fan_out(link, state, after) if link.each else [link.target])
        return Command(update=written, goto=goto)


def retry_policy(retry: Retry) -> RetryPolicy:
    """LangGraph's retry policy for a node's ``retry``."""
    return RetryPolicy(**retry.model_dump(), retry_on=is_transient)


def is_transient(error: Exception) -> bool:
    """Whether the same request may succeed when it is retried."""
    hopeless = isinstance(error, PromptTooLong | NoProbabilities)
    return isinstance(error, ModelError) and not hopeless


@dataclass(frozen=True)
class Conclusion(NodeRunner):
    """The last node of a run: votes if no node has answered since the population last changed.

    It then adds the answer to the conversation.

    Args:
        writers: the nodes whose text is the answer.
    """

    writers: frozenset[str] = frozenset()

    def invoke(self, values: Json, before: Sequence[str] = ()) -> Any:
        """Vote if needed, and add the answer to the conversation."""
        written = {} if self._is_answered(values) else super().invoke(values)
        return self._said(written, values)

    async def ainvoke(self, values: Json, before: Sequence[str] = ()) -> Any:
        """Vote if needed, and add the answer to the conversation, within an event loop."""
        written = {} if self._is_answered(values) else await super().ainvoke(values)
        return self._said(written, values)

    def _is_answered(self, values: Json) -> bool:
        return values.get("answer") is not None and values["turn"].get("answered") == live(values)

    def _said(self, written: Json, values: Json) -> Json:
        after = {**channels.updated(self.spec, values, written), "turn": values["turn"]}
        # A run started by this package checks the output itself when it makes the result.
        if not isinstance(get_runtime(Context).context, RunContext):
            output(self.spec, channels.read(self.spec, after), after)
        total = self._context(values).budget
        self.budgets.forget(total)
        message = reply(self.spec, after, total.cut, self.writers)
        return {**written, "messages": [message]}


@dataclass(frozen=True)
class Beginning:
    """The first node of a turn, before the spec's own nodes."""

    name: str
    spec: Spec
    binding: Binding
    required: Requirements

    def invoke(self, values: Json) -> Json:
        """Add the question to the conversation, and empty the channels of the last turn.

        Raises:
            Unbound: the graph needs tools or verifiers that are not bound.
            Incapable: a model lacks a capability that a node needs.
        """
        given = own_context(self.spec)
        if isinstance(given, Context):  # with a RunContext this was checked before
            tools = all_tools({**self.binding.tools, **(given.tools or {})})
            verifiers = all_verifiers({**self.binding.verifiers, **(given.verifiers or {})})
            self.required.check(self.spec.name, tools, verifiers)
            self._check_models(given)
        return begin(self.spec, values)

    async def ainvoke(self, values: Json) -> Json:
        """Begin the turn within an event loop; see :meth:`invoke`."""
        return self.invoke(values)

    def _check_models(self, given: Context) -> None:
        has_models = given.model is not None or given.models
        models = Roles(given.model, given.models) if has_models else self.binding.models
        if isinstance(models, Roles):
            binding = self.binding
            check_models(self.spec, binding.params, binding.used, models.lacks, self.required)


def own_context(spec: Spec) -> RunContext | Context:
    """The graph's ``RunContext``, or a ``Context``; any other is a parent's and is ignored."""
    given: Any = get_runtime(Context).context
    if isinstance(given, RunContext) and given.graph is spec:
        return given
    return given if isinstance(given, Context) else Context()


def here() -> Place:
    """Where the run of the current node is."""
    runtime = get_runtime()
    info = runtime.execution_info
    # Older versions of LangGraph have no `control`: all invocations are the same then.
    return Place(getattr(runtime, "control", None), info.checkpoint_id if info else "")


def live(values: Json) -> list[str]:
    """The ids of the live candidates."""
    return [key for key, candidate in (values.get("candidates") or {}).items() if candidate["live"]]


def _fan_out(link: Link, state: State, values: Json) -> list[Send]:
    """One run of the target for each item; with ``candidates``, each run sees only its own."""
    if link.each == "candidates":
        candidates = values["candidates"]
        return [
            Send(link.target, {**values, "candidates": {key: candidates[key]}, "branch": key})
            for key in live(values)
        ]
    within = f"{values['branch']}/" if values.get("branch") else ""
    return [
        Send(link.target, {**values, ITEM: item, "branch": f"{within}{number}"})
        for number, item in enumerate(link.items(state))
    ]


@dataclass
class Run:
    """One run of a node: its input, its resources, and its output."""

    state: State
    step: Step
    total: RunBudget
    update: Update = field(default_factory=Update)
    wall_s: float = 0.0
