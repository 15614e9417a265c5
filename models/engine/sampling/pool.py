"""Samples the rows of a step side by side: in threads, as llama.cpp and numpy release the GIL."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from thinkgraph.models.engine.sampling.distribution import Distribution, Logits, Uncertainty
from thinkgraph.models.engine.sampling.sampler import Candidates, Sampler

if TYPE_CHECKING:
    from thinkgraph.models.engine.sequence import Sequence

WORTH_IT = 200_000
"""Logits in a step from which it is sampled by several threads: less is done before they start."""


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
    error: BaseException | None = None

    def run(self, distribution: Distribution, candidates: Candidates) -> None:
        """Draw the token, and compute what is wanted of it."""
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
        except BaseException as error:  # it concerns this sequence only
            self.error = error


class SamplingPool:
    """Threads that sample the rows of a step.

    Args:
        vocabulary: its size.
        threads: how many, the calling one included.
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
        left = iter(range(len(rows)))  # next() is atomic: each thread takes the next row
        work = _work(rows, logits, left)
        helpers = []
        try:
            if len(rows) * self._vocabulary >= WORTH_IT:
                count = min(len(rows), len(self._candidates)) - 1
                for candidates in self._candidates[1 : count + 1]:
                    helpers.append(self._threads.submit(work, candidates))
            work(self._candidates[0])
        finally:
            wait(helpers)  # they use samplers and logits that are gone after the step
        for helper in helpers:
            helper.result()

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown()


def _work(
    rows: list[list[Draw]], logits: Logits, left: Iterator[int]
) -> Callable[[Candidates], None]:
    def work(candidates: Candidates) -> None:
        for index in left:
            try:
                distribution = Distribution(logits[index], candidates.exponentials)
            except BaseException as error:  # it concerns the sequences of this row only
                for draw in rows[index]:
                    draw.error = error
                continue
            for draw in rows[index]:
                draw.run(distribution, candidates)

    return work
