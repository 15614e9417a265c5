"""The record of one model request of a node: what was sent, and the result."""

from __future__ import annotations

from pydantic import Field

from thinkgraph.models.model import Completion, Frozen, Message, Sampling, Tool, Usage


class RequestRecord(Frozen):
    """One model request with its result."""

    node: str
    round: int = 0
    role: str = Field("", description="whose model was asked; empty is the run's model")
    model: str = Field(description="the model's name")
    messages: tuple[Message, ...] = Field(description="the prompt, as the model got it")
    sampling: Sampling = Field(description="the settings")
    seeds: tuple[int, ...] = Field((), description="one for each completion")
    completions: tuple[Completion, ...] = ()
    options: tuple[str, ...] = Field(
        (), description="those to choose from, in a choice, or the answers that were scored"
    )
    probabilities: tuple[float, ...] = Field((), description="one for each option")
    scores: tuple[float, ...] = Field((), description="of a reward model, one for each answer")
    usage: Usage = Usage()
    tools: tuple[Tool, ...] = Field((), description="those that it might call")
    error: str | None = Field(None, description="why it failed, if it did")
    rendered: str | None = Field(None, description="the prompt's text, by the chat template")
    tokens: tuple[int, ...] | None = Field(None, description="of that text, as the model got them")
