"""Samples drawn once and shared: what every strategy of a comparison asks its model through.

Sample number i of a prompt is the same for whoever asks, so that votes of 1, 4 and 16, every
weighting and every stopping rule are judged on the same samples, and the second to ask pays
nothing. Each run is still charged as if it had been alone.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

from thinkgraph.evaluate.runs.digest import digest
from thinkgraph.evaluate.runs.store import Store
from thinkgraph.models.model import (
    NO_TOOLS,
    Budget,
    Completion,
    Delta,
    Generation,
    Message,
    Model,
    ModelRequest,
    Sampling,
    ToolUse,
    Usage,
)
from thinkgraph.models.seed import derive_seed


class Asked(NamedTuple):
    """What a model was asked, apart from how often."""

    messages: tuple[Message, ...]
    sampling: Sampling
    tools: ToolUse = NO_TOOLS

    @property
    def key(self) -> str:
        """The same for the same question to a model, whoever asks."""
        return digest(
            [turn.model_dump() for turn in self.messages],
            # Every sample is drawn with its confidence, whether or not this asker reads it. What
            # isn't set is left out, so that a new setting leaves older samples their keys.
            self.sampling.model_dump(exclude={"confidence", "top_logprobs"}, exclude_defaults=True),
            *([self.tools.plain] if self.tools.tools else ()),
        )


class Pool:
    """The samples of one model, kept in a store; for use within one event loop.

    Args:
        model: what draws them.
        store: where they are kept, from one start of the program to the next.
        identity: tells the model from others that share the store.
        seed: all samples' seeds come from it.
        confidence: whether samples carry entropy and self-certainty, which a strategy may read.
    """

    def __init__(
        self, model: Model, store: Store, identity: str, seed: int, *, confidence: bool = True
    ) -> None:
        self.model = model
        self.confidence = confidence
        self._store, self._seed = store, seed
        self._scope = digest(identity, seed)
        self._under_way: dict[tuple[str, int], asyncio.Future[Completion]] = {}
        self._answers: dict[str, asyncio.Task[Any]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def samples(self, asked: Asked, numbers: Sequence[int]) -> list[Completion]:
        """The samples of those numbers: kept ones, those under way, and the rest drawn now."""
        key = self._key(asked.key)
        kept = self._store.samples(key, numbers)
        missing = [n for n in numbers if n not in kept and (key, n) not in self._under_way]
        if missing:
            loop = asyncio.get_running_loop()
            self._under_way |= {(key, n): loop.create_future() for n in dict.fromkeys(missing)}
            task = asyncio.create_task(self._draw(asked, key, list(dict.fromkeys(missing))))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        waited = {n: self._under_way[key, n] for n in numbers if n not in kept}
        found = await asyncio.gather(*(asyncio.shield(future) for future in waited.values()))
        kept |= dict(zip(waited, found, strict=True))
        return [kept[n] for n in numbers]

    async def choice(
        self, key: str, ask: Callable[[], Awaitable[tuple[list[float], Usage]]]
    ) -> tuple[list[float], Usage]:
        """The probabilities of options, asked for once."""
        key = self._key(key)
        if (kept := self._store.answer(key)) is not None:
            return kept["value"], Usage.model_validate(kept["usage"])
        if key not in self._answers:
            self._answers[key] = asyncio.create_task(self._ask(key, ask))
        found: tuple[list[float], Usage] = await asyncio.shield(self._answers[key])
        return found

    async def close(self) -> None:
        """Cancel what is under way."""
        tasks = [*self._tasks, *self._answers.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _draw(self, asked: Asked, key: str, numbers: list[int]) -> None:
        waiting = [self._under_way[key, n] for n in numbers]
        try:
            generation = self.model.generate(
                ModelRequest(
                    asked.messages,
                    asked.sampling.model_copy(update={"confidence": self.confidence}),
                    [derive_seed(self._seed, asked.key, n) for n in numbers],
                    tools=asked.tools,
                )
            )
            before = Usage()
            async with aclosing(aiter(generation)) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    if isinstance(piece, Delta):
                        continue
                    number, now = numbers[piece.sample], generation.usage
                    self._store.add_sample(key, number, piece, now - before)
                    before = now
                    waiting[piece.sample].set_result(piece)
            self._store.spend(generation.usage - before)
        except BaseException as error:
            _fail(waiting, error)
            if not isinstance(error, Exception):
                raise
        finally:
            for n in numbers:
                del self._under_way[key, n]

    async def _ask(
        self, key: str, ask: Callable[[], Awaitable[tuple[list[float], Usage]]]
    ) -> tuple[list[float], Usage]:
        try:
            value, usage = await ask()
            self._store.add_answer(key, {"value": value, "usage": usage.model_dump()}, usage)
            return value, usage
        finally:
            del self._answers[key]

    def _key(self, key: str) -> str:
        return digest(self._scope, key)


class PooledModel:
    """A pool as the model of one run, which numbers the run's samples; see :class:`Model`.

    A request under a budget of tokens or seconds draws samples of its own, since what the
    budget cuts off depends on the run.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool, self._model = pool, pool.model
        self._used: Counter[str] = Counter()

    @property
    def name(self) -> str:
        """The name of the pool's model."""
        return self._model.name

    @property
    def context_length(self) -> int:
        """Tokens that a prompt and one completion may have together."""
        return self._model.context_length

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """The length in tokens of the rendered prompt."""
        return self._model.count_tokens(messages)

    def generate(self, request: ModelRequest) -> Generation:
        """The next samples of the prompt that this run hasn't had."""
        budget, n = request.budget, len(request.seeds)
        untold = request.sampling.confidence and not self._pool.confidence
        if untold or (budget and budget.may_cut):
            return self._model.generate(request)
        asked = Asked(tuple(request.messages), request.sampling, request.tools)
        if budget:
            budget.spend(calls=1)
        if request.sampling.temperature == 0:
            return Replay(self._pool, asked, [0] * n, budget)
        first = self._used[asked.key]
        self._used[asked.key] += n
        return Replay(self._pool, asked, range(first, first + n), budget)

    async def choose(
        self, request: ModelRequest, options: Sequence[str]
    ) -> tuple[list[float], Usage]:
        """The probability of each option, worked out once for all runs."""

        def ask() -> Awaitable[tuple[list[float], Usage]]:
            return self._model.choose(replace(request, budget=None), options)

        turns = [m.model_dump() for m in request.messages]
        key = digest("choose", turns, [*options], request.sampling.adapter)
        probabilities, usage = await self._pool.choice(key, ask)
        if request.budget:
            request.budget.spend(tokens=usage.completion_tokens, calls=usage.model_calls)
        return probabilities, _alone(usage)


