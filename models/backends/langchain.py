"""The LangChain backend: any LangChain chat model as the model of a run."""

from __future__ import annotations

import math
from collections.abc import AsyncGenerator, Collection, Sequence
from contextlib import aclosing
from inspect import signature
from typing import Any, ClassVar, cast

from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
)
from langchain_core.messages.utils import count_tokens_approximately
from langchain_core.runnables import Runnable, RunnableConfig
from langchain_core.runnables.config import merge_configs, var_child_runnable_config
from langchain_core.runnables.retry import RunnableRetry

from thinkgraph.models.backends.streams import Step, Streams
from thinkgraph.models.capabilities import HOSTED, Capability
from thinkgraph.models.errors import ModelError, NoProbabilities, ThinkgraphError
from thinkgraph.models.formats.tools import described
from thinkgraph.models.messages import to_langchain
from thinkgraph.models.model import (
    Confidence,
    FinishReason,
    InvalidToolCall,
    Message,
    ModelRequest,
    Sampling,
    ToolCall,
    ToolUse,
    Usage,
    parted,
)

CUT = {"length", "max_tokens"}  # providers' finish reasons of a completion that met its limit
TRIES = 32
"""Maximum attempts for a sample that meets connections of another event loop."""


class LangChainModel:
    """Samples a chat model with one concurrent ``astream`` for each seed.

    Such a model gives no probabilities of given texts, so :meth:`choose` refuses. If it sends
    ``logprobs`` of its own tokens, as OpenAI's API does, a completion has their mean. Tokens are
    counted by its ``usage_metadata`` if it sends that, and otherwise estimated as one for each
    chunk of text. A budget is checked as chunks arrive: a chunk that arrives after it has run out
    is paid for and dropped.

    Args:
        model: the chat model, or a Runnable around one. A stream can't be retried halfway, so the
            answers of a model with ``with_retry()`` arrive in one piece.
        name: the model's name; by default that of its class.
        accepts: settings of :class:`~thinkgraph.models.model.Sampling` that the provider
            accepts by the same name, and ``seed`` if it accepts one; ``stop`` is always accepted.
            Only settings that were given are passed on.
        context_length: in tokens; by default what the model's profile says, or 8192.
    """

    about: ClassVar[str] = "a LangChain model"
    """How error messages describe the model."""
    lacks: ClassVar[frozenset[Capability]] = HOSTED
    """Capabilities that the model lacks."""
    is_langchain: ClassVar[bool] = True
    """Whether the model invokes LangChain's callbacks itself."""

    def __init__(
        self,
        model: Runnable[Any, Any],
        *,
        name: str | None = None,
        accepts: Collection[str] = ("temperature", "top_p", "max_tokens"),
        context_length: int | None = None,
    ) -> None:
        layers = _layers(model)
        self.name = name or type(layers[-1]).__name__
        profile = getattr(layers[-1], "profile", None) or {}
        self.context_length = context_length or profile.get("max_input_tokens") or 8192
        self._model = model
        self._retries = _retries(model)
        self._accepts = {*accepts, "stop"}

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Estimate the number of tokens: the provider's tokenizer is not known here."""
        return count_tokens_approximately(to_langchain(messages))

    def generate(self, request: ModelRequest) -> Streams:
        """Request one completion per seed; see :class:`~thinkgraph.models.model.Model`.

        Raises:
            ModelError: the model doesn't accept a setting, or the beginning of an answer.
                The iteration raises one if the model fails.
        """
        if parted(request.messages)[1]:
            what = "a text that its answer begins with"
            raise ModelError(f"{self.name} is {self.about} and can't be given {what}")
        settings = self._settings(request.sampling) | self._bound(request.tools)
        if request.budget:
            request.budget.spend(calls=1)
        turns = to_langchain(request.messages)
        return Streams(
            [
                self._stream(turns, settings | self._seed(seed), index)
                for index, seed in enumerate(request.seeds)
            ],
            request.seeds,
            spent=Usage(model_calls=1),
            budget=request.budget,
        )

    async def choose(
        self, request: ModelRequest, options: Sequence[str]
    ) -> tuple[list[float], Usage]:
        """Refuse: such a model gives no probabilities."""
        raise NoProbabilities(
            f"{self.name} is {self.about}, which gives no probabilities, "
            "so it can't choose between options; use a GGUF model there"
        )

    def _bound(self, use: ToolUse) -> dict[str, Any]:
        """The arguments by which the chat model's own ``bind_tools`` passes tools."""
        if not use.tools:
            return {}
        chat = _layers(self._model)[-1]
        choice: dict[str, Any] = {} if use.choice == "auto" else {"tool_choice": use.choice}
        try:
            if not use.parallel and "parallel_tool_calls" in signature(chat.bind_tools).parameters:
                choice["parallel_tool_calls"] = False
            bound = chat.bind_tools([described(tool) for tool in use.tools], **choice)
        except (NotImplementedError, AttributeError):
            raise ModelError(f"{self.name} is {self.about} that can't call tools") from None
        return dict(getattr(bound, "kwargs", {}))

    def _settings(self, sampling: Sampling) -> dict[str, Any]:
        given = {name: getattr(sampling, name) for name in sampling.model_fields_set}
        for name in sorted(given.keys() - self._accepts):
            if given[name] != Sampling.model_fields[name].get_default(call_default_factory=True):
                taken = ", ".join(sorted(self._accepts))
                raise ModelError(
                    f"{self.name} is {self.about} and doesn't take {name}; it takes {taken}"
                )
        settings = {name: value for name, value in given.items() if name in self._accepts}
        return settings | {"stop": list(sampling.stop) or None}

    def _seed(self, seed: int) -> dict[str, int]:
        return {"seed": seed} if "seed" in self._accepts else {}

    async def _stream(
        self, turns: list[BaseMessage], settings: dict[str, Any], sample: int
    ) -> AsyncGenerator[Step, None]:
        whole: AIMessageChunk | None = None
        counted = 0
        chunks = self._chunks(turns, settings, _of_sample(sample))
        try:
            async with aclosing(chunks):
                async for chunk in chunks:
                    whole = chunk if whole is None else whole + chunk
                    if chunk.text:
                        counted += 1
                        yield Step(chunk.text, tokens=1)
        except ThinkgraphError:
            raise
        except Exception as error:  # a provider's client raises errors of its own
            raise self._failure(error) from error
        if whole is not None:
            yield self._last_step(whole, counted, count_tokens_approximately(turns))

    async def _chunks(
        self, turns: list[BaseMessage], settings: dict[str, Any], config: RunnableConfig | None
    ) -> AsyncGenerator[AIMessageChunk, None]:
        """Stream the chunks of an answer, with a retry if a connection belongs to another loop.

        A client drops such a connection when it fails, so each is met only once.
        """
        for tries_left in reversed(range(TRIES)):
            began = False
            try:
                async with aclosing(self._answer(turns, settings, config)) as chunks:
                    async for chunk in chunks:
                        began = True
                        yield chunk
                return
            except Exception as error:
                if began or not tries_left or not _is_of_another_loop(error):
                    raise

    async def _answer(
        self, turns: list[BaseMessage], settings: dict[str, Any], config: RunnableConfig | None
    ) -> AsyncGenerator[AIMessageChunk, None]:
        if self._retries:
            yield self._chunk(await self._model.ainvoke(turns, config, **settings))
            return
        # astream is an async generator, though its type doesn't say so: close it at once.
        found = cast("AsyncGenerator[Any]", self._model.astream(turns, config, **settings))
        async with aclosing(found):
            async for chunk in found:
                yield self._chunk(chunk)

    def _chunk(self, found: Any) -> AIMessageChunk:
        if isinstance(found, AIMessageChunk):
            return found
        if isinstance(found, AIMessage):
            return AIMessageChunk(**{**found.model_dump(), "type": "AIMessageChunk"})
        kind = type(found).__name__
        raise ModelError(f"{self.name} answers with {kind}, not with a message: give a chat model")

    def _failure(self, error: Exception) -> ModelError:
        reason = " ".join(str(error).split()) or type(error).__name__
        return ModelError(f"{self.name} failed: {reason}")

    def _last_step(self, whole: AIMessageChunk, counted: int, prompt: int) -> Step:
        """The last step of a stream: finish reason, usage and calls as reported by the provider."""
        told = {whole.response_metadata.get(key) for key in ("finish_reason", "stop_reason")}
        finish: FinishReason = "length" if told & CUT else "stop"
        sure = _confidence(whole.response_metadata.get("logprobs"))
        used = whole.usage_metadata
        calls: dict[str, Any] = {
            "tool_calls": tuple(
                ToolCall(id=call["id"] or "", name=call["name"], arguments=call["args"])
                for call in whole.tool_calls
            ),
            "invalid_tool_calls": tuple(
                InvalidToolCall(text=call["args"] or "", error=call["error"] or "it is not JSON")
                for call in whole.invalid_tool_calls
            ),
        }
        if not used:
            usage = _prompt_usage(prompt, cached=0)
            return Step(finish=finish, prompt=usage, confidence=sure, **calls)
        cached = used.get("input_token_details", {}).get("cache_read") or 0
        return Step(
            tokens=used["output_tokens"] - counted,
            finish=finish,
            prompt=_prompt_usage(used["input_tokens"], cached),
            confidence=sure,
            **calls,
        )


