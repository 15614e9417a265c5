"""Samples the rows of a step side by side: in threads, as llama.cpp and numpy release the GIL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from thinkgraph.models.engine.sampling.distribution import Distribution, Logits, Uncertainty
from thinkgraph.models.engine.sampling.sampler import Candidates, Sampler

if TYPE_CHECKING:
    from thinkgraph.models.engine.sequence import Sequence

WORTH_IT = 200_000
"""Logits in a step from which it is sampled by several threads: less is done before they start."""

BLOCK = 4
"""Rows that a thread takes at once, at most."""


@dataclass(slots=True)
class Draw:
    """A sequence's next token.

    Attributes:
        sequence: whose it is.
        sampler: draws it; None if it is given.
        token: the token, once it is drawn.
        logprob: its log-probability under the model.
        uncertainty: of the distribution, if the request wants confidence.
        top: the likeliest tokens in its place, as many as the request wants.
        error: what went wrong instead.
    """

    sequence: Sequence
    sampler: Sampler | None = None
    token: int = -1
    logprob: float = 0.0
    uncertainty: Uncertainty | None = None
    top: tuple[tuple[int, float], ...] = field(default=())
    error: Exception | None = None

    def run(self, distribution: Distribution, candidates: Candidates) -> None:
        """Draw the token, and compute what is wanted of it."""
        sampling = self.sequence.request.sampling
        try:
            if self.sampler:
                self.token = self.sampler.draw(distribution, candidates)
            self.logprob = distribution.logprob(self.token)
            if sampling.confidence:
                self.uncertainty = distribution.uncertainty
            self.top = distribution.top(sampling.top_logprobs)
        except Exception as error:  # it concerns this sequence only
            self.error = error


class SamplingPool:
    """Threads that sample the rows of a step.

    Args:
        vocabulary: its size.
        threads: how many, the calling one included.
    """

    def __init__(self, vocabulary: int, threads: int) -> None:
        self._vocabulary = vocabulary
        self._rooms = [_Room(vocabulary) for _ in range(threads)]
        self._threads = ThreadPoolExecutor(max(1, threads - 1), "thinkgraph-sampling")

    def run(self, rows: list[list[Draw]], logits: Logits) -> None:
        """Draw for every row; each row's draws share its distribution.

        Args:
            rows: the draws of each row.
            logits: (rows, vocabulary).
        """
        block = max(1, min(BLOCK, len(rows) // len(self._rooms)))
        left = iter(range(0, len(rows), block))  # next() is atomic: each thread takes the next rows
        work = _work(rows, logits, left, block)
        helpers = []
        if len(rows) * self._vocabulary >= WORTH_IT:
            count = min(len(rows), len(self._rooms)) - 1
            helpers = [self._threads.submit(work, room) for room in self._rooms[1 : count + 1]]
        work(self._rooms[0])
        wait(helpers)
        for helper in helpers:
            helper.result()

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()


class _Room:
    """What one thread needs room for, made once."""

    def __init__(self, vocabulary: int) -> None:
        self.candidates = Candidates(vocabulary)
        self.exponentials: Logits = np.empty((BLOCK, vocabulary), np.float32)


def _work(
    rows: list[list[Draw]], logits: Logits, left: Iterator[int], block: int
) -> Callable[[_Room], None]:
    def work(room: _Room) -> None:
        for first in left:
            some = slice(first, min(first + block, len(rows)))
            distributions = Distribution.several(logits[some], room.exponentials)
            for distribution, draws in zip(distributions, rows[some], strict=True):
                for draw in draws:
                    draw.run(distribution, room.candidates)

    return work
