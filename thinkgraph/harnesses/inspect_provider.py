"""Strategies as models of Inspect AI: ``inspect eval TASK --model thinkgraph/self-consistency``.

``-M llm=smollm2`` sets the strategy's model (Inspect reserves the name ``model``); any other
``-M NAME=VALUE`` is a param of the graph. Inspect finds this module by the entry point group
``inspect_ai``.
"""

from __future__ import annotations

from typing import Any

from inspect_ai._util.error import PrerequisiteError
from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    GenerateConfig,
    ModelAPI,
    ModelOutput,
    ModelUsage,
    StopReason,
    modelapi,
)
from inspect_ai.tool import ToolChoice, ToolInfo
from rich.markup import escape

from thinkgraph.graphs.runtime.result import Result
from thinkgraph.harnesses.respondent import AT_ONCE, Respondent, reply
from thinkgraph.models.errors import PromptTooLong, ThinkgraphError
from thinkgraph.models.model import FinishReason, Message, Usage

PARAMS = ("max_tokens", "temperature", "top_p", "top_k")
"""Settings of Inspect that set the graph's params of the same names."""
INSPECTS_OWN = {
    "seed",  # the run's seed, not a param
    "system_message",  # Inspect prepends it to the conversation
    "adaptive_connections",
    "attempt_timeout",
    "cache",
    "fail_on_refusal",
    "max_connections",
    "max_retries",
    "max_tool_output",
    "reasoning_history",
    "stream_idle_timeout",
    "timeout",
}
"""Settings that Inspect handles itself, and that aren't passed to the graph's params."""
STOP_REASONS: dict[FinishReason, StopReason] = {
    "stop": "stop",
    "length": "max_tokens",
    "budget": "max_tokens",
    "cancelled": "unknown",
}


@modelapi(name="thinkgraph")
class StrategyAPI(ModelAPI):
    """A strategy as a model of Inspect; its samples run concurrently in one engine.

    The completion is :func:`~thinkgraph.harnesses.respondent.reply`; its metadata has the run's
    summary with all candidates, and the votes. Of Inspect's settings, ``max_tokens``,
    ``temperature``, ``top_p`` and ``top_k`` set the graph's params of the same names, and ``seed``
    sets the run's seed; settings that the graph doesn't have are errors, and so are tools.

    Args:
        model_name: the graph: a built-in name, or the path of a spec.
        base_url: not supported; use ``-M llm=openai:MODEL@URL`` for a model of a server.
        api_key: not used.
        config: Inspect's settings.
        llm: the model's name in the catalogue; by default THINKGRAPH_MODEL, or else smollm2.
        params: values of the graph's params and further inputs.

    Raises:
        PrerequisiteError: the graph or model doesn't exist, or a setting is invalid; Inspect
            shows the message as one line.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig | None = None,
        *,
        llm: str | None = None,
        **params: Any,
    ) -> None:
        config = config or GenerateConfig()
        super().__init__(model_name, base_url, api_key, [], config)
        try:
            if base_url:
                raise ThinkgraphError("a strategy has no base URL; use -M llm=openai:MODEL@URL")
            self._respondent = Respondent(model_name, llm, **params)
            self._respondent.check(**_params(config))
        except ThinkgraphError as error:
            raise PrerequisiteError(escape(f"thinkgraph: {error}")) from error

    async def generate(
        self,
        input: list[ChatMessage],
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> ModelOutput:
        """Answer a conversation.

        Raises:
            ThinkgraphError: there are tools, images, or settings that the graph doesn't have; or
                the run failed.
        """
        if tools:
            raise ThinkgraphError(f"{self.model_name} is a strategy, which calls no tools")
        conversation = [_message(message) for message in input]
        try:
            result = await self._respondent.answer(
                conversation, seed=config.seed, **_params(config)
            )
        except PromptTooLong as error:
            return ModelOutput.from_content(
                self.model_name, str(error), stop_reason="model_length", error=str(error)
            )
        return _output(self.model_name, result)

    def max_connections(self) -> int:
        """Default number of concurrent samples of a task."""
        return AT_ONCE


def _params(config: GenerateConfig) -> dict[str, Any]:
    given = config.model_dump(exclude_none=True)
    for name in sorted(given.keys() - INSPECTS_OWN - {*PARAMS}):
        raise ThinkgraphError(
            f"Inspect's setting {name} isn't supported by strategies; remove it, or set a param "
            "with -M NAME=VALUE"
        )
    return {name: given[name] for name in PARAMS if name in given}


def _message(message: ChatMessage) -> Message:
    if message.role == "tool":
        raise ThinkgraphError("there is a tool's message, and a strategy calls no tools")
    parts = [] if isinstance(message.content, str) else message.content
    for part in parts:
        if part.type not in ("text", "reasoning"):
            raise ThinkgraphError(f"there is a part of type {part.type}; a strategy reads text")
    return Message(role=message.role, content=message.text)


def _output(model: str, result: Result) -> ModelOutput:
    winner = next((c for c in result.candidates if c.id == result.answer.candidate), None)
    said = ChatMessageAssistant(content=reply(result), model=model, source="generate")
    why = STOP_REASONS[winner.finish_reason] if winner else "unknown"
    return ModelOutput(
        model=model,
        choices=[ChatCompletionChoice(message=said, stop_reason=why)],
        usage=_usage(result.usage),
        time=result.usage.wall_s,
        metadata={**result.summary(), "votes": result.votes},
    )


def _usage(spent: Usage) -> ModelUsage:
    return ModelUsage(
        input_tokens=spent.prefilled_tokens,
        input_tokens_cache_read=spent.cached_tokens,
        output_tokens=spent.completion_tokens,
        total_tokens=spent.prompt_tokens + spent.completion_tokens,
    )
