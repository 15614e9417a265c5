"""What may come next: one row of logits, and what is asked of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt

Logits = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.integer[Any]]

_GROUP = 64  # tokens of which at first only the likeliest is looked at
_SAFE = 60.0  # logits up to here, and sums of their powers, are within a float32's range


class Distribution:
    """Over the token that comes next.

    Args:
        logits: one row (vocabulary,); not copied, and llama.cpp's own until its next batch.

    Attributes:
        log_total: log Σ exp of the logits, by which they become log-probabilities.
    """

    __slots__ = ("_peaks", "log_total", "logits")

    def __init__(self, logits: Logits) -> None:
        self.logits = logits
        self._peaks = peaks(logits)
        rest = logits[len(self._peaks) * _GROUP :]
        peak = max(self._peaks.max(initial=-np.inf), rest.max(initial=-np.inf))
        shift = 0.0 if -_SAFE < peak < _SAFE else float(peak)
        powers = np.exp(logits - np.float32(shift) if shift else logits)
        self.log_total = shift + math.log(powers.sum())

    def logprob(self, token: int) -> float:
        """The log-probability of one token, in nats."""
        return float(self.logits[token]) - self.log_total

    def top(self, count: int) -> tuple[tuple[int, float], ...]:
        """The ``count`` likeliest tokens with their log-probabilities, best first."""
        if not count:
            return ()
        best = np.argpartition(self.logits, -count)[-count:]
        best = best[np.argsort(-self.logits[best], kind="stable")]
        return tuple((int(t), self.logprob(t)) for t in best)

    def top_candidates(self, count: int) -> Tokens | None:
        """A few tokens, the ``count`` likeliest among them; None if they aren't quickly told."""
        return top_candidates(self.logits, count, self._peaks)


def peaks(logits: Logits) -> Logits:
    """The largest of each group of logits, by which the likeliest are found."""
    groups = len(logits) // _GROUP
    largest: Logits = logits[: groups * _GROUP].reshape(_GROUP, groups).max(axis=0)
    return largest


def top_candidates(logits: Logits, count: int, largest: Logits) -> Tokens | None:
    """A few tokens, the ``count`` likeliest among them; None if they aren't quickly told.

    Args:
        logits: one row; what is minus infinity is impossible, and never among them.
        count: how many are needed; 0 is all.
        largest: the row's :func:`peaks`.
    """
    if not 0 < count <= len(largest):
        return None
    # Of the largest of each group, the k-th is at most the k-th of all.
    least = np.partition(largest, -count)[-count]
    if least == -np.inf:
        return None
    near = np.flatnonzero(logits >= least)
    return near if len(near) >= count else None
