"""Strategies as MCP tools: names, descriptions, and input and output schemas."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model

from thinkgraph.graphs.graph import Graph
from thinkgraph.graphs.runtime.tool import arguments
from thinkgraph.serve.errors import RequestError

SECONDS = 45.0
"""Default time limit of a call in seconds; clients abort after a minute."""
LONGEST_S = 600.0
OWN = ("seconds", "budget")
"""Arguments of every tool, in addition to the strategy's own."""
USE = (
    "Ask a local language model one question, which has to say all that is needed: the tool sees "
    "neither your conversation nor any file. "
)


class Voted(BaseModel):
    """What a tool gives: the answer, the vote, and what it cost."""

    model_config = ConfigDict(extra="forbid")

    answer: str = Field(description="the answer's text")
    value: str | None = Field(None, description="the extracted answer, such as a number")
    votes: dict[str, int] = Field(default_factory=dict, description="votes by answer")
    of: int = Field(1, description="how many candidates there were")
    tie: bool = False
    cut: str | None = Field(None, description="why it ended early; null: it ran to its end")
    note: str = Field("", description="how sure the vote is")
    model: str = Field("", description="the model that was asked")
    seed: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = Field(0, description="tokens that were sampled, of all candidates")
    cancelled_tokens: int = 0
    seconds: float = 0.0


def input_model(graph: Graph) -> type[BaseModel]:
    """The arguments of a strategy's tool: the question, inputs, params and limits."""
    base = arguments(graph.spec, tuple(graph.spec.params))
    fields: dict[str, Any] = {
        "seconds": (
            Annotated[float, Field(gt=0, le=LONGEST_S)],
            Field(SECONDS, description="time limit; then the best answer so far is given"),
        ),
        "budget": (
            Annotated[int, Field(ge=1)] | None,
            Field(None, description="sampled tokens at most; then the best answer so far"),
        ),
    }
    missing = {name: fields[name] for name in own(graph)}
    return create_model(f"{graph.name}-tool", __base__=base, **missing)


def own(graph: Graph) -> list[str]:
    """The limits among a tool's arguments, without those whose names the strategy uses itself."""
    return [name for name in OWN if name not in {**graph.spec.params, **graph.spec.inputs}]


def acts(graph: Graph) -> bool:
    """Whether a call may have side effects, which a client may want to confirm first."""
    if any(param.default is None for param in graph.spec.params.values()):
        return True  # the param's value may name a tool
    return bool(graph.required().tools)


def description(graph: Graph) -> str:
    """The tool's description for agents: what the strategy does, and when it helps and hurts."""
    return USE + " ".join(graph.spec.about.split())


def parsed(name: str, model: type[BaseModel], given: dict[str, Any] | None) -> dict[str, Any]:
    """Validate the arguments of a call.

    Args:
        name: the tool's name.
        model: the tool's :func:`input_model`.
        given: the arguments.

    Raises:
        RequestError: an argument is unknown or invalid.
    """
    unknown = sorted({*(given or {})} - {*model.model_fields})
    if unknown:
        known = ", ".join(model.model_fields)
        raise RequestError(f"{name} takes no {unknown[0]!r}; it takes {known}")
    try:
        return model.model_validate(given or {}).model_dump()
    except ValidationError as error:
        first = error.errors()[0]
        raise RequestError(f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from None
