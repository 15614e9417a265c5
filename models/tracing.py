"""Tracing: a model request as a LangChain chat-model run, for callbacks and streams.

LangChain's tools (LangSmith, Langfuse, OpenTelemetry, LangGraph's ``stream_mode="messages"``)
observe a model through callbacks: ``on_chat_model_start``, ``on_llm_new_token``, ``on_llm_end``.
A LangChain model invokes them itself; for every other model this module does, under the run of
the node that makes the request. Without callbacks it does nothing.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

from langchain_core.callbacks import (
    AsyncCallbackHandler,
    AsyncCallbackManagerForLLMRun,
    BaseCallbackHandler,
    BaseCallbackManager,
)
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, LLMResult
from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import (
    get_async_callback_manager_for_config,
    merge_configs,
    var_child_runnable_config,
)
from langchain_core.tracers.base import AsyncBaseTracer, BaseTracer
from langchain_core.utils.utils import LC_ID_PREFIX

from thinkgraph.models.messages import REASONING, to_langchain
from thinkgraph.models.model import Completion, Delta, Model, ModelRequest, Usage

NO_STREAM = "nostream"
"""LangGraph's tag for runs whose text is left out of ``stream_mode="messages"``."""


class Untraced:
    """The recorder of a request that no callback observes: it does nothing."""

    async def token(self, delta: Delta) -> None:
        """Report new text of one sample."""

    async def end(self, completions: Sequence[Completion], usage: Usage) -> None:
        """Report the finished samples and their total usage."""

    async def chosen(
        self, options: Sequence[str], probabilities: Sequence[float], usage: Usage
    ) -> None:
        """Report the probability of each option."""

    async def rated(self, scores: Sequence[float], usage: Usage) -> None:
        """Report the score of each answer."""


UNTRACED = Untraced()


class ChatModelRun(Untraced):
    """Reports a request as one LangChain run, with a generation for each sample."""

    def __init__(
        self, run: AsyncCallbackManagerForLLMRun, model: str, message_ids: Sequence[str]
    ) -> None:
        self._run, self._model, self._message_ids = run, model, message_ids
        listeners = [handler for handler in run.handlers if _takes_tokens(handler)]
        self._listeners = _for_handlers(run, listeners) if listeners else None
        self._streamed: set[int] = set()

    async def token(self, delta: Delta) -> None:
        """Pass new text to the handlers that take tokens."""
        if self._listeners is None:
            return
        self._streamed.add(delta.sample)
        message = AIMessageChunk(
            content=delta.text,
            additional_kwargs=_thought(delta.reasoning),
            id=self._message_id(delta.sample),
            response_metadata={"index": delta.sample},
        )
        chunk = ChatGenerationChunk(message=message, generation_info={"index": delta.sample})
        await self._listeners.on_llm_new_token(delta.text, chunk=chunk)

    async def end(self, completions: Sequence[Completion], usage: Usage) -> None:
        """End the run with all samples."""
        for done in completions:
            if done.text and done.sample not in self._streamed:  # it arrived in one piece
                await self.token(Delta(sample=done.sample, text=done.text, tokens=done.tokens))
        await self._end([self._generation(done, usage) for done in completions], usage)

    async def chosen(
        self, options: Sequence[str], probabilities: Sequence[float], usage: Usage
    ) -> None:
        """End the run with the likeliest option as text and all probabilities as metadata."""
        found = dict(zip(options, probabilities, strict=True))
        await self._tell(max(found, key=found.__getitem__), {"probabilities": found}, usage)

    async def rated(self, scores: Sequence[float], usage: Usage) -> None:
        """End the run with the scores, one per line."""
        text = "\n".join(f"{score:g}" for score in scores)
        await self._tell(text, {"scores": list(scores)}, usage)

    async def _tell(self, text: str, facts: Mapping[str, Any], usage: Usage) -> None:
        message = AIMessage(
            content=text,
            id=self._message_id(0),
            response_metadata={"model_name": self._model, **facts},
            usage_metadata=usage_metadata(usage, usage.completion_tokens),
        )
        await self._end([ChatGeneration(message=message)], usage)

    async def fail(self, error: BaseException) -> None:
        """Report that the request failed or was cancelled."""
        await self._run.on_llm_error(error)

    async def _end(self, generations: list[ChatGeneration], usage: Usage) -> None:
        spent = {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        }
        output = {"token_usage": spent, "model_name": self._model}
        await self._run.on_llm_end(LLMResult(generations=[generations], llm_output=output))

    def _generation(self, done: Completion, usage: Usage) -> ChatGeneration:
        facts = {"finish_reason": done.finish_reason, "index": done.sample, "seed": done.seed}
        message = AIMessage(
            content=done.text,
            additional_kwargs=_thought(done.reasoning),
            id=self._message_id(done.sample),
            response_metadata={**facts, "model_name": self._model},
            # The prompt is counted once, so that the messages' usages add up.
            usage_metadata=usage_metadata(usage if done.sample == 0 else Usage(), done.tokens),
        )
        return ChatGeneration(message=message, generation_info=facts)

    def _message_id(self, sample: int) -> str:
        if self._message_ids:
            return self._message_ids[sample]
        return f"{LC_ID_PREFIX}-{self._run.run_id}-{sample}"


