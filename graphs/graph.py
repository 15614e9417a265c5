"""A strategy that can be run: a spec with the means to compile, run and stream it."""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any

from thinkgraph.graphs.check import load as load_spec
from thinkgraph.graphs.result import Finished, Result, RunUsage
from thinkgraph.graphs.spec import Limits, Scalar, Spec
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Budget, Message, Model
from thinkgraph.nodes.event import NodeEvent
from thinkgraph.nodes.prompt import Prompt

if TYPE_CHECKING:
    from langchain_core.language_models import BaseChatModel
    from langgraph.graph.state import CompiledStateGraph

AnyModel = "str | Model | BaseChatModel"
DEFAULT_MODEL = "smollm2"
Question = str | list[Message]


class Graph:
    """A reasoning strategy.

    Args:
        spec: what it does.
    """

    def __init__(self, spec: Spec) -> None:
        self.spec = spec

    @property
    def name(self) -> str:
        """The name in its spec."""
        return self.spec.name

    def compile(
        self,
        checkpointer: Any = None,
        *,
        model: Any = None,
        models: Mapping[str, Any] | None = None,
        seed: int = 0,
        prompts: Mapping[str, Prompt] | None = None,
        **params: Any,
    ) -> CompiledStateGraph[Any, Any, Any, Any]:
        """The strategy as an ordinary compiled LangGraph graph.

        Invoke it with ``{"question": …}`` or ``{"messages": […]}``; the answer is in the channel
        ``answer``. One invocation may have its own seed, models and budget by LangGraph's
        ``context=`` (:class:`thinkgraph.graphs.compile.Context`).

        Args:
            checkpointer: any LangGraph checkpointer.
            model: a name of the catalogue, a :class:`Model` or a LangChain chat model.
            models: the same by role, for nodes with ``model: ROLE``.
            seed: all randomness comes from it.
            prompts: prompts that replace built-in ones of the same name.
            **params: values of the graph's params.

        Raises:
            ThinkgraphError: a param that the graph doesn't have, or a value it can't take.
        """
        from thinkgraph.graphs.compile import Binding, build  # noqa: PLC0415 (LangGraph is slow)

        binding = Binding(
            params=self.bind(params),
            models=Roles(model, models or {}),
            used=load_spec,
            seed=seed,
            prompts=prompts or {},
        )
        app = build(self.spec, binding).compile(checkpointer=checkpointer, name=self.name)
        return app.with_config(recursion_limit=10_000)  # loops are bounded by the spec itself

    def bind(self, params: Mapping[str, Any]) -> dict[str, Scalar]:
        """The value of every param.

        Raises:
            ThinkgraphError: a param that the graph doesn't have, or a value it can't take.
        """
        try:
            return self.spec.bind(dict(params))
        except KeyError as error:
            raise ThinkgraphError(self._no_param(error.args[0])) from None
        except ValueError as error:
            raise ThinkgraphError(f"graph {self.name!r}, param {error}") from None

    def _no_param(self, name: str) -> str:
        from difflib import get_close_matches  # noqa: PLC0415

        near = get_close_matches(name, self.spec.params, n=1)
        have = ", ".join(self.spec.params) or "none"
        hint = f"did you mean {near[0]!r}?" if near else f"it has {have}"
        return f"graph {self.name!r} has no param {name!r}; {hint}"

    def run(self, question: Question, **settings: Any) -> Result:
        """Answer a question; takes what :meth:`stream` takes.

        Raises:
            ThinkgraphError: bad input, in one clear sentence.
        """
        from thinkgraph.graphs.compile import wait_for  # noqa: PLC0415

        return wait_for(self.arun(question, **settings))

    async def arun(self, question: Question, **settings: Any) -> Result:
        """Answer a question; takes what :meth:`stream` takes."""
        async for event in self.stream(question, **settings):
            if isinstance(event, Finished):
                return event.result
        raise ThinkgraphError("the run ended without a result")

    async def stream(
        self,
        question: Question,
        *,
        model: Any = None,
        models: Mapping[str, Any] | None = None,
        seed: int | None = None,
        budget: Budget | Limits | Mapping[str, float] | None = None,
        prompts: Mapping[str, Prompt] | None = None,
        **params: Any,
    ) -> AsyncIterator[NodeEvent | Finished]:
        """Answer a question, telling what happens; the last event is :class:`Finished`.

        Args:
            question: a text, or a conversation whose last turn is the question.
            model: a name of the catalogue, a :class:`Model` or a LangChain chat model.
            models: the same by role, for nodes with ``model: ROLE``.
            seed: all randomness comes from it; drawn, and told in the result, if there is none.
            budget: what the run may spend: ``{"tokens": …, "seconds": …, "calls": …}``.
            prompts: prompts that replace built-in ones of the same name.
            **params: values of the graph's params and of its further inputs.
        """
        began = time.perf_counter()
        seed = secrets.randbits(31) if seed is None else seed
        inputs = {name: params.pop(name) for name in self.spec.inputs if name in params}
        app = self.compile(prompts=prompts, **params)
        roles = Roles(model, models or {})
        allowed = _budget(budget, self.spec.budget, self.bind(params))
        context = {"seed": seed, "models": roles, "budget": allowed}
        values: dict[str, Any] = {}
        async for mode, piece in app.astream(
            {**_asked(question), **inputs}, context=context, stream_mode=["custom", "values"]
        ):
            if mode == "custom":
                yield piece
            else:
                values = piece
        wall = time.perf_counter() - began
        yield Finished(result=self._result(values, roles.name, seed, wall, allowed.exhausted))

    def _result(
        self, values: dict[str, Any], model: str, seed: int, wall: float, cut: str | None
    ) -> Result:
        from thinkgraph.graphs import state as channels  # noqa: PLC0415

        state = channels.read(self.spec, values)
        usage = channels.total_usage(values)
        if state.answer is None:
            raise ThinkgraphError(f"graph {self.name!r} ended without an answer")
        return Result(
            graph=self.name,
            model=model,
            seed=seed,
            question=state.question,
            answer=state.answer,
            candidates=tuple(state.candidates.values()),
            critiques=tuple(state.critiques.values()),
            usage=RunUsage(**usage.model_dump(), wall_s=round(wall, 3)),
            nodes=values.get("usage", {}),
            cut=cut,
        )


