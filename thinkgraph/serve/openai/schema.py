"""Request models of OpenAI's API, with the fields that have an effect here."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Effort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]
Role = Literal["system", "developer", "user", "assistant", "tool", "function"]
Seed = Annotated[int, Field(ge=-(2**63), lt=2**63)]
Count = Annotated[int, Field(ge=1, le=2**31)]
Penalty = Annotated[float, Field(ge=-2, le=2)]
Bias = Annotated[float, Field(ge=-100, le=100)]

SILENT = frozenset(
    {
        *("user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"),
        *("stream_options", "parallel_tool_calls", "include", "truncation", "modalities"),
        *("prompt_cache_retention", "background", "prompt_cache_options"),
        *("reasoning.summary", "reasoning.generate_summary"),  # reasoning is always included
    }
)
"""Fields that don't affect an answer, and aren't reported as ignored."""

OWN_VARIABLES = frozenset(
    {"messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token"}
)
"""Chat template variables that make up the prompt, which a request can't set."""


class Options(BaseModel):
    """Options of a strategy, in the field ``thinkgraph`` next to OpenAI's fields.

    All other keys are the strategy's params and inputs: ``{"samples": 8}``.
    """

    model_config = ConfigDict(extra="allow")

    params: dict[str, Any] = Field(
        default_factory=dict, description="params and inputs of the strategy"
    )
    model: str | None = Field(None, description="name of the model that runs the strategy")
    models: dict[str, str] = Field(default_factory=dict, description="names of models by role")
    tokens: Count | None = Field(None, description="maximum number of sampled tokens")
    seconds: Annotated[float, Field(gt=0, le=86400)] | None = Field(
        None, description="time limit in seconds, after which the best answer so far is returned"
    )
    template: dict[str, str | bool | int | float] = Field(
        default_factory=dict, description="variables of the chat template"
    )
    spec: str | None = Field(
        None,
        max_length=100_000,
        description="YAML spec of the client's own strategy, if the server allows specs",
    )

    @field_validator("template")
    @classmethod
    def _leaves_the_prompt(cls, given: dict[str, Any]) -> dict[str, Any]:
        if taken := sorted(OWN_VARIABLES & given.keys()):
            raise ValueError(f"{taken[0]} is not a variable that a request may set")
        return given

    @property
    def limits(self) -> Options:
        """The options that apply to any strategy, without params, roles and spec."""
        return Options(**self.model_dump(include={"model", "tokens", "seconds", "template"}))

    @property
    def given(self) -> dict[str, Any]:
        """The params and inputs."""
        return {**self.params, **(self.__pydantic_extra__ or {})}


class ChatMessage(BaseModel):
    """One message of a conversation."""

    model_config = ConfigDict(extra="allow")

    role: Role
    content: str | list[dict[str, Any]] | None = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    function_call: dict[str, Any] | None = None
    tool_call_id: str | None = None
    reasoning_content: str | None = None


class SamplingFields(BaseModel):
    """Sampling settings that both APIs share, and some of llama-server and vLLM."""

    model_config = ConfigDict(extra="allow")

    model: str = Field(min_length=1, max_length=500)
    stream: bool | None = False
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(gt=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=2**31)] | None = None
    min_p: Annotated[float, Field(ge=0, le=1)] | None = None
    repeat_penalty: Annotated[float, Field(gt=0, le=10)] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: dict[str, Bias] | None = None
    seed: Seed | None = None
    stop: str | list[str] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    thinkgraph: Options = Field(default_factory=Options)

    @model_validator(mode="before")
    @classmethod
    def _is_text(cls, given: Any) -> Any:
        """Refuse what JSON in UTF-8 can't represent: lone surrogates, NaN and infinity."""
        if isinstance(given, bytes):  # the body isn't sent as JSON
            raise ValueError("send JSON, with the header `Content-Type: application/json`")
        try:
            json.dumps(given, ensure_ascii=False, allow_nan=False).encode()
        except UnicodeEncodeError:
            raise ValueError("a text in it isn't valid Unicode") from None
        except (ValueError, RecursionError):
            raise ValueError("a number in it isn't finite, or it is nested too deeply") from None
        return given


class StreamOptions(BaseModel):
    """Options of a stream."""

    model_config = ConfigDict(extra="allow")

    include_usage: bool | None = None


class ChatRequest(SamplingFields):
    """A request for a chat completion."""

    messages: list[ChatMessage] = Field(min_length=1)
    n: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Count | None = None
    max_completion_tokens: Count | None = None
    logprobs: bool | None = None
    response_format: dict[str, Any] | None = None
    reasoning_effort: Effort | None = None
    stream_options: StreamOptions | None = None


class Reasoning(BaseModel):
    """Options of the model's reasoning."""

    model_config = ConfigDict(extra="allow")

    effort: Effort | None = None


class TextOptions(BaseModel):
    """Options of the answer's format."""

    model_config = ConfigDict(extra="allow")

    format: dict[str, Any] | None = None


class ResponsesRequest(SamplingFields):
    """A request for a response."""

    input: str | list[dict[str, Any]]
    instructions: str | None = None
    max_output_tokens: Count | None = None
    reasoning: Reasoning | None = None
    text: TextOptions | None = None
    previous_response_id: str | None = None
    conversation: Any = None
    background: bool | None = None