@asynccontextmanager
async def traced(
    model: Model,
    request: ModelRequest,
    *,
    metadata: Mapping[str, Any],
    tags: Sequence[str] = (),
    options: Sequence[str] = (),
    message_ids: Sequence[str] = (),
) -> AsyncIterator[Untraced]:
    """Open a run for one request, as a child of the current LangChain run.

    A LangChain model opens its own runs, which get the metadata and tags.

    Args:
        model: the model that answers the request.
        request: the request.
        metadata: metadata of the run, added to what it inherits.
        tags: tags of the run, added to what it inherits.
        options: the options to choose from, if the request is a choice.
        message_ids: the id of each sample's message; by default derived from the run's id.
    """
    config = var_child_runnable_config.get()
    if config is None or not _is_listened_to(config):
        yield UNTRACED
        return
    own = RunnableConfig(metadata=dict(metadata), tags=list(tags))
    config = merge_configs(config, own)
    token = var_child_runnable_config.set(config)
    try:
        if getattr(model, "is_langchain", False):
            yield UNTRACED
            return
        run = await _start(model, request, config, options, message_ids)
        try:
            yield run
        except BaseException as error:
            await run.fail(error)
            raise
    finally:
        var_child_runnable_config.reset(token)


def langchain_messages(request: ModelRequest) -> list[BaseMessage]:
    """The conversation as LangChain's messages."""
    return to_langchain(request.messages)


def _thought(reasoning: str) -> dict[str, str]:
    return {REASONING: reasoning} if reasoning else {}


def usage_metadata(prompt: Usage, output: int) -> UsageMetadata:
    """LangChain's usage metadata from a prompt's usage and the number of sampled tokens."""
    return UsageMetadata(
        input_tokens=prompt.prompt_tokens,
        output_tokens=output,
        total_tokens=prompt.prompt_tokens + output,
        input_token_details=InputTokenDetails(cache_read=prompt.cached_tokens),
    )


async def _start(
    model: Model,
    request: ModelRequest,
    config: RunnableConfig,
    options: Sequence[str],
    message_ids: Sequence[str],
) -> ChatModelRun:
    sampling = request.sampling.model_dump(exclude_defaults=True, mode="json")
    given = {"max_tokens": request.sampling.max_tokens, **sampling, "n": len(request.seeds)}
    asked = {"options": list(options)} if options else given | {"seeds": list(request.seeds)}
    params = {"model": model.name, "_type": "thinkgraph", **asked}
    manager = get_async_callback_manager_for_config(config)
    manager.add_metadata(
        {
            "ls_provider": "thinkgraph",
            "ls_model_name": model.name,
            "ls_model_type": "chat",
            "ls_temperature": request.sampling.temperature,
            "ls_max_tokens": request.sampling.max_tokens,
        },
        inherit=False,
    )
    if options:
        manager.add_tags([NO_STREAM], inherit=False)
    (run,) = await manager.on_chat_model_start(
        {"lc": 1, "type": "not_implemented", "id": ["thinkgraph", type(model).__name__]},
        [langchain_messages(request)],
        invocation_params=params,
        options={"stop": list(request.sampling.stop) or None},
        name=model.name,
        batch_size=1,
    )
    return ChatModelRun(run, model.name, message_ids)


def _is_listened_to(config: RunnableConfig) -> bool:
    callbacks = config.get("callbacks")
    if isinstance(callbacks, BaseCallbackManager):
        return bool(callbacks.handlers)
    return bool(callbacks)


_TOKEN_METHODS = (BaseCallbackHandler.on_llm_new_token, AsyncCallbackHandler.on_llm_new_token)


def _takes_tokens(handler: BaseCallbackHandler) -> bool:
    """Whether a handler processes each token; tracers only record when tokens arrive."""
    if isinstance(handler, BaseTracer | AsyncBaseTracer):
        return False
    return type(handler).on_llm_new_token not in _TOKEN_METHODS


def _for_handlers(
    run: AsyncCallbackManagerForLLMRun, handlers: list[BaseCallbackHandler]
) -> AsyncCallbackManagerForLLMRun:
    """A callback manager of the same run with only the given handlers."""
    return AsyncCallbackManagerForLLMRun(
        run_id=run.run_id,
        parent_run_id=run.parent_run_id,
        handlers=handlers,
        inheritable_handlers=[],
        tags=run.tags,
        metadata=run.metadata,
    )
