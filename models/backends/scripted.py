"""The scripted backend: fixed completions, to test a strategy's logic without a model."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import AsyncGenerator, Callable, Iterable, Sequence
from typing import NamedTuple, TypeVar

from thinkgraph.models.backends.streams import Step, Streams
from thinkgraph.models.errors import ModelError, PromptTooLong
from thinkgraph.models.model import (
    Confidence,
    FinishReason,
    Message,
    ModelRequest,
    Sampling,
    Usage,
    parted,
)

T = TypeVar("T")

Reply = str | Exception
"""A text to answer with, or an exception to raise."""


class Call(NamedTuple):
    """A recorded request to a scripted model."""

    messages: list[Message]
    prefix: str
    """The given beginning of the answers."""
    sampling: Sampling
    seeds: list[int]


class ScriptedModel:
    """A model with fixed replies; a word and the space before it count as one token.

    Replies stream word by word, yielding to the event loop between words, so that a sample
    can be cancelled. Stop strings, ``max_tokens`` and budgets are honoured.

    Args:
        replies: one for each sample, used up in the order of the requests (and of the samples
            of each request); or a function from messages and seed to the text.
        choices: for each :meth:`choose` in turn, a weight for each option; they are scaled
            to sum to one. Or a function from messages and options to the weights.
        logprobs: for each reply in turn, the mean log-probability of its tokens, in nats, or a
            whole :class:`~thinkgraph.models.model.Confidence`; further replies have neither.
            Entropies are reported only to a request that asks for ``confidence``.
        name: the model's name.
        context_length: in words.

    Attributes:
        calls: the requests to :meth:`generate`, in order.
    """

    def __init__(
        self,
        replies: Iterable[Reply] | Callable[[Sequence[Message], int], str] = (),
        *,
        choices: Iterable[Sequence[float]]
        | Callable[[Sequence[Message], Sequence[str]], Sequence[float]] = (),
        logprobs: Iterable[float | Confidence] = (),
        name: str = "scripted",
        context_length: int = 4096,
    ) -> None:
        self.name, self.context_length = name, context_length
        self.calls: list[Call] = []
        self._function = replies if callable(replies) else None
        self._replies = [] if callable(replies) else _listed(replies)
        self._weigh = choices if callable(choices) else None
        self._choices = [] if callable(choices) else [list(weights) for weights in choices]
        self._logprobs = iter(logprobs)
        self._used: dict[str, int] = {}

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """Number of words in all messages."""
        return sum(len(m.content.split()) for m in messages)

    def generate(self, request: ModelRequest) -> Streams:
        """Answer with the next replies; see :class:`~thinkgraph.models.model.Model`.

        Raises:
            ModelError: the script has too few replies, or the prompt is too long. An exception
                in the script is raised by the iteration instead.
        """
        if (words := self.count_tokens(request.messages)) >= self.context_length:
            raise PromptTooLong(words, self.context_length - 1, self.context_length)
        turns, prefix = parted(request.messages)
        self.calls.append(Call(turns, prefix, request.sampling, list(request.seeds)))
        replies = [self._reply(turns, seed) for seed in request.seeds]
        sure = [_confidence(next(self._logprobs, None), request.sampling) for _ in replies]
        return Streams(
            [
                _words(reply, request.sampling, confidence)
                for reply, confidence in zip(replies, sure, strict=True)
            ],
            request.seeds,
            spent=self._spend(request),
            budget=request.budget,
            tools=request.tools.tools,
        )

    async def choose(
        self, request: ModelRequest, options: Sequence[str]
    ) -> tuple[list[float], Usage]:
        """The next scripted weights, scaled to sum to one.

        Raises:
            ModelError: the script has no more choices, or not a weight for each option.
        """
        if self._weigh:
            weights = list(self._weigh(request.messages, options))
        else:
            weights = self._next("choices", self._choices)
        self._match("weights", len(weights), "options", len(options))
        total = math.fsum(weights)
        return [weight / total for weight in weights], self._spend(request)

    def _reply(self, messages: Sequence[Message], seed: int) -> Reply:
        if self._function:
            return self._function(messages, seed)
        return self._next("replies", self._replies)

    def _next(self, kind: str, script: Sequence[T]) -> T:
        used = self._used.get(kind, 0)
        if used == len(script):
            raise ModelError(
                f"the script of the model {self.name} has {used} {kind} and was asked for one more"
            )
        self._used[kind] = used + 1
        return script[used]

    def _match(self, given: str, have: int, of: str, want: int) -> None:
        if have != want:
            raise ModelError(
                f"the script of the model {self.name} has {have} {given} for {want} {of}"
            )

    def _spend(self, request: ModelRequest) -> Usage:
        if request.budget:
            request.budget.spend(calls=1)
        words = self.count_tokens(request.messages)
        return Usage(prompt_tokens=words, prefilled_tokens=words, model_calls=1)


def _listed(replies: Iterable[Reply]) -> list[Reply]:
    if isinstance(replies, str):
        raise ModelError("a scripted model takes a list of replies, not one text")
    return list(replies)


def _split(text: str) -> list[str]:
    """Words, each with the space before it; they concatenate to the text."""
    return re.findall(r"\s*\S+(?:\s+$)?|^\s+$", text)


def _confidence(known: float | Confidence | None, sampling: Sampling) -> Confidence | None:
    match known:
        case Confidence(mean_logprob=mean, min_logprob=least):
            told = Confidence(mean_logprob=mean, min_logprob=least)
            return known if sampling.confidence else told
        case None:
            return None
    return Confidence(mean_logprob=known, min_logprob=known)


async def _words(
    reply: Reply, sampling: Sampling, confidence: Confidence | None
) -> AsyncGenerator[Step, None]:
    await asyncio.sleep(0)
    if isinstance(reply, Exception):
        raise reply
    text, stop = _until_stop(reply, sampling)
    words = _split(text)
    whole = len(words) <= sampling.max_tokens
    for word in words[: sampling.max_tokens]:
        await asyncio.sleep(0)
        yield Step(word, tokens=1, confidence=confidence)
    reason: FinishReason = "stop" if whole else "length"
    yield Step(finish=reason, stop_text=stop if whole else "")


def _until_stop(text: str, sampling: Sampling) -> tuple[str, str]:
    """The text before the first stop string in it, and that string; empty if there is none."""
    blank = len(text) - len(text.lstrip()) if sampling.stop_after_text else 0
    found = ((at, stop) for stop in sampling.stop if stop and (at := text.find(stop, blank)) >= 0)
    at, stop = min(found, default=(len(text), ""))
    return text[:at], stop
