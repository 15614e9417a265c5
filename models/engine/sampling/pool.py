"""Samples the rows of a step in parallel threads, as llama.cpp and numpy release the GIL."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, TypeVar

from thinkgraph.models.engine.sampling.distribution import (
    Distribution,
    Logits,
    Uncertainty,
    distributions,
    find_likeliest,
)
from thinkgraph.models.engine.sampling.sampler import BLOCK, Candidates, Sampler

if TYPE_CHECKING:
    from thinkgraph.models.engine.sequence import Sequence

WORTH_IT = 200_000
"""Logits in a step from which on several threads sample it: less work ends before they start."""

ROWS = 16
"""Fewest rows whose likeliest tokens a thread searches at once, in many short calls."""

T = TypeVar("T")


@dataclass(slots=True)
class Draw:
    """A sequence's next token.

    Attributes:
        sequence: whose it is.
        sampler: draws the token; None if the token is given.
        token: the token, once it is drawn.
        logprob: its log-probability under the model.
        uncertainty: the uncertainty of the distribution, if the request wants confidence.
        top: the likeliest tokens at its position, as many as the request wants.
        error: the exception, if the draw failed.
    """

    sequence: Sequence
    sampler: Sampler | None = None
    token: int = -1
    logprob: float = 0.0
    uncertainty: Uncertainty | None = None
    top: tuple[tuple[int, float], ...] = field(default=())
    error: BaseException | None = None

    @property
    def is_slow(self) -> bool:
        """Whether it takes another pass over the vocabulary, or a constraint's mask."""
        return self.sampler is not None and self.sampler.is_slow

    def run(self, distribution: Distribution, candidates: Candidates) -> None:
        """Draw the token, and compute the values that the request wants."""
        sampling = self.sequence.request.sampling
        try:
            if self.error:
                return
            distribution.check()
            if self.sampler:
                self.token = self.sampler.draw(distribution, candidates)
            self.logprob = distribution.logprob(self.token)
            if sampling.confidence:
                self.uncertainty = distribution.uncertainty
            self.top = distribution.top(sampling.top_logprobs)
        except BaseException as error:  # it affects only this sequence
            self.error = error


Drawn = tuple[list[Draw], Distribution]
"""The draws of a row, and the distribution that they are drawn from."""


class SamplingPool:
    """Threads that sample the rows of a step.

    Long computations are shared by all threads, a few rows at a time. Draws are short, and are made
    by the calling thread alone, as threads would only wait for the GIL. Only draws under a
    constraint, or without a top-k, are long and are shared too.

    Args:
        vocabulary: size of the vocabulary.
        threads: number of threads, including the calling one.
    """

    def __init__(self, vocabulary: int, threads: int) -> None:
        self._vocabulary = vocabulary
        self._candidates = [Candidates(vocabulary) for _ in range(threads)]
        self._threads = ThreadPoolExecutor(max(1, threads - 1), "thinkgraph-sampling")

    def run(self, rows: list[list[Draw]], logits: Logits) -> None:
        """Draw for every row; each row's draws share its distribution.

        Args:
            rows: the draws of each row.
            logits: (rows, vocabulary).
        """
        found: list[Distribution | None] = [None] * len(rows)
        size = max(1, min(BLOCK, len(rows) // len(self._candidates)))
        blocks = [slice(start, start + size) for start in range(0, len(rows), size)]
        self._share(blocks, size, partial(_prepare, rows, logits, found))
        size = max(ROWS, -(-len(rows) // len(self._candidates)))
        blocks = [slice(start, start + size) for start in range(0, len(rows), size)]
        self._share(blocks, size, partial(_search, rows, logits, found))
        quick: list[Drawn] = []
        slow: list[Drawn] = []
        for row, distribution in zip(rows, found, strict=True):
            if row and distribution:
                (slow if any(draw.is_slow for draw in row) else quick).append((row, distribution))
        for each in quick:
            _draw(each, self._candidates[0])
        self._share(slow, 1, _draw)

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()

    def _share(self, items: list[T], size: int, work: Callable[[T, Candidates], None]) -> None:
        """Work on all items, each of ``size`` rows, with as many threads as are worth it."""
        left = iter(items)  # next() is atomic: each thread takes the next item

        def some(candidates: Candidates) -> None:
            for item in left:
                work(item, candidates)

        helpers = []
        try:
            if len(items) * size * self._vocabulary >= WORTH_IT:
                for candidates in self._candidates[1 : len(items)]:
                    helpers.append(self._threads.submit(some, candidates))
            some(self._candidates[0])
        finally:
            wait(helpers)  # they use samplers and logits that are gone after the step
        for helper in helpers:
            helper.result()


def _prepare(
    rows: list[list[Draw]],
    logits: Logits,
    found: list[Distribution | None],
    block: slice,
    candidates: Candidates,
) -> None:
    draws = [draw for row in rows[block] for draw in row]
    if not draws:
        return
    try:
        uncertain = any(draw.sequence.request.sampling.confidence for draw in draws)
        found[block] = distributions(logits[block], candidates.exponentials, uncertain=uncertain)
    except BaseException as error:  # it affects only the sequences of these rows
        for draw in draws:
            draw.error = error


def _search(
    rows: list[list[Draw]],
    logits: Logits,
    found: list[Distribution | None],
    block: slice,
    _: Candidates,
) -> None:
    counts = [
        _wanted(row) if made else 0 for row, made in zip(rows[block], found[block], strict=True)
    ]
    if any(counts):
        with suppress(Exception):  # then each draw searches by itself, and an error is its own
            find_likeliest(found[block], logits[block], counts)


def _wanted(draws: list[Draw]) -> int:
    """How many of the likeliest tokens the draws of a row look at first; 0 if that isn't known."""
    return next((draw.sampler.wanted for draw in draws if draw.sampler), 0)


def _draw(row: Drawn, candidates: Candidates) -> None:
    draws, distribution = row
    distribution.room = candidates.exponentials[0]
    for draw in draws:
        draw.run(distribution, candidates)
