"""One run of a strategy: its models, its budget, its events and its result."""

from __future__ import annotations

import secrets
import time
from collections.abc import AsyncGenerator, Iterable, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast
from uuid import uuid4

from langchain_core.messages import BaseMessage
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import merge_configs
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command, Interrupt

from thinkgraph.graphs.language.spec import Limits, Scalar, Spec
from thinkgraph.graphs.record import RunUsage
from thinkgraph.graphs.runtime import state as channels
from thinkgraph.graphs.runtime.budget import RunBudget, bound, least, limited
from thinkgraph.graphs.runtime.compile import build
from thinkgraph.graphs.runtime.context import Allowance, Binding, RunContext, in_numbers
from thinkgraph.graphs.runtime.models import Roles
from thinkgraph.graphs.runtime.restart import enclosing
from thinkgraph.graphs.runtime.result import NO_RESULT, Finished, OutputMismatch, Result, output
from thinkgraph.graphs.runtime.routes import CONCLUDE
from thinkgraph.models.arguments import ArgumentError
from thinkgraph.models.errors import ThinkgraphError, did_you_mean
from thinkgraph.models.event_loop import wait_for
from thinkgraph.models.model import Budget, Message
from thinkgraph.nodes.event import NodeEvent
from thinkgraph.nodes.registry import node_kinds
from thinkgraph.nodes.request import RequestRecord

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

STEPS = 10_000
"""LangGraph's recursion limit; high, since the loops of a checked spec have their own bounds."""

Question = str | Sequence[Message | BaseMessage | Mapping[str, Any]]
"""A text, or a conversation whose last turn is the question."""


class Interrupted(ThinkgraphError):
    """A node waits for input: a ``review``, or a custom kind that calls ``interrupt()``.

    Attributes:
        interrupts: LangGraph's pending interrupts, each with a ``value`` and an ``id``.
    """

    def __init__(self, interrupts: Sequence[Interrupt], run: Run) -> None:
        self.interrupts, self._run = tuple(interrupts), run
        waits = ", ".join(f"{interrupt.value!r:.400}" for interrupt in interrupts)
        super().__init__(f"the run is interrupted and waits for an answer to {waits}; resume() it")

    def resume(self, value: Any) -> Result:
        """Continue the run; ``interrupt()`` returns the value.

        Args:
            value: the answer; for several interrupts, a mapping from their ids to their answers.

        Raises:
            Interrupted: the run waits for input again.
        """
        return wait_for(self.aresume(value))

    async def aresume(self, value: Any) -> Result:
        """Continue the run; see :meth:`resume`."""
        return await result_of(self.stream(value))

    def stream(self, value: Any) -> AsyncGenerator[NodeEvent | Finished, None]:
        """Continue the run and stream its events; the last one is :class:`Finished`."""
        return self._run.stream(Command(resume=value))


@dataclass(frozen=True)
class Run:
    """One run of a compiled graph, which may be interrupted and resumed.

    Attributes:
        app: the compiled graph.
        spec: its spec.
        binding: its params and models.
        context: the run's seed, models and budget, in place of those that the graph was compiled
            with.
        config: LangChain's config: callbacks, tags, metadata.
        requests: the model requests made so far.
    """

    app: CompiledStateGraph[Any, Any]
    spec: Spec
    binding: Binding
    context: RunContext
    config: RunnableConfig
    requests: list[RequestRecord]

    async def stream(self, given: Any) -> AsyncGenerator[NodeEvent | Finished, None]:
        """Run, or continue a run, and stream its events; the last one is :class:`Finished`."""
        began = time.perf_counter()
        values: dict[str, Any] = {}
        pieces = self.app.astream(
            given,
            self.config,
            context=cast(Any, self.context),
            stream_mode=["custom", "values"],
            output_keys=[*self.app.output_channels, "turn"],
        )
        async with aclosing(cast("AsyncGenerator[Any, None]", pieces)):
            async for mode, piece in pieces:
                if mode == "custom":
                    yield cast(NodeEvent, piece)
                else:
                    values = cast("dict[str, Any]", piece)
        if waiting := values.get("__interrupt__"):
            raise Interrupted(waiting, self)
        yield Finished(result=self._result(values, round(time.perf_counter() - began, 3)))

    def _result(self, values: dict[str, Any], wall: float) -> Result:
        spec, state = self.spec, channels.read(self.spec, values)
        if state.answer is None:
            raise ThinkgraphError(
                f"graph {spec.name!r} ended without an answer: no node wrote a candidate or an "
                "answer on the path taken; end it with a `vote` or `generate` node"
            )
        made = Result(
            graph=spec.name,
            model=cast(Roles, self.binding.models).name,
            seed=self.context.seed,
            question=state.question,
            answer=state.answer,
            candidates=tuple(state.candidates.values()),
            critiques=tuple(state.critiques.values()),
            usage=RunUsage(**channels.total_usage(values).model_dump(), wall_s=wall),
            nodes=values.get("usage", {}),
            spec=spec,
            params=dict(self.binding.params),
            inputs={name: state.fields[name] for name in spec.inputs},
            counts=values.get("counts", {}),
            requests=tuple(self.requests),
            cut=self.context.budget.cut,
        )
        try:
            return made.model_copy(update={"output": output(spec, state, values)})
        except OutputMismatch as error:
            error.result = made
            raise


