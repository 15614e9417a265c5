"""One run of a strategy: its models, its budget, its events and its result."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import AsyncGenerator, Mapping
from typing import TYPE_CHECKING, Any, cast

from langchain_core.language_models import BaseChatModel

from thinkgraph.graphs.language.spec import Limits, Scalar, Spec
from thinkgraph.graphs.runtime import state as channels
from thinkgraph.graphs.runtime.compile import Binding, Context, build, limited
from thinkgraph.graphs.runtime.result import Finished, Result, RunUsage
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.messages import plain
from thinkgraph.models.model import Budget, Message, Model
from thinkgraph.nodes.event import NodeEvent
from thinkgraph.nodes.population import State

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph

DEFAULT_MODEL = "smollm2"
STEPS = 10_000
"""LangGraph's own bound; the loops of a checked spec end by theirs."""

AnyModel = str | Model | BaseChatModel
"""A name of the catalogue, a model, or a LangChain chat model."""
Question = str | list[Message]
"""A text, or a conversation whose last turn is the question."""
Allowance = Budget | Limits | Mapping[str, float]
"""What a run may spend, such as ``{"tokens": 2000}``."""


def default_model() -> str:
    """The model of a run that names none."""
    return os.environ.get("THINKGRAPH_MODEL") or DEFAULT_MODEL


class Roles:
    """The models of a run by their roles, each loaded when it is first asked for.

    Args:
        model: of every role that ``models`` doesn't name; None is THINKGRAPH_MODEL, or smollm2.
        models: a model by its role.
    """

    def __init__(self, model: AnyModel | None, models: Mapping[str, AnyModel] | None) -> None:
        self._model = model or default_model()
        self._models = models or {}
        self._loaded: dict[str, Model] = {}
        self._lock = threading.Lock()

    def __call__(self, role: str) -> Model:
        """The model of a role."""
        with self._lock:
            if role not in self._loaded:
                self._loaded[role] = _loaded(self._models.get(role, self._model))
            return self._loaded[role]

    @property
    def name(self) -> str:
        """The name of the run's model."""
        return self._model if isinstance(self._model, str) else _loaded(self._model).name


def _loaded(model: AnyModel) -> Model:
    if isinstance(model, str):
        from thinkgraph.models.catalogue import load  # noqa: PLC0415 (the engine is slow to import)

        return load(model)
    if isinstance(model, BaseChatModel):
        from thinkgraph.models.backends.langchain import LangChainModel  # noqa: PLC0415

        return LangChainModel(model)
    return model


def app(spec: Spec, binding: Binding, checkpointer: Any = None) -> CompiledStateGraph[Any, Any]:
    """A spec as an ordinary compiled LangGraph graph."""
    compiled = build(spec, binding).compile(checkpointer=checkpointer, name=spec.name)
    return cast("CompiledStateGraph[Any, Any]", compiled.with_config(recursion_limit=STEPS))


async def stream(
    app: CompiledStateGraph[Any, Any],
    spec: Spec,
    binding: Binding,
    question: Question,
    *,
    seed: int | None = None,
    budget: Allowance | None = None,
    inputs: Mapping[str, Any] | None = None,
) -> AsyncGenerator[NodeEvent | Finished, None]:
    """Run a compiled spec on a question; the last event is :class:`Finished`.

    The models are the binding's, whatever the graph was compiled with.
    """
    began = time.perf_counter()
    allowed = _allowed(budget, spec.budget, binding.params)
    seed = secrets.randbits(31) if seed is None else seed
    context: Context = {"seed": seed, "models": binding.models, "budget": allowed}
    values: dict[str, Any] = {}
    async for mode, piece in app.astream(
        {**_asked(question), **(inputs or {})}, context=context, stream_mode=["custom", "values"]
    ):
        if mode == "custom":
            yield cast(NodeEvent, piece)
        else:
            values = cast("dict[str, Any]", piece)
    wall = round(time.perf_counter() - began, 3)
    made = _result(spec, binding, values, seed=seed, wall=wall, cut=allowed.cut)
    yield Finished(result=made)


def _result(
    spec: Spec,
    binding: Binding,
    values: dict[str, Any],
    *,
    seed: int,
    wall: float,
    cut: str | None,
) -> Result:
    state = channels.read(spec, values)
    if state.answer is None:
        raise ThinkgraphError(f"graph {spec.name!r} ended without an answer")
    return Result(
        graph=spec.name,
        model=cast(Roles, binding.models).name,
        seed=seed,
        question=state.question,
        answer=state.answer,
        output=_output(spec, state, values),
        candidates=tuple(state.candidates.values()),
        critiques=tuple(state.critiques.values()),
        usage=RunUsage(**channels.total_usage(values).model_dump(), wall_s=wall),
        nodes=values.get("usage", {}),
        spec=spec,
        params=dict(binding.params),
        counts=values.get("counts", {}),
        cut=cut,
    )


def _output(spec: Spec, state: State, values: Mapping[str, Any]) -> Any:
    """The value of the channel that the spec says is its result."""
    if spec.output == "answer" and state.answer is not None:
        return state.answer.value or state.answer.text
    return state.fields.get(spec.output, values.get(spec.output))


def _asked(question: Question) -> dict[str, Any]:
    if isinstance(question, str):
        return {"question": question}
    turns = [plain(turn) if isinstance(turn, Message) else turn for turn in question]
    return {"messages": turns}


def _allowed(
    given: Allowance | None, stated: Limits | None, params: Mapping[str, Scalar]
) -> Budget:
    if not isinstance(given, Budget):
        given = limited(Limits.model_validate(given or {}), params)
    return limited(stated, params, parent=given) if stated else given
