"""`ChatGGUF`: a LangChain chat model on a local GGUF file, or on any other `Model`."""

from __future__ import annotations

import asyncio
import copy
import secrets
import threading
from collections import defaultdict
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any, NamedTuple, Protocol, Self, cast, runtime_checkable

from langchain_core.callbacks import AsyncCallbackManagerForLLMRun, CallbackManagerForLLMRun
from langchain_core.language_models import BaseChatModel, LanguageModelInput
from langchain_core.messages import AIMessage, AIMessageChunk, BaseMessage, ToolCallChunk
from langchain_core.messages.ai import UsageMetadata
from langchain_core.messages.tool import invalid_tool_call, tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from langchain_core.runnables import Runnable, RunnableLambda, RunnableMap
from langchain_core.tools import BaseTool
from langchain_core.utils.json import parse_partial_json
from langchain_core.utils.utils import LC_ID_PREFIX
from pydantic import (
    ConfigDict,
    Field,
    PrivateAttr,
    SkipValidation,
    ValidationError,
    model_validator,
)

from thinkgraph.models.arguments import SuggestingModel
from thinkgraph.models.catalogue import load
from thinkgraph.models.errors import ModelError, did_you_mean
from thinkgraph.models.event_loop import iterate
from thinkgraph.models.formats.parser import call_id
from thinkgraph.models.messages import REASONING, from_langchain
from thinkgraph.models.model import (
    Completion,
    Delta,
    Model,
    ModelRequest,
    Sampling,
    ToolCallPiece,
    Usage,
)
from thinkgraph.models.seed import derive_seed
from thinkgraph.models.structured import (
    Method,
    answer_schema,
    asked_for,
    openai_tool,
    structured,
    tool_use,
)
from thinkgraph.models.tracing import usage_metadata

Event = Delta | Completion | Usage
EXTRAS = {
    *("n", "seed", "seeds", "budget"),
    *("tools", "tool_choice", "parallel_tool_calls", "constrained", "response_format"),
}
LANGCHAINS = {"stream", "strict", "ls_structured_output_format"}
"""Arguments that LangChain's callers add; ``strict`` has no effect, as output is constrained."""
SETTINGS = ("temperature", "top_p", "top_k", "min_p", "max_tokens", "stop")


@runtime_checkable
class TokenCounter(Protocol):
    """A model with a known tokenizer and chat template."""

    def token_ids(self, text: str) -> list[int]:
        """The tokens of a text."""
        ...

    def count(self, request: ModelRequest) -> int:
        """The length in tokens of a request's prompt."""
        ...


class _Opened(NamedTuple):
    """A model that a chat has opened, and what it was opened with."""

    name: str
    settings: dict[str, Any]
    model: Model


