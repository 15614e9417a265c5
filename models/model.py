"""The model interface: requests, completions, sampling settings, usage and budgets.

The llama.cpp engine implements it (:mod:`thinkgraph.models.backends.local`), and so can any other
backend that answers a list of messages. This module depends neither on graphs nor on llama.cpp.
"""

from __future__ import annotations

import threading
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from pydantic import BaseModel, ConfigDict, Field

from thinkgraph.models.arguments import SuggestingModel, suggesting

Role = Literal["system", "user", "assistant", "tool"]
FinishReason = Literal["stop", "length", "cancelled", "budget", "error"]
"""Why a completion ended; with ``error`` its request failed, and it has no text."""
NOT_WRITTEN = frozenset({"budget", "error"})
"""Finish reasons of completions that a budget or an error ended before the model did."""


class Frozen(BaseModel, metaclass=SuggestingModel):
    """Base of immutable models that reject unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ToolCall(Frozen):
    """A tool call requested by the assistant."""

    name: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    id: str = Field("", description="identifier of the call, which the tool's result refers to")


class InvalidToolCall(Frozen):
    """Text that a model wrote in place of a tool call, and why it is not a valid one."""

    text: str
    error: str
    index: int | None = Field(
        None, description="index of the call's streamed pieces; None: no piece was streamed"
    )


class ToolCallPiece(Frozen):
    """A streamed piece of a tool call: first the tool's name, then parts of the arguments."""

    index: int = Field(description="index of the call within the sample")
    id: str = Field(description="identifier of the call, the same in all of its pieces")
    name: str = Field("", description="name of the tool, only in the first piece")
    arguments: str = Field("", description="next part of the arguments' JSON text")


class Tool(Frozen):
    """A tool that a model may call."""

    name: str
    description: str = ""
    parameters: dict[str, Any] = Field(
        default_factory=lambda: {"type": "object", "properties": {}},
        description="JSON schema of the arguments",
    )


class Message(Frozen):
    """One turn of a conversation."""

    role: Role
    content: str = ""
    reasoning: str = Field("", description="reasoning of the assistant before its answer")
    tool_calls: tuple[ToolCall, ...] = Field(
        (), description="tool calls that the assistant requests"
    )
    tool_call_id: str = Field("", description="for a tool's result: id of the call that it answers")
    name: str = Field("", description="for a tool's result: name of the tool")


def continued(messages: Sequence[Message], text: str) -> list[Message]:
    """The conversation with ``text`` appended to the answer that the assistant has begun."""
    turns, begun = parted(messages)
    said = begun + text
    return [*turns, Message(role="assistant", content=said)] if said else turns


def parted(messages: Sequence[Message]) -> tuple[list[Message], str]:
    """Split a conversation into its turns and the answer begun by the assistant at its end."""
    if messages and messages[-1].role == "assistant" and not messages[-1].tool_calls:
        return list(messages[:-1]), messages[-1].content
    return list(messages), ""


class Written(Frozen):
    """The syntax of an object's properties where the object is not written as JSON.

    ``KEY`` in these texts stands for the property's name. Line breaks in them are optional in the
    model's output.
    """

    begin: str = Field(description="text before a value that is written as JSON")
    end: str = Field(description="text after a value that is written as JSON")
    text_begin: str | None = Field(
        None,
        description="text before a string that is written verbatim; None: strings are written as "
        "JSON",
    )
    text_end: str = Field("", description="text after a string that is written verbatim")
    separator: str = Field("", description="text between two properties")


