"""What one invocation of a compiled graph may set: LangGraph's ``context=``."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic import ModelWrapValidatorHandler as Handler
from pydantic.json_schema import WithJsonSchema

from thinkgraph.graphs.language.spec import Limits
from thinkgraph.graphs.runtime.models import AnyModel
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Budget, Model
from thinkgraph.nodes.event import NodeEvent

Allowance = Budget | Limits | Mapping[str, float]
"""What a run may spend, such as ``{"tokens": 2000}``."""

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

    @model_validator(mode="wrap")
    @classmethod
    def _clear(cls, value: Any, handler: Handler[Self]) -> Self:
        try:
            return handler(value)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(["context", *map(str, first["loc"])])
            known = ", ".join(cls.model_fields)
            raise ThinkgraphError(f"{place}: {first['msg']}; a context has {known}") from None


@dataclass(frozen=True)
class RunContext:
    """The context of a run that this package starts itself.

    Attributes:
        seed: all randomness comes from it.
        models: a model by its role; the empty role is the run's model.
        budget: what the run may spend, its spec's budget included.
        emit: is told the run's events in place of LangGraph's custom stream.
        scope: goes before the names of the nodes.
    """

    seed: int
    models: Callable[[str], Model]
    budget: Budget | None = None
    emit: Callable[[NodeEvent], None] | None = None
    scope: str = ""


__all__ = ["Allowance", "AnyModel", "Context", "RunContext"]
