"""What a graph is compiled with, and the context of one run: LangGraph's ``context=``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

from pydantic import (
    AfterValidator,
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
from thinkgraph.graphs.runtime.budget import RunBudget
from thinkgraph.graphs.runtime.models import AnyModel
from thinkgraph.models.arguments import ArgumentError
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Budget, Model
from thinkgraph.nodes.base.param import is_reference
from thinkgraph.nodes.event import NodeEvent
from thinkgraph.nodes.prompts.prompt import Prompt
from thinkgraph.nodes.request import RequestRecord
from thinkgraph.nodes.tools.tool import BoundTool, bind_tools
from thinkgraph.nodes.tools.verifier import Verifier, bind_verifiers

Allowance = Budget | Limits | Mapping[str, float]
"""The budget of a run, such as ``{"tokens": 2000}``."""

_UNION = ("Limits", "is-instance[Budget]")
"""The names of the budget's union members in the ``loc`` of a pydantic error."""
_HOSTS = frozenset(
    {"thread_id", "checkpoint_id", "checkpoint_ns", "checkpoint_map", "run_id", "assistant_id"}
)
"""Keys of a config's ``configurable``, which some hosts (ag-ui-langgraph) pass as context."""
_NAMED = WithJsonSchema({"type": "string"})


def in_numbers(budget: Limits | Budget | None) -> Any:
    """Check a budget that a caller gives, and return it.

    Raises:
        ArgumentError: it refers to a param.
    """
    for name, value in budget if isinstance(budget, Limits) else ():
        if is_reference(value):
            raise ArgumentError(
                f"the budget's {name} is {str(value)!r}, which is no number; "
                "only the budget of a graph may refer to its params"
            )
    return budget


class Context(BaseModel):
    """The settings of one invocation; a ``dict`` with the same keys works too.

    A strategy that runs as a subgraph receives its parent's context, and ignores it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    seed: int | None = Field(
        None, description="seed of all randomness; None: the seed with which the graph was compiled"
    )
    model: Annotated[Any, _NAMED] = Field(
        None,
        description="the run's model: a name of the catalogue; in Python also a model or a chat "
        "model; None: the model with which the graph was compiled",
    )
    models: dict[str, Annotated[Any, _NAMED]] | None = Field(
        None, description="models of single roles, by role, each given like `model`"
    )
    budget: Annotated[
        Limits | Budget | None,
        AfterValidator(in_numbers),
        WithJsonSchema(Limits.model_json_schema()),
    ] = Field(
        None,
        description="limits of the run's tokens, seconds and model calls; None: the graph's own "
        "budget alone",
    )
    tools: SkipJsonSchema[Annotated[Any, BeforeValidator(bind_tools)]] = Field(
        None,
        description="tools by name, only in Python; they take precedence over those of the "
        "compiled graph",
    )
    verifiers: SkipJsonSchema[Annotated[Any, BeforeValidator(bind_verifiers)]] = Field(
        None,
        description="verifiers by name, only in Python; they take precedence over those of the "
        "compiled graph",
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
            said = first["msg"].removeprefix("Value error, ")
            raise ThinkgraphError(f"{place}: {said}; a context has {known}") from None


Models = Callable[[str], Model]
"""Returns the model of a role; the empty role is the run's model."""


@dataclass(frozen=True)
class Binding:
    """What a graph is compiled with.

    Attributes:
        params: the value of every param.
        models: the models of runs whose context sets none.
        used: returns the spec that a ``use`` names.
        seed: the seed of runs whose context sets none.
        prompts: prompts that replace built-in ones of the same name.
        budget: budget of a run, in addition to the spec's.
        tools: the tools that the host has bound, by name.
        verifiers: the verifiers that the host has bound, by name.
        confidence: whether the graph, or one that uses it, measures candidates by their entropies.
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

    A graph that is run by a node's own code receives it too, and ignores it.

    Attributes:
        graph: the graph that is run.
        seed: the seed of all randomness.
        models: the models of the run.
        budget: the budget of the run, which includes that of its spec.
        emit: receives the run's events in place of LangGraph's custom stream.
        scope: prefix of the node names.
        record: is called with each model request, once it has ended.
        tools: the tools that the host has bound, by name.
        verifiers: the verifiers that the host has bound, by name.
    """

    graph: Spec
    seed: int
    models: Models
    budget: RunBudget
    emit: Callable[[NodeEvent], None] | None = None
    scope: str = ""
    record: Callable[[RequestRecord], None] | None = None
    tools: Mapping[str, BoundTool] = field(default_factory=dict)
    verifiers: Mapping[str, Verifier] = field(default_factory=dict)


__all__ = ["Allowance", "AnyModel", "Context", "RunContext"]