class Tagged(Frozen):
    """A part of a text that is constrained to a JSON schema, such as a tool call.

    Text is unconstrained until ``trigger`` has been generated. Then the rest of the ``begin`` of a
    tag with this trigger must follow, JSON that matches its schema, and ``end``; after that, text
    is unconstrained again. Control tokens are written as the vocabulary spells them. With an empty
    ``end``, the schema should describe an object or an array, since nothing marks the end of a
    number. Where tags are required, one tag may have an empty ``begin``: it is an answer instead
    of a call, and the text ends with it.
    """

    begin: str
    json_schema: dict[str, Any]
    end: str
    written: Written | None = Field(
        None, description="syntax of the object that the schema describes; None: JSON"
    )
    trigger: str = Field(
        "",
        description="prefix of `begin` that ends the free text; empty: a marker such as "
        "`<tool_call>` or `[TOOL_CALLS]` at the start of `begin`, or else the common prefix of "
        "the `begin` of all tags",
    )


class Sampling(Frozen):
    """How the tokens of a completion are sampled.

    The defaults are those of llama.cpp, except for ``max_tokens``, which llama.cpp leaves open.
    """

    temperature: float = Field(
        0.8, ge=0, le=10, description="sampling temperature; 0: greedy decoding"
    )
    top_p: float = Field(
        0.95,
        gt=0,
        le=1,
        description="nucleus sampling: keep the smallest set of tokens with at least this total "
        "probability",
    )
    top_k: int = Field(40, ge=0, description="keep only the k likeliest tokens; 0: all")
    min_p: float = Field(
        0.05,
        ge=0,
        le=1,
        description="keep only tokens with at least this share of the likeliest token's "
        "probability",
    )
    typical_p: float = Field(1.0, gt=0, le=1, description="locally typical sampling; 1 is off")
    top_n_sigma: float = Field(
        0.0,
        ge=0,
        description="keep only tokens whose logit is within this many standard deviations of the "
        "largest (arXiv 2411.07641); 0: off",
    )
    xtc_probability: float = Field(
        0.0, ge=0, le=1, description="probability that XTC removes the likeliest tokens; 0: off"
    )
    xtc_threshold: float = Field(
        0.1,
        ge=0,
        le=1,
        description="XTC removes all tokens of at least this probability, except the least likely "
        "of them; above 0.5: off",
    )
    repeat_penalty: float = Field(
        1.0,
        gt=0,
        description="divisor of a repeated token's logit; penalties and DRY count only the "
        "completion's tokens, unlike llama-server, which counts the prompt's too",
    )
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    penalty_last_n: int = Field(
        64, ge=-1, description="number of last tokens that the penalties consider; -1: all"
    )
    dry_multiplier: float = Field(
        0.0,
        ge=0,
        description="DRY lowers the logit of a token that would extend a repeated sequence, by "
        "dry_multiplier · dry_base ^ (sequence length - dry_allowed_length); 0: off",
    )
    dry_base: float = Field(1.75, ge=1)
    dry_allowed_length: int = Field(
        2, ge=0, description="longest repeated sequence, in tokens, that DRY doesn't penalize"
    )
    dry_penalty_last_n: int = Field(
        64, ge=-1, description="number of last tokens in which DRY looks for repetitions; -1: all"
    )
    dry_sequence_breakers: tuple[str, ...] = Field(
        ("\n", ":", '"', "*"),
        max_length=32,
        description="texts that end a repeated sequence for DRY",
    )
    logit_bias: dict[int, float] = Field(default_factory=dict)
    max_tokens: int = Field(512, ge=1)
    stop: tuple[str, ...] = Field(
        (), description="texts that end a completion and are removed from it"
    )
    stop_after_text: bool = Field(
        False,
        description="ignore texts of `stop` until the completion has text other than white space, "
        "so that a line break ends a line of text, not a blank one",
    )
    stop_tokens: tuple[int, ...] = ()
    ignore_eos: bool = False
    json_schema: dict[str, Any] | None = Field(
        None, description="JSON schema that completions must match"
    )
    grammar: str | None = Field(None, description="GBNF grammar that completions must match")
    constrain_after: str | None = Field(
        None,
        description="text after which the constraint starts, such as `</think>`; None: at the "
        "beginning",
    )
    tagged: tuple[Tagged, ...] = Field(
        (),
        description="parts of otherwise free text that must match a JSON schema, such as tool "
        "calls",
    )
    tagged_required: bool = Field(
        False,
        description="whether the text, or the text after `constrain_after`, must begin with a "
        "tagged part",
    )
    tagged_parallel: bool = Field(
        True, description="whether there may be more than one tagged part"
    )
    top_logprobs: int = Field(
        0,
        ge=0,
        le=100,
        description="number of likeliest tokens kept for each sampled token, with their "
        "log-probabilities",
    )
    confidence: bool = Field(
        False,
        description="whether to compute entropy, self-certainty and group confidence too, at some "
        "cost",
    )
    adapter: str | None = Field(None, description="a LoRA adapter: NAME, or NAME:SCALE")
    template: dict[str, Any] = Field(
        default_factory=dict,
        description="variables of the chat template, such as enable_thinking or reasoning_effort",
    )


