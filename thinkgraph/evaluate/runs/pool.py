"""Samples that all strategies of a comparison share, each drawn only once.

Sample i of a prompt is the same for every run, so that votes of 1, 4 and 16, all weightings and
all stopping rules are compared on the same samples, which are computed only once. The usage of
each run is still counted as if it had run alone.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple, cast

from thinkgraph.evaluate.runs.digest import digest
from thinkgraph.evaluate.runs.store import Store
from thinkgraph.graphs.runtime.models import lacking
from thinkgraph.graphs.runtime.node import is_transient
from thinkgraph.models.cached_property import cached_property
from thinkgraph.models.capabilities import Capability
from thinkgraph.models.errors import ModelError
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
    """A request to a model, without the number of samples."""

    messages: tuple[Message, ...]
    sampling: Sampling
    tools: ToolUse = NO_TOOLS

    @property
    def key(self) -> str:
        """A digest of the request, equal for equal requests of different runs."""
        return digest(
            [turn.model_dump() for turn in self.messages],
            # Samples always include their confidence, whether or not this run reads it. Defaults
            # are left out, so that a new setting doesn't change the keys of older samples.
            self.sampling.model_dump(exclude={"confidence", "top_logprobs"}, exclude_defaults=True),
            *([self.tools.plain] if self.tools.tools else ()),
        )


class Pool:
    """The samples of one model, kept in a store; for use within one event loop.

    Args:
        model: draws the samples.
        store: keeps them between starts of the program.
        identity: distinguishes the model from others in the same store.
        seed: the seed from which the samples' seeds are derived.
        confidence: whether samples have entropy and self-certainty, which a strategy may read.
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
        """The samples with the given numbers: stored, already being drawn, or drawn now."""
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
        """The probabilities of options, or an answer's score, computed only once per key."""
        key = self._key(key)
        if (kept := self._store.answer(key)) is not None:
            return kept["value"], Usage.model_validate(kept["usage"])
        if key not in self._answers:
            self._answers[key] = asyncio.create_task(self._ask(key, ask))
        found: tuple[list[float], Usage] = await asyncio.shield(self._answers[key])
        return found

    def spend(self, usage: Usage) -> None:
        """Count usage of the model outside the pool."""
        self._store.spend(usage)

    async def close(self) -> None:
        """Cancel all requests in progress."""
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
                    if isinstance(piece, Delta) or piece.finish_reason == "error":
                        continue
                    number, now = numbers[piece.sample], generation.usage
                    self._store.add_sample(key, number, piece, now - before)
                    before = now
                    waiting[piece.sample].set_result(piece)
            self._store.spend(generation.usage - before)
            if generation.failures:
                raise generation.failures[0]
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
    """A :class:`Model` for one run that takes its samples from a pool, in the order of numbers.

    A request under a budget of tokens or seconds draws its own samples, since the point at which
    the budget truncates them depends on the run.

    Attributes:
        lost: errors of this run's requests that another start may not have.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool, self._model = pool, pool.model
        self._used: Counter[str] = Counter()
        self.lost: list[str] = []

    @property
    def name(self) -> str:
        """The name of the pool's model."""
        return self._model.name

    @property
    def context_length(self) -> int:
        """Maximum number of tokens of a prompt together with one completion."""
        return self._model.context_length

    @property
    def lacks(self) -> frozenset[Capability]:
        """The capabilities that the pool's model lacks."""
        return lacking(self._model)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """The length in tokens of the rendered prompt."""
        return self._model.count_tokens(messages)

    def generate(self, request: ModelRequest) -> Generation:
        """Generate the next samples of the prompt that this run hasn't used yet."""
        budget, n = request.budget, len(request.seeds)
        untold = request.sampling.confidence and not self._pool.confidence
        if untold or (budget and budget.may_cut):
            return Alone(self._model.generate(request), self._pool.spend, self.lost)
        asked = Asked(tuple(request.messages), request.sampling, request.tools)
        if budget:
            budget.spend(calls=1)
        if request.sampling.temperature == 0:
            return Replay(self._pool, asked, [0] * n, budget, self.lost)
        first = self._used[asked.key]
        self._used[asked.key] += n
        return Replay(self._pool, asked, range(first, first + n), budget, self.lost)

    async def choose(
        self, request: ModelRequest, options: Sequence[str]
    ) -> tuple[list[float], Usage]:
        """The probability of each option, computed once for all runs."""

        def ask() -> Awaitable[tuple[list[float], Usage]]:
            return self._model.choose(replace(request, budget=None), options)

        turns = [m.model_dump() for m in request.messages]
        key = digest("choose", turns, [*options], request.sampling.adapter)
        with _noting(self.lost):
            probabilities, usage = await self._pool.choice(key, ask)
        if request.budget:
            request.budget.spend(tokens=usage.completion_tokens, calls=usage.model_calls)
        return probabilities, _alone(usage)

    async def rate(
        self, question: Sequence[Message], answers: Sequence[str]
    ) -> tuple[list[float], Usage]:
        """The reward model's score of each answer, computed once for all runs."""
        turns, model = [m.model_dump() for m in question], cast(Any, self._model)
        with _noting(self.lost):
            found = [
                await self._pool.choice(
                    digest("rate", turns, each), partial(model.rate, question, [each])
                )
                for each in answers
            ]
        usage = sum((_alone(usage) for _, usage in found), Usage())
        return [score for scores, _ in found for score in scores], usage