class ChatGGUF(BaseChatModel, metaclass=SuggestingModel):
    """A chat model that runs a GGUF with llama.cpp in this process.

    ``ChatGGUF(model="smollm2", temperature=0.7).invoke("Hello")``. A call takes the settings
    below by their names, every other field of :class:`~thinkgraph.models.model.Sampling`, and
    ``seeds`` (one for each completion) and ``budget``; anything else is an error. If the messages
    end with an :class:`AIMessage`, the model continues it; its text is not repeated in the answer.
    A model's reasoning is not in the content: ``additional_kwargs["reasoning_content"]`` has it,
    and so does a ``reasoning`` block of ``content_blocks``.

    :meth:`bind_tools` and :meth:`with_structured_output` work with every model: tool calls and
    structured answers are constrained to their JSON schemas during decoding.

    ``generate`` returns ``n`` generations for each prompt. The ``generation_info`` of each has
    ``index``, ``finish_reason``, ``seed`` and ``mean_logprob``. Prompt tokens are counted in
    the usage of the first of the n messages only, so that the messages' usages add up.

    A stream of ``n > 1`` samples interleaves them: a chunk has its sample's number as ``index`` in
    ``response_metadata`` and its text in a content block of that index; finished samples are
    described under ``samples``. Samples therefore stay apart when chunks are added.

    Raises:
        ModelError: the model doesn't accept a message or a setting, it can't be found or opened,
            or a prompt is too long.
    """

    model_config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)

    model: str | SkipValidation[Model]
    """A name of the catalogue, a path to a GGUF, ``hf:OWNER/REPO/FILE``; or an open model.

    A chat of a name can be deep-copied and pickled; the copy opens the model at its first use.
    """
    engine: dict[str, Any] = Field(default_factory=dict)
    """Settings for opening a model by name, such as ``gpu_layers``."""
    n: int = Field(1, ge=1)
    """Completions per prompt."""
    seed: int | None = Field(None, ge=0)
    """Seed of the first completion, from which the others derive; None draws a fresh one."""
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    min_p: float | None = None
    max_tokens: int | None = None
    stop: list[str] | None = None
    template: dict[str, Any] = Field(default_factory=dict)
    """Variables of the chat template, such as ``enable_thinking`` or ``reasoning_effort``;
    ``strftime_now`` pins the date that some templates write. A call's take precedence."""
    sampling: Sampling = Field(default_factory=Sampling)
    """All other settings, and the defaults of those above."""
    streaming: bool = False
    """Whether ``invoke`` streams to callbacks, as in other LangChain models."""

    _opened: _Opened | None = PrivateAttr(None)
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
        """The underlying model, opened at the first use."""
        if not isinstance(self.model, str):
            return self.model
        with self._opening:
            asked = self.model, dict(self.engine)
            # A copy with another model has the open model of its original.
            if self._opened is None or self._opened[:2] != asked:
                self._opened = _Opened(*asked, load(self.model, **self.engine))
            return self._opened.model

    def __getstate__(self) -> dict[Any, Any]:
        state = super().__getstate__()
        private = dict(state["__pydantic_private__"] or {})
        for name in ("_opened", "_opening"):  # they belong to this object and process
            private.pop(name, None)
        return state | {"__pydantic_private__": private}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        own = {"_opened": None, "_opening": threading.Lock()}
        super().__setstate__(state | {"__pydantic_private__": state["__pydantic_private__"] | own})

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        copied = type(self).__new__(type(self))
        copied.__setstate__(copy.deepcopy(self.__getstate__(), memo))
        return copied

    def given_sampling(self, bound: Mapping[str, Any]) -> dict[str, Any]:
        """The sampling settings given to this chat model, overridden by those in ``bound``."""
        ours = {name: value for name in SETTINGS if (value := getattr(self, name)) is not None}
        theirs = {name: value for name, value in bound.items() if name in Sampling.model_fields}
        settings = self.sampling.model_dump(exclude_unset=True) | ours | theirs
        told = [self.sampling.template, self.template, theirs.get("template") or {}]
        if variables := {name: value for known in told for name, value in known.items()}:
            settings["template"] = variables
        return settings

    def _sampling(self, stop: list[str] | None, given: Mapping[str, Any]) -> Sampling:
        """The sampling settings of one call, which override those of the chat model."""
        stops = {} if stop is None else {"stop": stop}
        try:
            return Sampling.model_validate(self.given_sampling(stops | dict(given)))
        except ValidationError as error:
            first = error.errors()[0]
            name = ".".join(map(str, first["loc"]))
            raise ModelError(f"{name} can't be {first['input']!r}: {first['msg']}") from error

    def _request(
        self, messages: list[BaseMessage], stop: list[str] | None, kwargs: dict[str, Any]
    ) -> ModelRequest:
        given = {k: v for k, v in kwargs.items() if k not in EXTRAS | LANGCHAINS}
        if unknown := sorted(given.keys() - Sampling.model_fields.keys()):
            names = sorted({*Sampling.model_fields, *EXTRAS})
            hint = did_you_mean(unknown[0], names) or f"it takes {', '.join(names)}"
            raise ModelError(f"{unknown[0]!r} is not a setting of a call; {hint}")
        turns, use = from_langchain(messages), tool_use(kwargs)
        schema = answer_schema(kwargs.get("response_format"))
        if schema is not None:
            turns, given["json_schema"] = asked_for(schema, turns), schema
        return ModelRequest(
            messages=turns,
            sampling=self._sampling(stop, given),
            seeds=self._seeds(kwargs),
            budget=kwargs.get("budget"),
            tools=use,
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

    def bind_tools(
        self,
        tools: Sequence[dict[str, Any] | type | Callable[..., Any] | BaseTool],
        *,
        tool_choice: str | dict[str, Any] | bool | None = None,
        parallel_tool_calls: bool = True,
        constrained: bool = True,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, AIMessage]:
        """Bind tools that the model may call.

        Args:
            tools: functions, pydantic models, TypedDicts, LangChain tools, or dicts as in
                OpenAI's API.
            tool_choice: ``"auto"`` (the default) lets the model decide whether to call a tool,
                ``"any"`` requires a call, a name requires a call of that tool, and ``"none"``
                hides the tools from the model.
            parallel_tool_calls: whether the model may make several calls in one turn.
            constrained: whether calls are constrained to the tools' JSON schemas during decoding.
            kwargs: further settings of the model.

        Raises:
            ModelError: the choice is not one of the tools.
        """
        choice = {} if tool_choice is None else {"tool_choice": tool_choice}
        bound = {
            "tools": [openai_tool(tool) for tool in tools],
            **choice,
            "parallel_tool_calls": parallel_tool_calls,
            "constrained": constrained,
            **kwargs,
        }
        tool_use(bound)  # raises errors before the first call
        return cast("Runnable[LanguageModelInput, AIMessage]", self.bind(**bound))

    def with_structured_output(
        self,
        schema: dict[str, Any] | type,
        *,
        method: Method = "json_schema",
        include_raw: bool = False,
        strict: bool | None = None,
        **kwargs: Any,
    ) -> Runnable[LanguageModelInput, Any]:
        """Constrain the model's answers to a schema.

        A reasoning model thinks first; then its answer is constrained to the schema.

        Args:
            schema: a pydantic model, a TypedDict, a dataclass, or a JSON schema. The answer is an
                instance of a pydantic model or a dataclass, and otherwise a dict.
            method: ``"json_schema"`` constrains the answer to the schema, ``"function_calling"``
                calls a tool with that schema, and ``"json_mode"`` allows any JSON object, which
                is then validated.
            include_raw: return a dict with ``raw``, ``parsed`` and ``parsing_error``.
            strict: as in LangChain; answers are constrained to the schema in any case.
            kwargs: further settings of the model.

        Raises:
            ModelError: the method or the kind of schema is not one of these.
        """
        llm, parser = structured(self, schema, method, kwargs)
        return _with_raw(llm, parser) if include_raw else llm | parser

    def get_token_ids(self, text: str) -> list[int]:
        """The tokens of a text, by the model's own tokenizer."""
        model = self.open()
        if isinstance(model, TokenCounter):
            return model.token_ids(text)
        return super().get_token_ids(text)

    def get_num_tokens_from_messages(
        self, messages: list[BaseMessage], tools: Sequence[Any] | None = None
    ) -> int:
        """The length of the prompt in tokens, as the model's own chat template renders it.

        Raises:
            ModelError: the chat template refuses the messages.
        """
        if not messages:
            return 0
        model, turns = self.open(), from_langchain(messages)
        if not isinstance(model, TokenCounter):
            return model.count_tokens(turns)
        use = tool_use({"tools": tools} if tools else {})
        return model.count(ModelRequest(turns, self._sampling(None, {}), tools=use))

    async def _events(self, request: ModelRequest) -> AsyncGenerator[Event, None]:
        """Yield the samples' deltas and completions as they arrive, and the usage at the end."""
        model = await asyncio.to_thread(self.open)
        generation = model.generate(request)
        try:
            async for event in generation:
                yield event
            yield generation.usage
        finally:  # a consumer that leaves early stops the model too
            generation.cancel()

    def _generate(
        self,
        messages: list[BaseMessage],
        stop: list[str] | None = None,
        run_manager: CallbackManagerForLLMRun | None = None,
        **kwargs: Any,
    ) -> ChatResult:
        request = self._request(messages, stop, kwargs)
        chunks = _Chunks(len(request.seeds) > 1, self.model_name)
        events = []
        for event in iterate(lambda: self._events(request)):
            events.append(event)
            if run_manager and isinstance(event, Delta):
                chunk = chunks(event)
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
        chunks = _Chunks(len(request.seeds) > 1, self.model_name)
        events = []
        async with aclosing(self._events(request)) as source:
            async for event in source:
                events.append(event)
                if run_manager and isinstance(event, Delta):
                    chunk = chunks(event)
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
        chunks = _Chunks(len(request.seeds) > 1, self.model_name)
        for event in iterate(lambda: self._events(request)):
            chunk = chunks(event)
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
        chunks = _Chunks(len(request.seeds) > 1, self.model_name)
        async with aclosing(self._events(request)) as events:
            async for event in events:
                chunk = chunks(event)
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
                message=_message(
                    completion,
                    usage_metadata(usage if completion.sample == 0 else Usage(), completion.tokens),
                ),
                generation_info=_facts(completion) | {"model_name": self.model_name},
            )
            for completion in sorted(completions, key=lambda c: c.sample)
        ]
        return ChatResult(generations=generations, llm_output={"token_usage": usage.model_dump()})


