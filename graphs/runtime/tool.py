"""A strategy as a tool that an agent may call."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from langchain_core.tools import BaseTool, StructuredTool, ToolException
from pydantic import BaseModel, Field, ValidationError, create_model

from thinkgraph.graphs.language.spec import Input, Param, Spec
from thinkgraph.graphs.runtime.result import Result
from thinkgraph.models.errors import ThinkgraphError, did_you_mean

if TYPE_CHECKING:
    from thinkgraph.graphs.graph import Graph

_TYPES: dict[str, Any] = {
    "boolean": bool,
    "integer": int,
    "number": float,
    "string": str,
    "list": list[Any],
    "object": dict[str, Any],
}

RUN_SETTINGS = frozenset({"model", "models", "seed", "budget", "prompts"})
"""What a run takes beside its params and inputs."""


def tool(
    graph: Graph,
    name: str | None,
    description: str | None,
    params: Sequence[str],
    settings: Mapping[str, Any],
) -> BaseTool:
    """A strategy as a LangChain tool; see :meth:`thinkgraph.graphs.graph.Graph.as_tool`."""
    _check(graph, params, settings)

    def answer(question: str, **given: Any) -> tuple[str, Result]:
        try:
            return _told(graph.run(question, **settings, **given))
        except ThinkgraphError as error:
            raise ToolException(str(error)) from error

    async def aanswer(question: str, **given: Any) -> tuple[str, Result]:
        try:
            return _told(await graph.arun(question, **settings, **given))
        except ThinkgraphError as error:
            raise ToolException(str(error)) from error

    return StructuredTool.from_function(
        answer,
        aanswer,
        name=name or graph.name,
        description=description or " ".join(graph.spec.about.split()) or f"Answer by {graph.name}.",
        args_schema=arguments(graph.spec, params, settings),
        response_format="content_and_artifact",
        handle_tool_error=True,
        handle_validation_error=_first,
    )


def _check(graph: Graph, params: Sequence[str], settings: Mapping[str, Any]) -> None:
    """Tell the programmer now what the agent could only be told at each call."""
    spec = graph.spec
    fixed = {n: v for n, v in settings.items() if n not in RUN_SETTINGS | spec.inputs.keys()}
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
    """What an agent may set: the question, the named params, and the inputs that aren't fixed."""
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


def _told(result: Result) -> tuple[str, Result]:
    return str(result.output), result


def _first(error: Any) -> str:
    """A wrong argument in one sentence, for the agent to mend."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