@contextmanager
def _noting(lost: list[str]) -> Iterator[None]:
    """Note the error of a request that may succeed another time."""
    try:
        yield
    except ModelError as error:
        if is_transient(error):
            lost.append(str(error))
        raise


class Alone:
    """A generation of one run alone, whose usage is counted when its iteration ends."""

    def __init__(
        self, generation: Generation, spend: Callable[[Usage], None], lost: list[str]
    ) -> None:
        self._generation, self._spend, self._lost = generation, spend, lost
        self.cancel = generation.cancel

    async def __aiter__(self) -> AsyncIterator[Delta | Completion]:
        """The pieces of the generation."""
        try:
            with _noting(self._lost):
                async with aclosing(aiter(self._generation)) as pieces:  # type: ignore[type-var]
                    async for piece in pieces:
                        yield piece
            self._lost += map(str, self.failures)
        finally:
            self._spend(self.usage)

    async def completions(self) -> list[Completion]:
        """All samples, ordered by index."""
        async with aclosing(aiter(self)) as pieces:  # type: ignore[type-var]
            found = [piece async for piece in pieces if isinstance(piece, Completion)]
        return sorted(found, key=lambda completion: completion.sample)

    @property
    def failures(self) -> Sequence[Exception]:
        """The exceptions of failed samples."""
        return self._generation.failures

    @property
    def usage(self) -> Usage:
        """Usage so far."""
        return self._generation.usage


class Replay:
    """A generation that replays samples of a pool as if they were decoded together in a batch.

    Each sample takes one step per token, so they end in the order of their lengths and a stopping
    rule sees them as in a live run. A cancelled sample counts the tokens up to that step, and its
    text is empty.
    """

    def __init__(
        self,
        pool: Pool,
        asked: Asked,
        numbers: Sequence[int],
        budget: Budget | None,
        lost: list[str],
    ) -> None:
        self._pool, self._asked, self._numbers, self._budget = pool, asked, numbers, budget
        self._lost = lost
        self._cancelled: set[int] = set()
        self._ended: dict[int, Completion] = {}

    async def __aiter__(self) -> AsyncIterator[Delta | Completion]:
        """The completions, in the order in which they end."""
        with _noting(self._lost):
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
        """All samples, ordered by index."""
        if not self._ended:
            async with aclosing(aiter(self)) as pieces:  # type: ignore[type-var]
                async for _ in pieces:
                    pass
        return [self._ended[index] for index in sorted(self._ended)]

    failures: tuple[Exception, ...] = ()
    """Always empty: a failed sample isn't stored, and fails the whole request."""

    def cancel(self, sample: int | None = None) -> None:
        """Cancel one sample, or all, at the current step."""
        self._cancelled |= {*range(len(self._numbers))} if sample is None else {sample}

    @cached_property
    def _prompt_tokens(self) -> int:
        return self._pool.model.count_tokens(self._asked.messages)

    @property
    def usage(self) -> Usage:
        """The usage as if the run had drawn the samples alone."""
        ended = self._ended.values()
        return Usage(
            prompt_tokens=self._prompt_tokens,
            prefilled_tokens=self._prompt_tokens,
            completion_tokens=sum(c.tokens for c in ended),
            cancelled_tokens=sum(c.tokens for c in ended if c.finish_reason == "cancelled"),
            model_calls=1,
        )


def _alone(usage: Usage) -> Usage:
    """A usage with the whole prompt prefilled, as if no other run had cached it."""
    changes = {"prefilled_tokens": usage.prompt_tokens, "cached_tokens": 0}
    return usage.model_copy(update=changes)


def _fail(waiting: Sequence[asyncio.Future[Any]], error: BaseException) -> None:
    """Fail or cancel the futures that are still pending."""
    for future in waiting:
        if future.done():
            continue
        if isinstance(error, Exception):
            future.set_exception(error)
            future.exception()  # marks it as retrieved, or asyncio would log a warning
        else:
            future.cancel()