DEFAULT_SAMPLING = Sampling()


class Confidence(Frozen):
    """The model's confidence in a completion's tokens, aggregated over them (in nats).

    ``self_certainty`` is KL(U ‖ p) averaged over the tokens (arXiv 2502.18581).
    ``lowest_group`` and ``tail`` are means of DeepConf's token confidence (arXiv 2508.15260) over
    windows of 2048 tokens, or over the whole completion if it is shorter: the lowest of all
    windows, and the last one. These and ``entropy`` are None unless :attr:`Sampling.confidence`
    is set.
    """

    mean_logprob: float
    min_logprob: float
    entropy: float | None = None
    self_certainty: float | None = None
    lowest_group: float | None = None
    tail: float | None = None


class TokenLogprob(Frozen):
    """One token, its log-probability, and the likeliest tokens at its position, best first.

    An endpoint sends tokens as texts, without ids: ``token`` is then -1, ``raw`` has the token's
    bytes, and ``others`` replaces ``top``.
    """

    token: int
    text: str
    logprob: float
    top: tuple[tuple[int, float], ...] = ()
    raw: tuple[int, ...] = ()
    others: tuple[TokenLogprob, ...] = ()


class Usage(Frozen):
    """Tokens, model calls and time spent; all fields add up over requests, nodes and runs.

    ``prompt_tokens`` are the tokens of the prompts, counted once per request however many samples
    it has. Of these, ``prefilled_tokens`` were computed and ``cached_tokens`` were found in the KV
    cache. ``completion_tokens`` counts every sample's tokens, including those that several samples
    have in common and that were computed once; ``cancelled_tokens`` of them belong to cancelled
    samples. Times are in seconds, summed over requests.
    """

    prompt_tokens: int = 0
    prefilled_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    cancelled_tokens: int = 0
    model_calls: int = 0
    queue_s: float = 0.0
    first_token_s: float = 0.0
    decode_s: float = 0.0

    def __add__(self, other: Usage) -> Usage:
        return Usage(**{name: getattr(self, name) + getattr(other, name) for name in USAGE_FIELDS})

    def __sub__(self, other: Usage) -> Usage:
        return Usage(**{name: getattr(self, name) - getattr(other, name) for name in USAGE_FIELDS})


USAGE_FIELDS = tuple(Usage.model_fields)


class Delta(Frozen):
    """New text of one sample; ``tokens`` counts all of the sample's tokens so far."""

    sample: int
    text: str = Field("", description="new text of the answer")
    tokens: int
    reasoning: str = Field("", description="new text of the reasoning before the answer")
    tool_calls: tuple[ToolCall, ...] = Field((), description="tool calls that have become complete")
    tool_call_pieces: tuple[ToolCallPiece, ...] = Field(
        (), description="new pieces of tool calls, including calls that are not complete yet"
    )


