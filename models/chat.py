"""A LangChain chat model on a local GGUF, or on anything else that is a thinkgraph model."""

from __future__ import annotations

import asyncio
import queue
import secrets
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

from anyio.from_thread import start_blocking_portal
from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    BaseMessage,
)
from langchain_core.messages.ai import InputTokenDetails, UsageMetadata
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.utils.utils import LC_ID_PREFIX
from pydantic import (
    ConfigDict,
    Field,
    PrivateAttr,
    SkipValidation,
    ValidationError,
    model_validator,
)

from thinkgraph.models.catalogue import load
from thinkgraph.models.errors import ModelError
from thinkgraph.models.messages import from_langchain
from thinkgraph.models.model import Completion, Delta, Model, ModelRequest, Sampling, Usage
from thinkgraph.models.seed import derive_seed

Event = Delta | Completion | Usage
EXTRAS = {"n", "seed", "seeds", "budget", "stream"}  # stream: LangChain's own
SETTINGS = ("temperature", "top_p", "top_k", "min_p", "max_tokens", "stop")


class ChatGGUF(BaseChatModel):
    """A chat model that samples a GGUF with llama.cpp, in this process.

    ``ChatGGUF(model="smollm2", temperature=0.7).invoke("Hello")``. A call takes the settings
    below by their names, every other field of :class:`~thinkgraph.models.model.Sampling`, and
    ``seeds`` (one for each completion) and ``budget``; anything else is an error. Messages that
    end with an :class:`AIMessage` are gone on from there: it begins the answer and is not part
    of it.

    ``generate`` gives ``n`` generations for each prompt. The ``generation_info`` of each has
    ``index``, ``finish_reason``, ``seed`` and ``mean_logprob``. Prompt tokens are counted in
    the usage of the first of the n messages only, so that the messages' usages add up.

    A stream of ``n > 1`` samples interleaves them: a chunk names its sample as ``index`` in
    its ``response_metadata``, its content is one text block of that index, and the facts of
    finished samples stand under ``samples``. Chunks added together so keep them apart.

    Raises:
        ModelError: a message or setting that the model doesn't take, a model that can't be
            found or opened, or a prompt that is too long.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    model: str | SkipValidation[Model]
    """A name of the catalogue, a path to a GGUF, ``hf:OWNER/REPO/FILE``; or an open model."""
    engine: dict[str, Any] = Field(default_factory=dict)
    """Settings for opening a model by name, such as ``gpu_layers``."""
    n: int = Field(1, ge=1)
    """Completions of each prompt."""
    seed: int | None = Field(None, ge=0)
    """Seed of the first completion, from which the others' derive; None is a fresh one."""
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    max_tokens: int | None = None
    stop: list[str] | None = None
    sampling: Sampling = Field(default_factory=Sampling)
    """All other settings, and the defaults of those above."""
    streaming: bool = False
    """Whether ``invoke`` streams to callbacks, as in other LangChain models."""

    _opened: Model | None = PrivateAttr(None)
    _opening: Any = PrivateAttr(default_factory=threading.Lock)

    @model_validator(mode="after")
    def _is_usable(self) -> ChatGGUF:
        if not isinstance(self.model, str) and not hasattr(self.model, "generate"):
            raise ModelError(f"model is a name or an open model, not {self.model!r}")
        self._sampling(None, {})
        return self

    @property
    def _llm_type(self) -> str:
        return "thinkgraph"

    @property
    def model_name(self) -> str:
        """The model's name, for LangChain's traces."""
        return self.model if isinstance(self.model, str) else self.model.name

    @property
    def _identifying_params(self) -> Mapping[str, Any]:
        return {
            "model": self.model_name,
            "n": self.n,
            "seed": self.seed,
            **self._sampling(None, {}).model_dump(),
        }

    def open(self) -> Model:
        """The model itself, opened at the first use."""
        if not isinstance(self.model, str):
            return self.model
        with self._opening:
            if self._opened is None:
                self._opened = load(self.model, **self.engine)
            return self._opened

    def _sampling(self, stop: list[str] | None, given: Mapping[str, Any]) -> Sampling:
        """The settings of one call; those given to it win over those of the model."""
        ours = {name: value for name in SETTINGS if (value := getattr(self, name)) is not None}
        stops = {} if stop is None else {"stop": stop}
        settings = self.sampling.model_dump(exclude_unset=True) | ours | stops | dict(given)
        try:
            return Sampling.model_validate(settings)
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"]))
            raise ModelError(f"{name} can't be {first['input']!r}: {first['msg']}") from error

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> ModelRequest:
        given = {name: value for name, value in kwargs.items() if name not in EXTRAS}
        if unknown := sorted(given.keys() - Sampling.model_fields.keys()):
            names = ", ".join(sorted({*Sampling.model_fields, *EXTRAS} - {"stream"}))
            raise ModelError(f"{unknown[0]!r} is not a setting of a call; it takes {names}")
        return ModelRequest(
            messages=from_langchain(messages),
            sampling=self._sampling(stop, given),
            seeds=self._seeds(kwargs),
            budget=kwargs.get("budget"),
        )

    def _seeds(self, kwargs: Mapping[str, Any]) -> list[int]:
        seeds, n = kwargs.get("seeds"), kwargs.get("n", self.n)
        if n < 1:
            raise ModelError(f"n is {n}; ask for at least one completion")
        if seeds is None:
            given = kwargs.get("seed", self.seed)
            seed = secrets.randbits(31) if given is None else given
            return [seed, *(derive_seed(seed, index) for index in range(1, n))]
        if not seeds or len(seeds) != kwargs.get("n", len(seeds)):
            raise ModelError(f"{len(seeds)} seeds are given for {n} completions; give one for each")
        return list(seeds)

    async def _events(self, request: ModelRequest) -> AsyncGenerator[Event, None]:
        """The samples' deltas and completions as they come, and the usage at the end."""
        model = await asyncio.to_thread(self.open)
        generation = model.generate(request)
        try:
            async for event in generation:
                yield event
            yield generation.usage
        finally:  # whoever leaves early stops the model too
            generation.cancel()

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, stop, kwargs)
        events = []
        for event in _in_a_thread(lambda: self._events(request)):
            events.append(event)
            if run_manager and isinstance(event, Delta):
                chunk = self._chunk(event, request)
                chunk.message.id = f"{LC_ID_PREFIX}-{run_manager.run_id}-{event.sample}"
                run_manager.on_llm_new_token(event.text, chunk=chunk)
        return self._result(events)

    async def _agenerate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, stop, kwargs)
        events = []
        async with aclosing(self._events(request)) as source:
            async for event in source:
                events.append(event)
                if run_manager and isinstance(event, Delta):
                    chunk = self._chunk(event, request)
                    chunk.message.id = f"{LC_ID_PREFIX}-{run_manager.run_id}-{event.sample}"
                    await run_manager.on_llm_new_token(event.text, chunk=chunk)
        return self._result(events)

    def _stream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> Iterator[ChatGenerationChunk]:
        request = self._request(messages, stop, kwargs)
        for event in _in_a_thread(lambda: self._events(request)):
            chunk = self._chunk(event, request)
            if run_manager:
                run_manager.on_llm_new_token(chunk.text, chunk=chunk)
            yield chunk

    async def _astream(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: AsyncCallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> AsyncIterator[ChatGenerationChunk]:
        request = self._request(messages, stop, kwargs)
        async with aclosing(self._events(request)) as events:
            async for event in events:
                chunk = self._chunk(event, request)
                if run_manager:
                    await run_manager.on_llm_new_token(chunk.text, chunk=chunk)
                yield chunk

    def _should_stream(self, *, async_api: bool, **kwargs: Any) -> bool:
        # LangChain adds a stream's chunks to one generation, which can't hold n samples.
        return self._may_stream(kwargs) and super()._should_stream(async_api=async_api, **kwargs)

    def _should_use_protocol_streaming(self, *, async_api: bool, **kwargs: Any) -> bool:
        return self._may_stream(kwargs) and super()._should_use_protocol_streaming(
            async_api=async_api, **kwargs
        )

    def _may_stream(self, kwargs: Mapping[str, Any]) -> bool:
        n = len(kwargs.get("seeds") or ()) or kwargs.get("n", self.n)
        return n == 1 or bool(kwargs.get("stream"))

    def _result(self, events: Sequence[Event]) -> ChatResult:
        usage = next(event for event in events if isinstance(event, Usage))
        completions = [event for event in events if isinstance(event, Completion)]
        generations = [
            ChatGeneration(
                message=AIMessage(
                    content=completion.text,
                    usage_metadata=_usage_metadata(
                        usage if completion.sample == 0 else Usage(), completion.tokens
                    ),
                ),
                generation_info=_facts(completion) | {"model_name": self.model_name},
            )
            for completion in sorted(completions, key=lambda c: c.sample)
        ]
        return ChatResult(generations=generations, llm_output={"token_usage": usage.model_dump()})

    def _chunk(self, event: Event, request: ModelRequest) -> ChatGenerationChunk:
        several = len(request.seeds) > 1
        empty: list[str | dict[str, Any]] | str = [] if several else ""
        match event:
            case Delta(text=text, sample=index):
                block = {"type": "text", "text": text, "index": index}
                message = AIMessageChunk(content=[block] if several else text)
                return ChatGenerationChunk(message=message, generation_info={"index": index})
            case Completion(sample=index):
                facts = _facts(event)
                return ChatGenerationChunk(
                    message=AIMessageChunk(content=empty),
                    generation_info={"index": index, "samples": [facts]} if several else facts,
                )
            case Usage():
                message = AIMessageChunk(
                    content=empty,
                    usage_metadata=_usage_metadata(event, event.completion_tokens),
                    chunk_position="last",
                )
                return ChatGenerationChunk(
                    message=message, generation_info={"model_name": self.model_name}
                )


def _facts(completion: Completion) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "index": completion.sample,
        "finish_reason": completion.finish_reason,
        "seed": completion.seed,
    }
    if completion.confidence:
        facts["mean_logprob"] = completion.confidence.mean_logprob
    return facts


def _usage_metadata(prompt: Usage, output: int) -> UsageMetadata:
    return UsageMetadata(
        input_tokens=prompt.prompt_tokens,
        output_tokens=output,
        total_tokens=prompt.prompt_tokens + output,
        input_token_details=InputTokenDetails(cache_read=prompt.cached_tokens),
    )


def _in_a_thread(source: Callable[[], AsyncGenerator[Event, None]]) -> Iterator[Event]:
    """An async generator's items, for callers with or without an event loop of their own."""
    items: queue.SimpleQueue[Event | None] = queue.SimpleQueue()

    async def pump() -> None:
        async with aclosing(source()) as events:
            async for event in events:
                items.put(event)

    with start_blocking_portal() as portal:
        task = portal.start_task_soon(pump)
        task.add_done_callback(lambda _: items.put(None))
        try:
            while (item := items.get()) is not None:
                yield item
            task.result()
        finally:
            task.cancel()
