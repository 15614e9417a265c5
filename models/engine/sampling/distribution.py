"""The distribution over the next token: one row of logits, and values computed from it.

Values that need a pass over the vocabulary are computed once, when they are first read.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from thinkgraph.models.cached_property import cached_property

Logits = npt.NDArray[np.float32]
Tokens = npt.NDArray[np.integer[Any]]

_GROUP = 64  # tokens of a group, of which at first only the largest logit is looked at
_ROUNDS = 6  # rounds of leaving out unlikely tokens in the search for those that cover a mass
_SAFE = 60.0  # logits up to here, and sums of their exponentials, are within a float32's range
TOP = 20  # tokens that make up a token's confidence in DeepConf (arXiv 2508.15260)


class Likeliest(NamedTuple):
    """The likeliest tokens: all whose logit is at least ``least``, in ascending order."""

    tokens: Tokens
    least: float


class NotFinite(FloatingPointError):
    """The model's logits aren't finite numbers."""


class Uncertainty(NamedTuple):
    """How uncertain a distribution is, in nats."""

    entropy: float
    self_certainty: float
    """KL(U ‖ p), as in arXiv 2502.18581."""
    confidence: float
    """Minus the mean log-probability of the :data:`TOP` likeliest tokens."""


class Distribution:
    """The distribution over the next token.

    Args:
        logits: one row (vocabulary,); not copied, so llama.cpp may overwrite it in its next batch.

    Attributes:
        room: a buffer of the same shape for the exponentials of the logits; a thread can reuse it
            for one distribution after the other.
    """

    def __init__(self, logits: Logits) -> None:
        self.logits = logits
        self.room: Logits | None = None
        self._likeliest: dict[int, Likeliest | None] = {}

    @cached_property
    def _group_maxima(self) -> Logits:
        groups = len(self.logits) // _GROUP
        maxima: Logits = self.logits[: groups * _GROUP].reshape(_GROUP, groups).max(axis=0)
        return maxima

    @cached_property
    def peak(self) -> float:
        """The largest logit; NaN if any is NaN."""
        rest = self.logits[len(self._group_maxima) * _GROUP :]
        return float(np.maximum(self._group_maxima.max(initial=-np.inf), rest.max(initial=-np.inf)))

    def check(self) -> None:
        """Check that the largest logit is finite.

        Raises:
            NotFinite: a logit is NaN or plus infinity, or all are minus infinity.
        """
        if not math.isfinite(self.peak):
            raise NotFinite(
                "the model's logits are not finite numbers; its file or its adapter may be "
                "damaged, or the adapter's scale too large"
            )

    @cached_property
    def shift(self) -> float:
        """The amount by which logits are lowered, so that their exponentials are within range."""
        return 0.0 if -_SAFE < self.peak < _SAFE else self.peak

    @cached_property
    def _exponentials(self) -> Logits:
        if not self.shift:
            return np.exp(self.logits, out=self.room)
        shifted = np.subtract(self.logits, np.float32(self.shift), out=self.room)
        return np.exp(shifted, out=shifted)

    @cached_property
    def total(self) -> float:
        """The sum of the exponentials of the logits, lowered by :attr:`shift`."""
        return float(self._exponentials.sum())

    @cached_property
    def log_total(self) -> float:
        """The log-sum-exp of the logits, by which they become log-probabilities."""
        return self.shift + math.log(self.total)

    def logprob(self, token: int) -> float:
        """The log-probability of one token, in nats."""
        return float(self.logits[token]) - self.log_total

    def top(self, count: int) -> tuple[tuple[int, float], ...]:
        """The ``count`` likeliest tokens with their log-probabilities, best first."""
        if not count:
            return ()
        best = self._best(count)
        logprobs = self.logits[best].astype(np.float64) - self.log_total
        return tuple(zip(best.tolist(), logprobs.tolist(), strict=True))

    def _best(self, count: int) -> Tokens:
        """The ``count`` likeliest tokens, best first; of equal ones those of the lowest numbers."""
        known = (found for asked, found in self._likeliest.items() if asked >= count and found)
        found = next(known, None) or self.likeliest(count)
        tokens = np.arange(len(self.logits)) if found is None else found.tokens
        best: Tokens = tokens[np.argsort(-self.logits[tokens], kind="stable")[:count]]
        return best

    def likeliest(self, count: int) -> Likeliest | None:
        """The ``count`` likeliest tokens, and some more; None if they can't be found quickly.

        A token whose logit is minus infinity is never among them.
        """
        if count not in self._likeliest:
            rows, maxima = self.logits[None], self._group_maxima[None]
            (self._likeliest[count],) = _find_likeliest(rows, maxima, [count])
        return self._likeliest[count]

    def covering(self, mass: float) -> Likeliest:
        """The likeliest tokens with at least ``mass`` of the probability, and some more.

        If ``left`` of the total may be left out of n tokens, each one below ``left / n`` can be
        left out. This is repeated with the tokens that are kept and the rest of ``left``.
        """
        kept, total = self._exponentials, self.total
        left, least = (1 - mass) * total, 0.0
        for _ in range(_ROUNDS):
            least = left / len(kept)
            kept = kept[kept >= least]
            inside = float(kept.sum())
            left, total = left - (total - inside), inside
            if not len(kept) or left <= 0:
                break
        lowest = self.shift + math.log(least) if least > 0 else -math.inf
        return Likeliest(np.flatnonzero(self.logits >= np.float32(lowest)), lowest)

    @cached_property
    def _moments(self) -> tuple[float, float]:
        """The sum of the logits, and of their products with their exponentials."""
        logits, total = self.logits, float(self.logits.sum())  # numpy sums in pairs
        if not math.isfinite(total):  # impossible tokens: 0 · -inf is 0 here
            logits = np.maximum(logits, np.float32(self.log_total - 1e4))
            total = float(logits.sum(dtype=np.float64))
        return total, float(self._exponentials @ logits)

    @cached_property
    def uncertainty(self) -> Uncertainty:
        """Entropy, self-certainty and confidence of the distribution."""
        size, log_total = len(self.logits), self.log_total
        sum_of_logits, weighted = self._moments
        best = self.logits[self._best(min(TOP, size))].astype(np.float64)
        least = -1e4  # of an impossible token
        return Uncertainty(
            entropy=log_total - weighted / self.total,
            self_certainty=log_total - sum_of_logits / size - math.log(size),
            confidence=-float(np.maximum(best - log_total, least).mean()),
        )


def distributions(logits: Logits, room: Logits, *, uncertain: bool) -> list[Distribution]:
    """The distributions of several rows; what most draws need is computed for all rows at once.

    This takes a few long calls into numpy instead of many short ones: after each call a thread
    waits for the GIL again, which with many threads takes longer than the call.

    Args:
        logits: (rows, vocabulary).
        room: a buffer of at least that shape, which is overwritten.
        uncertain: whether their uncertainty will be read.
    """
    count, size = logits.shape
    groups = size // _GROUP
    maxima = logits[:, : groups * _GROUP].reshape(count, _GROUP, groups).max(axis=1)
    made = [Distribution(row) for row in logits]
    for each, own in zip(made, maxima, strict=True):
        vars(each)["_group_maxima"] = own  # where cached_property keeps it
    if any(not math.isfinite(each.peak) or each.shift for each in made):
        return made  # each computes its own
    exponentials = np.exp(logits, out=room[:count])
    for each, total in zip(made, exponentials.sum(axis=1), strict=True):
        vars(each)["total"] = float(total)
    if uncertain and np.isfinite(sums := logits.sum(axis=1)).all():
        weighted = np.matmul(exponentials[:, None, :], logits[:, :, None])[:, 0, 0]
        for each, plain, product in zip(made, sums, weighted, strict=True):
            vars(each)["_moments"] = float(plain), float(product)
    return made


def find_likeliest(
    made: Sequence[Distribution | None], logits: Logits, counts: Sequence[int]
) -> None:
    """Find the likeliest tokens of several distributions at once.

    Args:
        made: the distributions; None for a row that needs none.
        logits: their rows, (rows, vocabulary).
        counts: how many will be read of each; 0 for none.
    """
    maxima = np.zeros((len(made), logits.shape[1] // _GROUP), np.float32)
    for place, each in enumerate(made):
        if each and counts[place]:
            maxima[place] = each._group_maxima
    found = _find_likeliest(logits, maxima, counts)
    for each, count, own in zip(made, counts, found, strict=True):
        if each and count:
            each._likeliest[count] = own


def _find_likeliest(
    logits: Logits, maxima: Logits, counts: Sequence[int]
) -> list[Likeliest | None]:
    """The likeliest tokens of several rows; None for a row where they can't be found quickly.

    Args:
        logits: (rows, vocabulary).
        maxima: the largest logit of each group, (rows, groups). Token ``t`` of the first
            ``groups`` · :data:`_GROUP` is in group ``t % groups``; the rest is in no group.
        counts: how many are wanted of each row.
    """
    found: list[Likeliest | None] = [None] * len(logits)
    groups = maxima.shape[1]
    wanted = [min(count, groups + 1) for count in counts]
    places = sorted({-count for count in wanted if 0 < count <= groups})
    if not places:
        return found
    # Of the largest logits of each group, the k-th is at most the k-th of all.
    parted = np.partition(maxima, places, axis=1)
    least = np.array(
        [parted[row, -k] if 0 < k <= groups else np.inf for row, k in enumerate(wanted)], np.float32
    )
    least[~(least > -np.inf)] = np.inf  # there are too few, or it is NaN
    # flatnonzero takes a fifth of the time of nonzero.
    row, group = np.divmod(np.flatnonzero(maxima >= least[:, None]), groups)
    grouped = logits[:, : groups * _GROUP].reshape(len(logits), _GROUP, groups)[row, :, group]
    held, member = np.divmod(np.flatnonzero(grouped >= least[row, None]), _GROUP)
    rest_row, rest = np.nonzero(logits[:, groups * _GROUP :] >= least[:, None])
    size = logits.shape[1]
    keys = np.concatenate(
        [row[held] * size + member * groups + group[held], rest_row * size + groups * _GROUP + rest]
    )
    keys.sort()  # by row, then by token
    ends = np.searchsorted(keys, size * np.arange(1, len(logits)))
    for place, own in enumerate(np.split(keys, ends)):
        if least[place] < np.inf:
            found[place] = Likeliest(own - place * size, float(least[place]))
    return found