class Completion(Frozen):
    """One finished sample of a prompt."""

    sample: int
    seed: int
    text: str = Field(description="text of the answer, without the reasoning")
    tokens: int = Field(description="number of sampled tokens, including the reasoning")
    finish_reason: FinishReason
    stop_text: str | None = Field(
        None,
        description="text of `stop` that ended the completion; empty: none did; None: the model "
        "doesn't report it",
    )
    reasoning: str = Field("", description="reasoning before the answer")
    tool_calls: tuple[ToolCall, ...] = ()
    invalid_tool_calls: tuple[InvalidToolCall, ...] = ()
    confidence: Confidence | None = None
    logprobs: tuple[TokenLogprob, ...] = ()


@suggesting
class Budget:
    """What a run may still spend; shared by its requests and enforced between two steps.

    Thread-safe. ``None`` means no limit. The clock of ``seconds`` starts at construction. ``cut``
    describes what was first cut short or refused for lack of budget, under this budget or one of
    its children.
    """

    def __init__(
        self,
        tokens: int | None = None,
        seconds: float | None = None,
        calls: int | None = None,
        parent: Budget | None = None,
    ) -> None:
        self.tokens, self.seconds, self.calls, self.parent = tokens, seconds, calls, parent
        self._lock = threading.Lock()
        self._spent_tokens = self._spent_calls = 0
        self._began = time.monotonic()
        self._stopped: str | None = None
        self.cut: str | None = None

    def stop(self, reason: str) -> None:
        """Allow no more spending: samples end at the next step, and a run returns its best answer.

        Args:
            reason: why, in words; a second call doesn't replace it.
        """
        self._stopped = self._stopped or reason

    @property
    def stopped(self) -> str | None:
        """Why this budget or a parent was stopped; None if neither was."""
        return self._stopped or (self.parent.stopped if self.parent else None)

    def spend(self, *, tokens: int = 0, calls: int = 0) -> None:
        """Charge sampled tokens and model calls to this budget and its parents."""
        with self._lock:
            self._spent_tokens += tokens
            self._spent_calls += calls
        if self.parent:
            self.parent.spend(tokens=tokens, calls=calls)

    @property
    def exhausted(self) -> str | None:
        """Which limit is reached, or why the budget was stopped, in words; None if neither."""
        if self._stopped is not None:
            return self._stopped
        if self.tokens is not None and self._spent_tokens >= self.tokens:
            return f"the budget of {self.tokens} tokens is spent"
        if self.calls is not None and self._spent_calls > self.calls:
            return f"the budget of {self.calls} model calls is spent"
        if self.seconds is not None and time.monotonic() - self._began >= self.seconds:
            return f"the budget of {self.seconds:g} seconds is spent"
        return self.parent.exhausted if self.parent else None

    @property
    def refusal(self) -> str | None:
        """Why no new call may start, in words, or None; for running calls see :attr:`exhausted`."""
        if self.calls is not None and self._spent_calls >= self.calls:
            return f"the budget of {self.calls} model calls is spent"
        return self.exhausted or (self.parent.refusal if self.parent else None)

    @property
    def may_cut(self) -> bool:
        """Whether this budget or a parent may end a completion that is in progress."""
        limited = self.tokens is not None or self.seconds is not None
        return limited or bool(self.parent and self.parent.may_cut)

    @property
    def tokens_left(self) -> int | None:
        """Tokens that may still be sampled under this budget and its parents; None is no limit."""
        above = self.parent.tokens_left if self.parent else None
        return _least(self.tokens, self._spent_tokens, above)

    @property
    def tokens_spent(self) -> int:
        """Tokens sampled so far under this budget."""
        return self._spent_tokens

    @property
    def seconds_left(self) -> float | None:
        """Time left under this budget and its parents; None is no limit."""
        above = self.parent.seconds_left if self.parent else None
        passed = time.monotonic() - self._began
        own = None if self.seconds is None else max(self.seconds - passed, 0.0)
        return min((left for left in (own, above) if left is not None), default=None)

    @property
    def calls_left(self) -> int | None:
        """Calls that may still be made under this budget and its parents; None is no limit."""
        above = self.parent.calls_left if self.parent else None
        return _least(self.calls, self._spent_calls, above)

    def tell_cut(self, reason: str) -> None:
        """Record in this budget and its parents that something was cut short or refused."""
        self.cut = self.cut or reason
        if self.parent:
            self.parent.tell_cut(reason)