class Roles:
    """The models of a run by their roles, each loaded when it is first asked for.

    Args:
        model: of every role that ``models`` doesn't name; None is THINKGRAPH_MODEL, or smollm2.
        models: a model by its role.
    """

    def __init__(self, model: Any, models: Mapping[str, Any]) -> None:
        self._model = model or os.environ.get("THINKGRAPH_MODEL") or DEFAULT_MODEL
        self._models = models
        self._loaded: dict[str, Model] = {}
        self._lock = threading.Lock()

    def __call__(self, role: str) -> Model:
        """The model of a role."""
        with self._lock:
            if role not in self._loaded:
                self._loaded[role] = as_model(self._models.get(role, self._model))
            return self._loaded[role]

    @property
    def name(self) -> str:
        """The name of the run's model."""
        return self._model if isinstance(self._model, str) else as_model(self._model).name


def as_model(model: Any) -> Model:
    """A model from its name in the catalogue, a LangChain chat model, or itself."""
    if isinstance(model, str):
        from thinkgraph.models.catalogue import load  # noqa: PLC0415 (the engine is slow to import)

        return load(model)
    if hasattr(model, "generate") and hasattr(model, "count_tokens"):
        found: Model = model
        return found
    from thinkgraph.models.langchain import LangChainModel  # noqa: PLC0415

    return LangChainModel(model)


def _asked(question: Question) -> dict[str, Any]:
    if isinstance(question, str):
        return {"question": question}
    turns = [turn.model_dump() if isinstance(turn, Message) else turn for turn in question]
    return {"messages": turns}


def _budget(
    given: Budget | Limits | Mapping[str, float] | None,
    stated: Limits | None,
    params: Mapping[str, Scalar],
) -> Budget:
    from thinkgraph.graphs.compile import budget  # noqa: PLC0415

    if isinstance(given, Budget):
        return given
    run = budget(Limits.model_validate(given or {}), params)
    return budget(stated, params, parent=run) if stated else run


def load(source: str | os.PathLike[str]) -> Graph:
    """A saved strategy, by a built-in name or the path of its file.

    Raises:
        ThinkgraphError: there is no such graph, or the checker finds errors in it.
    """
    return Graph(load_spec(source))