class Replay:
    """Samples of a pool as a generation of their own: each takes a step a token, side by side.

    They end in the order of their lengths, so that a stopping rule sees what it would have seen
    live; a sample that it cancels is charged up to that step, and its text is not kept.
    """

    def __init__(
        self, pool: Pool, asked: Asked, numbers: Sequence[int], budget: Budget | None
    ) -> None:
        self._pool, self._asked, self._numbers, self._budget = pool, asked, numbers, budget
        self._cancelled: set[int] = set()
        self._ended: dict[int, Completion] = {}

    async def __aiter__(self) -> AsyncIterator[Delta | Completion]:
        """The completions, in the order in which they end."""
        drawn = await self._pool.samples(self._asked, self._numbers)
        step = 0
        for index in sorted(range(len(drawn)), key=lambda i: (drawn[i].tokens, i)):
            sample = drawn[index].model_copy(update={"sample": index})
            if index in self._cancelled:
                changes = {"text": "", "tokens": step, "finish_reason": "cancelled"}
                sample = sample.model_copy(update=changes)
            step = sample.tokens
            self._ended[index] = sample
            if self._budget:
                self._budget.spend(tokens=sample.tokens)
            yield sample

    async def completions(self) -> list[Completion]:
        """All samples, in their order."""
        if not self._ended:
            async with aclosing(aiter(self)) as pieces:  # type: ignore[type-var]
                async for _ in pieces:
                    pass
        return [self._ended[index] for index in sorted(self._ended)]

    failures: tuple[Exception, ...] = ()
    """None: a sample that fails is not kept, and fails the request."""

    def cancel(self, sample: int | None = None) -> None:
        """End one sample, or all, at the step that has been reached."""
        self._cancelled |= {*range(len(self._numbers))} if sample is None else {sample}

    @cached_property
    def _prompt_tokens(self) -> int:
        return self._pool.model.count_tokens(self._asked.messages)

    @property
    def usage(self) -> Usage:
        """What a run of its own would have spent."""
        ended = self._ended.values()
        return Usage(
            prompt_tokens=self._prompt_tokens,
            prefilled_tokens=self._prompt_tokens,
            completion_tokens=sum(c.tokens for c in ended),
            cancelled_tokens=sum(c.tokens for c in ended if c.finish_reason == "cancelled"),
            model_calls=1,
        )


def _alone(usage: Usage) -> Usage:
    """A usage whose prompt was read by the run itself, as no other had cached it."""
    changes = {"prefilled_tokens": usage.prompt_tokens, "cached_tokens": 0}
    return usage.model_copy(update=changes)


def _fail(waiting: Sequence[asyncio.Future[Any]], error: BaseException) -> None:
    """Tell who waits, if anyone does."""
    for future in waiting:
        if future.done():
            continue
        if isinstance(error, Exception):
            future.set_exception(error)
            future.exception()  # so that asyncio doesn't complain that nobody looked
        else:
            future.cancel()