def app(
    spec: Spec, binding: Binding, checkpointer: Any = None, **options: Any
) -> CompiledStateGraph[Any, Any]:
    """Compile a spec to a LangGraph graph; ``options`` go to LangGraph's ``compile()``."""
    options["name"] = options.get("name") or spec.name
    graph = build(spec, binding, stores=checkpointer is not False)
    compiled = graph.compile(checkpointer=checkpointer, **options)
    return compiled.with_config(recursion_limit=STEPS)


def stops(spec: Spec, option: str, given: Sequence[str] | None) -> Any:
    """Check the nodes before or after which a run is interrupted, and return them for LangGraph."""
    if given is None or given == "*":
        return given
    if isinstance(given, str) or not isinstance(given, Sequence):
        raise ArgumentError(f"{option} is '*' or a list of nodes, not {given!r}")
    known = (*spec.nodes, CONCLUDE)
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known) or f"it has {', '.join(known)}"
            raise ThinkgraphError(f"{option}: graph {spec.name!r} has no node {name!r}; {hint}")
    return list(given)


def start(
    app: CompiledStateGraph[Any, Any],
    specs: Iterable[Spec],
    binding: Binding,
    *,
    seed: int | None = None,
    budget: Allowance | None = None,
    config: RunnableConfig | None = None,
) -> Run:
    """Prepare a run of a compiled spec.

    Args:
        app: the compiled spec, without a checkpointer.
        specs: the spec, followed by those that it uses.
        binding: its params, and the run's models.
        seed: the seed of all randomness; if None, a random one, or in a node of another graph
            with a checkpointer one that is the same when the node is started again.
        budget: budget of the run, in addition to the spec's.
        config: LangChain's config: callbacks, tags, metadata.
    """
    spec, *used = specs
    if config is not None and not isinstance(config, Mapping):
        raise ArgumentError(f'a config is such as {{"callbacks": [...]}}, not {config!r}')
    around = enclosing() if may_interrupt((spec, *used)) else None
    seed = around.seed if around and seed is None else seed_of(seed)
    allowed, requests = _allowed(budget, spec.budget, binding.params), list[RequestRecord]()
    context = RunContext(
        spec,
        seed,
        binding.models,
        allowed,
        record=requests.append,
        tools=binding.tools,
        verifiers=binding.verifiers,
    )
    config = config or RunnableConfig()
    if around:
        config = merge_configs(config, around.config)
    elif may_interrupt((spec, *used)):
        own = {"thread_id": str(uuid4()), "checkpoint_ns": ""}
        config = {**config, "configurable": {**config.get("configurable", {}), **own}}
        app = app.copy({"checkpointer": InMemorySaver()})
    return Run(app, spec, binding, context, config, requests)


def may_interrupt(specs: Iterable[Spec]) -> bool:
    """Whether a spec has a kind that can interrupt the run; every custom kind counts as one."""
    names = {node.kind for spec in specs for node in spec.nodes.values() if node.kind}
    kinds = [node_kinds()[name] for name in names]
    return any(k.waits or not k.__module__.startswith("thinkgraph.nodes.") for k in kinds)


async def result_of(events: AsyncGenerator[NodeEvent | Finished, None]) -> Result:
    """The result of a run; all other events are dropped."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Finished):
                return event.result
    raise ThinkgraphError(NO_RESULT)


def asked(question: Question) -> dict[str, Any]:
    """The input of a compiled graph for a question."""
    if isinstance(question, str):
        return {"question": question}
    if not isinstance(question, Sequence):
        raise ArgumentError(f"a question is a text or a list of messages, not {question!r}")
    return {"messages": [_plain(turn) if isinstance(turn, Message) else turn for turn in question]}


def _plain(turn: Message) -> dict[str, Any]:
    return turn.model_dump(exclude_defaults=True)


def seed_of(given: int | None) -> int:
    """Check a seed; None gives a random one."""
    if not isinstance(given, int | None):
        raise ArgumentError(f"a seed is an integer, not {given!r}")
    return secrets.randbits(31) if given is None else given


def limits_of(given: Limits | Mapping[str, float] | None) -> Limits:
    """A budget as limits; numbers, since only a graph's own budget may refer to its params."""
    if not isinstance(given, Limits | Mapping | None):
        raise ArgumentError(f'a budget is such as {{"tokens": 2000}}, not {given!r}')
    limits = given if isinstance(given, Limits) else Limits(**(given or {}))
    return cast(Limits, in_numbers(limits))


def _allowed(
    given: Allowance | None, stated: Limits | None, params: Mapping[str, Scalar]
) -> RunBudget:
    if isinstance(given, Budget):
        return limited(stated, params, given)
    return limited(least(bound(stated, params), bound(limits_of(given), params)), params)