def _least(limit: int | None, spent: int, above: int | None) -> int | None:
    own = None if limit is None else max(limit - spent, 0)
    return min((left for left in (own, above) if left is not None), default=None)


@dataclass(frozen=True)
class ToolUse:
    """The tools that a model may call, and how.

    Attributes:
        tools: the tools; if empty, the prompt lists none.
        choice: ``"auto"`` lets the model decide whether to call a tool, ``"any"`` requires a
            call, and a tool's name requires a call of that tool.
        parallel: whether the model may make several calls in one turn.
        constrained: whether calls are constrained to their tools' JSON schemas during decoding.
    """

    tools: Sequence[Tool] = ()
    choice: str = "auto"
    parallel: bool = True
    constrained: bool = True

    @property
    def chosen(self) -> Sequence[Tool]:
        """The tools that ``choice`` allows."""
        named = [tool for tool in self.tools if tool.name == self.choice]
        return named or self.tools

    @property
    def plain(self) -> dict[str, Any]:
        """All fields as plain data."""
        told = [tool.model_dump() for tool in self.tools]
        use = {"choice": self.choice, "parallel": self.parallel, "constrained": self.constrained}
        return {"tools": told, **use}


NO_TOOLS = ToolUse()


@dataclass(frozen=True)
class ModelRequest:
    """A request to a model.

    Attributes:
        messages: the conversation; an assistant message at its end is the beginning of the answer,
            and is not repeated in a completion.
        sampling: how to sample; ``choose`` uses only its adapter and template variables.
        seeds: one for each completion, all of the same prompt; ``choose`` needs none.
        budget: what may be spent; None means no limit.
        tools: what the model may call; ``choose`` uses only its ``tools``.
    """

    messages: Sequence[Message]
    sampling: Sampling = DEFAULT_SAMPLING
    seeds: Sequence[int] = ()
    budget: Budget | None = None
    tools: ToolUse = NO_TOOLS


class Generation(Protocol):
    """The n samples of one prompt, in progress.

    Iterating yields a :class:`Delta` for each new piece of text and a :class:`Completion` when a
    sample ends, in the order in which they occur, and ends after the last sample. Leaving early
    (``aclose``, or cancelling the task that iterates or awaits) cancels the running samples.
    """

    def __aiter__(self) -> AsyncIterator[Delta | Completion]: ...

    async def completions(self) -> list[Completion]:
        """Wait for all samples, and return them in order."""
        ...

    def cancel(self, sample: int | None = None) -> None:
        """Stop one sample, or all, at the next step; the text so far becomes the completion."""
        ...

    @property
    def usage(self) -> Usage:
        """Usage so far; final once the iteration has ended."""
        ...

    @property
    def failures(self) -> Sequence[Exception]:
        """The exceptions of samples whose finish reason is ``error``."""
        ...


class Model(Protocol):
    """A language model that nodes can sample from and use to choose among options."""

    @property
    def name(self) -> str:
        """The name by which the model was opened."""
        ...

    @property
    def context_length(self) -> int:
        """Maximum number of tokens of a prompt and one completion together."""
        ...

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """The length in tokens of the rendered prompt."""
        ...

    def generate(self, request: ModelRequest) -> Generation:
        """Sample one completion per seed, all of the same prompt.

        Raises:
            ModelError: the prompt doesn't fit in the context, or the model doesn't support a
                setting.
        """
        ...

    async def choose(
        self, request: ModelRequest, options: Sequence[str]
    ) -> tuple[list[float], Usage]:
        """The probability that the answer begins with each option; they sum to one."""
        ...