def _with_raw(
    llm: Runnable[LanguageModelInput, AIMessage], parser: Runnable[AIMessage, Any]
) -> Runnable[LanguageModelInput, dict[str, Any]]:
    """A chat model whose parsed answers come with the message, and with the error of a bad one."""

    def parsed(found: dict[str, Any]) -> dict[str, Any]:
        try:
            return {**found, "parsed": parser.invoke(found["raw"]), "parsing_error": None}
        except Exception as error:  # a schema's class may raise any
            return {**found, "parsed": None, "parsing_error": error}

    return RunnableMap(raw=llm) | RunnableLambda(parsed)


class _Chunks:
    """Converts the events of one call to the chunks of its stream.

    Args:
        several: whether the call has several samples, whose chunks are kept apart by an index.
        name: the model's name.
    """

    def __init__(self, several: bool, name: str) -> None:
        self._several, self._name = several, name
        self._told: defaultdict[int, str] = defaultdict(str)  # sent arguments, by call index

    def __call__(self, event: Event) -> ChatGenerationChunk:
        """Convert an event to a chunk."""
        empty: list[str | dict[str, Any]] | str = [] if self._several else ""
        match event:
            case Delta():
                message = self._delta(event)
                return ChatGenerationChunk(message=message, generation_info={"index": event.sample})
            case Completion(sample=index):
                facts = _facts(event)
                return ChatGenerationChunk(
                    message=AIMessageChunk(content=empty, tool_call_chunks=self._invalid(event)),
                    generation_info={"index": index, "samples": [facts]}
                    if self._several
                    else facts,
                )
            case Usage():
                message = AIMessageChunk(
                    content=empty,
                    usage_metadata=usage_metadata(event, event.completion_tokens),
                    chunk_position="last",
                )
                return ChatGenerationChunk(
                    message=message, generation_info={"model_name": self._name}
                )

    def _delta(self, delta: Delta) -> AIMessageChunk:
        calls = [self._call(delta.sample, piece) for piece in delta.tool_call_pieces]
        if not self._several:
            kept = {REASONING: delta.reasoning} if delta.reasoning else {}
            return AIMessageChunk(
                content=delta.text, additional_kwargs=kept, tool_call_chunks=calls
            )
        blocks: list[str | dict[str, Any]] = []
        if delta.reasoning:
            index = -1 - delta.sample
            blocks.append({"type": "reasoning", "reasoning": delta.reasoning, "index": index})
        if delta.text:
            blocks.append({"type": "text", "text": delta.text, "index": delta.sample})
        return AIMessageChunk(content=blocks, tool_call_chunks=calls)

    def _invalid(self, completion: Completion) -> list[ToolCallChunk]:
        chunks = []
        for number, call in enumerate(completion.invalid_tool_calls, 1):
            if call.index is None:  # none of it has been streamed
                index = completion.sample * MOST_CALLS + MOST_CALLS - number
                text = call.text + _spoiling(call.text)
                chunks.append(tool_call_chunk(args=text, id=call_id(), index=index))
            else:
                index = completion.sample * MOST_CALLS + call.index
                chunks.append(tool_call_chunk(args=_spoiling(self._told[index]), index=index))
        return chunks

    def _call(self, sample: int, piece: ToolCallPiece) -> ToolCallChunk:
        index = sample * MOST_CALLS + piece.index
        begins = index not in self._told
        self._told[index] += piece.arguments
        return tool_call_chunk(
            name=piece.name or None,
            args=piece.arguments,
            id=piece.id if begins else None,
            index=index,
        )


def _spoiling(arguments: str) -> str:
    """A suffix that keeps cut-off arguments invalid, which LangChain would repair and run."""
    for ending in ("", "]", "}", '"]', '"}', '""]', '""}'):
        try:
            mended = parse_partial_json(arguments + ending) if arguments + ending else {}
        except ValueError:
            return ending
        if not isinstance(mended, dict):
            return ending
    return ""


MOST_CALLS = 1000
"""Maximum calls of one sample; the call indices of consecutive samples are this far apart."""


def _message(completion: Completion, usage: UsageMetadata) -> AIMessage:
    return AIMessage(
        content=completion.text,
        additional_kwargs={REASONING: completion.reasoning} if completion.reasoning else {},
        tool_calls=[
            tool_call(name=call.name, args=call.arguments, id=call.id)
            for call in completion.tool_calls
        ],
        invalid_tool_calls=[
            invalid_tool_call(args=call.text, error=call.error, id=call_id())
            for call in completion.invalid_tool_calls
        ],
        usage_metadata=usage,
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