def _layers(model: Any) -> list[Any]:
    """A Runnable and those that it wraps, with the chat model last."""
    inner = getattr(model, "bound", None) or getattr(model, "runnable", None)
    return [model, *(_layers(inner) if inner else ())]


def _retries(model: Any) -> bool:
    """Whether a Runnable, or one that it falls back to, retries failed calls."""
    layers = _layers(model)
    others = [other for layer in layers for other in getattr(layer, "fallbacks", ())]
    return any(isinstance(layer, RunnableRetry) for layer in layers) or any(map(_retries, others))


def _is_of_another_loop(error: BaseException | None) -> bool:
    """Whether an error is due to a connection that belongs to another event loop.

    Clients share their connections between all event loops of a process, and fail with those of
    another loop: synchronous calls have a loop of their own, and each ``asyncio.run`` has one.
    """
    while error is not None:
        if isinstance(error, RuntimeError) and "loop" in str(error):
            return True  # asyncio has no type for "Event loop is closed" and its like
        error = error.__cause__ or error.__context__
    return False


def _of_sample(sample: int) -> RunnableConfig | None:
    """The config of the current run with the sample's number in the metadata, if there is a run."""
    config = var_child_runnable_config.get()
    return merge_configs(config, {"metadata": {"thinkgraph_sample": sample}}) if config else None


def _confidence(logprobs: Any) -> Confidence | None:
    """The mean and minimum of ``logprobs`` in the form of OpenAI's API; None if there are none."""
    tokens = logprobs.get("content") if isinstance(logprobs, dict) else None
    found = [token["logprob"] for token in tokens or ()]
    if not found:
        return None
    return Confidence(mean_logprob=math.fsum(found) / len(found), min_logprob=min(found))


def _prompt_usage(tokens: int, cached: int) -> Usage:
    return Usage(prompt_tokens=tokens, prefilled_tokens=tokens - cached, cached_tokens=cached)
