"""A strategy as a LangChain tool that an agent can call."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Container, Mapping, Sequence
from contextlib import aclosing
from typing import Annotated, Any, Literal, Protocol

from langchain_core.tools import BaseTool, StructuredTool, ToolException
from langgraph.config import get_stream_writer
from pydantic import BaseModel, Field, ValidationError, create_model

from thinkgraph.graphs.language.spec import Input, Param, Spec
from thinkgraph.graphs.runtime.result import NO_RESULT, Finished, Result
from thinkgraph.models.errors import ThinkgraphError, did_you_mean
from thinkgraph.models.event_loop import wait_for
from thinkgraph.nodes.event import NodeEvent

_TYPES: dict[str, Any] = {
    "boolean": bool,
    "integer": int,
    "number": float,
    "string": str,
    "list": list[Any],
    "object": dict[str, Any],
}

STREAM_SETTINGS = frozenset(
    {"model", "models", "seed", "budget", "prompts", "tools", "verifiers", "config"}
)
"""The arguments of ``Graph.stream`` that are neither params nor inputs of the graph."""


class Strategy(Protocol):
    """The part of a graph's interface that a tool uses."""

    @property
    def name(self) -> str:
        """The name of the graph."""
        ...

    @property
    def spec(self) -> Spec:
        """The spec of the graph."""
        ...

    def bind(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """The validated values of the graph's params."""
        ...

    def stream(self, question: str, **settings: Any) -> AsyncGenerator[NodeEvent | Finished, None]:
        """Run the graph and stream its events; the last one has the result."""
        ...


def tool(
    graph: Strategy,
    name: str | None,
    description: str | None,
    *,
    params: Sequence[str],
    fixed: Mapping[str, Any],
    settings: Mapping[str, Any],
) -> BaseTool:
    """A strategy as a LangChain tool; see :meth:`thinkgraph.graphs.graph.Graph.as_tool`."""
    run = {name: value for name, value in settings.items() if name in STREAM_SETTINGS}
    values = {**fixed, **{name: v for name, v in settings.items() if name not in STREAM_SETTINGS}}
    _check(graph, params, values)

    def answer(question: str, **given: Any) -> tuple[str, Result]:
        # The stream's writer is found from the calling thread, not from the event loop's.
        return wait_for(told(question, given, _listener()))

    async def aanswer(question: str, **given: Any) -> tuple[str, Result]:
        return await told(question, given, _listener())

    async def told(
        question: str, given: Mapping[str, Any], emit: Callable[[Any], None]
    ) -> tuple[str, Result]:
        try:
            stream = graph.stream(question, params={**values, **given}, **run)
            async with aclosing(stream) as events:
                async for event in events:
                    if isinstance(event, Finished):
                        return event.result.output_text, event.result
                    emit(event)
        except ThinkgraphError as error:
            raise ToolException(str(error)) from error
        raise ToolException(NO_RESULT)

    return StructuredTool.from_function(
        answer,
        aanswer,
        name=name or graph.name,
        description=description or " ".join(graph.spec.about.split()) or f"Answer by {graph.name}.",
        args_schema=arguments(graph.spec, params, values),
        response_format="content_and_artifact",
        handle_tool_error=True,
        handle_validation_error=_first,
    )


def _listener() -> Callable[[Any], None]:
    """The writer of the calling LangGraph run's custom stream; outside a run it does nothing."""
    try:
        return get_stream_writer()
    except (RuntimeError, KeyError):
        return lambda event: None


def _check(graph: Strategy, params: Sequence[str], values: Mapping[str, Any]) -> None:
    """Raise errors of params when the tool is made, rather than at each call."""
    spec = graph.spec
    fixed = {name: value for name, value in values.items() if name not in spec.inputs}
    for name in params:
        if name not in spec.params:
            have = ", ".join(spec.params) or "none"
            hint = did_you_mean(name, spec.params) or f"it has {have}"
            raise ThinkgraphError(f"graph {graph.name!r} has no param {name!r}; {hint}")
        if name in fixed:
            raise ThinkgraphError(f"the param {name!r} is set already; an agent can't set it too")
    if all(spec.params[name].default is not None for name in params):
        graph.bind(fixed)


def arguments(
    spec: Spec, params: Sequence[str] = (), fixed: Container[str] = ()
) -> type[BaseModel]:
    """The tool's arguments: the question, the named params, and the inputs that aren't fixed."""
    fields: dict[str, Any] = {"question": (str, Field(description="the question to answer"))}
    fields |= {name: _input(field) for name, field in spec.inputs.items() if name not in fixed}
    fields |= {name: _param(spec.params[name]) for name in params}
    return create_model(f"{spec.name}-arguments", **fields)


def _param(param: Param) -> tuple[Any, Any]:
    kind: Any = Literal[param.choices] if param.choices else _TYPES[param.kind]
    numeric = param.kind in ("integer", "number") and not param.choices
    bounds: dict[str, Any] = {"ge": param.minimum, "le": param.maximum} if numeric else {}
    default = ... if param.default is None else param.default
    return Annotated[kind, Field(description=param.about or None, **bounds)], default


def _input(field: Input) -> tuple[Any, Any]:
    kind = _TYPES[field.type]
    about = Field(description=field.about or None)
    return Annotated[kind, about], ... if field.default is None else field.default


def _first(error: Any) -> str:
    """The first error of the arguments, as one sentence for the agent."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
