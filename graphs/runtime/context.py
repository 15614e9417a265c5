"""What a graph is compiled with, and what one run of it has: LangGraph's ``context=``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)
from pydantic import ModelWrapValidatorHandler as Handler
from pydantic.json_schema import SkipJsonSchema, WithJsonSchema

from thinkgraph.graphs.language.spec import Limits, Scalar, Spec
from thinkgraph.graphs.runtime.models import AnyModel
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Budget, Model
from thinkgraph.nodes.event import NodeEvent
from thinkgraph.nodes.prompts.prompt import Prompt
from thinkgraph.nodes.request import RequestRecord
from thinkgraph.nodes.tools.tool import BoundTool, bind_tools
from thinkgraph.nodes.tools.verifier import Verifier, bind_verifiers

Allowance = Budget | Limits | Mapping[str, float]
"""What a run may spend, such as ``{"tokens": 2000}``."""

_UNION = ("Limits", "is-instance[Budget]")
"""What pydantic calls the kinds of a budget in the place of an error."""
_HOSTS = frozenset(
    {"thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map", "run_id", "assistant_id"}
)
"""Keys of a config's ``configurable``, which some hosts (ag-ui-langgraph) hand on as context."""
_NAMED = WithJsonSchema({"type": "string"})


class Context(BaseModel):
    """What one invocation may set; a ``dict`` of the same keys does as well.

    As a subgraph a strategy is handed its parent's context, which it leaves alone.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    seed: int | None = Field(None, description="all randomness comes from it")
    model: Annotated[Any, _NAMED] = Field(
        None, description="a name of the catalogue; in Python also a model or a chat model"
    )
    models: dict[str, Annotated[Any, _NAMED]] | None = Field(None, description="the same by role")
    budget: Annotated[Limits | Budget | None, WithJsonSchema(Limits.model_json_schema())] = Field(
        None, description="what the run may spend: tokens, seconds, calls"
    )
    tools: SkipJsonSchema[Annotated[Any, BeforeValidator(bind_tools)]] = Field(
        None, description="tools by name, in Python alone; they come before the graph's own"
    )
    verifiers: SkipJsonSchema[Annotated[Any, BeforeValidator(bind_verifiers)]] = Field(
        None, description="verifiers by name, in Python alone"
    )

    @model_validator(mode="wrap")
    @classmethod
    def _clear(cls, value: Any, handler: Handler[Self]) -> Self:
        if isinstance(value, Mapping):
            value = {key: each for key, each in value.items() if key not in _HOSTS}
        try:
            return handler(value)
        except ValidationError as error:
            first = error.errors()[0]
            named = [str(part) for part in first["loc"] if part not in _UNION]
            place = ".".join(["context", *named])
            known = ", ".join(cls.model_fields)
            raise ThinkgraphError(f"{place}: {first['msg']}; a context has {known}") from None


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
        tools: those that the host has bound, by name.
        verifiers: the same.
        confidence: whether candidates are measured by their entropies, in a graph that uses it.
    """

    params: Mapping[str, Scalar]
    models: Models
    used: Callable[[str], Spec]
    seed: int = 0
    prompts: Mapping[str, Prompt] = field(default_factory=dict)
    budget: Limits | None = None
    tools: Mapping[str, BoundTool] = field(default_factory=dict)
    verifiers: Mapping[str, Verifier] = field(default_factory=dict)
    confidence: bool = False


@dataclass(frozen=True)
class RunContext:
    """The context of a run that this package starts itself.

    A graph that a node's own code runs is handed it too, and leaves it alone.

    Attributes:
        graph: whose run it is.
        seed: all randomness comes from it.
        models: of the run.
        budget: what the run may spend, its spec's budget included.
        emit: is told the run's events in place of LangGraph's custom stream.
        scope: goes before the names of the nodes.
        record: is called with each model request, once it has ended.
        tools: those that the host has bound, by name.
        verifiers: the same.
    """

    graph: Spec
    seed: int
    models: Models
    budget: Budget | None = None
    emit: Callable[[NodeEvent], None] | None = None
    scope: str = ""
    record: Callable[[RequestRecord], None] | None = None
    tools: Mapping[str, BoundTool] = field(default_factory=dict)
    verifiers: Mapping[str, Verifier] = field(default_factory=dict)


__all__ = ["Allowance", "AnyModel", "Context", "RunContext"]
