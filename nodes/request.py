"""The record of one model request of a node: what was sent, and the result."""

from __future__ import annotations

from pydantic import Field

from thinkgraph.models.model import Completion, Frozen, Message, Sampling, Tool, Usage


class RequestRecord(Frozen):
    """One model request with its result."""

    node: str
    round: int = 0
    role: str = Field("", description="role of the model; empty: the run's model")
    model: str = Field(description="name of the model")
    messages: tuple[Message, ...] = Field(description="messages of the prompt")
    sampling: Sampling = Field(description="sampling settings")
    seeds: tuple[int, ...] = Field((), description="seed of each completion")
    completions: tuple[Completion, ...] = ()
    options: tuple[str, ...] = Field(
        (), description="options of a choice, or answers that a reward model scored"
    )
    probabilities: tuple[float, ...] = Field(
        (), description="probability of each option of a choice"
    )
    scores: tuple[float, ...] = Field((), description="a reward model's score of each answer")
    usage: Usage = Usage()
    tools: tuple[Tool, ...] = Field((), description="tools that the model may call")
    tool_choice: str = Field(
        "auto", description="`auto`, `any` for a required call, or the tool that must be called"
    )
    error: str | None = Field(None, description="error message; None if the request succeeded")
    rendered: str | None = Field(
        None,
        description="prompt rendered by the chat template; None until `with_rendered_prompts()`",
    )
    tokens: tuple[int, ...] | None = Field(
        None, description="token ids of the rendered prompt; None until `with_rendered_prompts()`"
    )
