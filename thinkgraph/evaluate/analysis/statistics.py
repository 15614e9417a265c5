"""Statistics: confidence intervals, McNemar's test, Holm's correction, the bootstrap.

It needs numpy only; the tests compare it with scipy and statsmodels.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000
_AT_ONCE = 4_000_000  # random numbers drawn per batch, to bound memory
_EXACT_SIGNS = 12  # up to this many differences, all sign patterns are enumerated


class Interval(NamedTuple):
    """A confidence interval."""

    low: float
    high: float


def wilson(right: int, of: int, level: float = 0.95) -> Interval:
    """The Wilson score interval of a proportion (Wilson 1927), from 0 to 1.

    Raises:
        ValueError: nothing was measured.
    """
    if of < 1:
        raise ValueError("an interval needs at least one measurement")
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, denominator = right / of, 1 + z * z / of
    centre = (share + z * z / (2 * of)) / denominator
    half = z / denominator * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return Interval(max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half)))


def mean_interval(values: Sequence[float], level: float = 0.95, seed: int = 0) -> Interval:
    """The percentile bootstrap interval of a mean (Efron & Tibshirani 1993, chapter 13).

    For paired data, `values` are the differences. The bootstrap only redraws observed values, so
    the interval has no width where all are equal. For bounded scores, use `score_interval`.

    Raises:
        ValueError: nothing was measured.
    """
    return _bootstrap(values, (), level, seed)


def score_interval(scores: Sequence[float], level: float = 0.95, seed: int = 0) -> Interval:
    """The interval of a mean of scores from 0 to 1: `mean_interval` with two pseudo-scores.

    A 0 and a 1 are added, as Agresti & Coull (1998) add successes and failures to a proportion.

    Raises:
        ValueError: nothing was measured.
    """
    return _bootstrap(scores, (0.0, 0.0, 1.0, 1.0), level, seed)


def difference_interval(
    differences: Sequence[float], level: float = 0.95, seed: int = 0
) -> Interval:
    """The interval of a mean difference of paired scores from 0 to 1: a paired bootstrap.

    Questions are resampled, not answers, so the difficulty of a question cancels out. Half a
    pair is added to each cell of the 2 x 2 table (Agresti & Min 2005): two more pairs, one of
    them without a difference. A plain bootstrap has no width where no question was answered
    differently, even if there were only ten.

    Args:
        differences: one per question, -1 to 1: the strategy's score minus the baseline's.
        level: of confidence.
        seed: of the resampling.

    Raises:
        ValueError: nothing was measured.
    """
    return _bootstrap(differences, (-1.0, 0.0, 0.0, 1.0), level, seed)


def _bootstrap(
    values: Sequence[float], halves: Sequence[float], level: float, seed: int
) -> Interval:
    """The percentile interval of the mean; each of `halves` has half the weight of a value."""
    if not values:
        raise ValueError("an interval needs at least one measurement")
    drawn = np.array([*values, *values, *halves])
    means = _resampled_means(drawn, len(drawn) // 2, seed)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    mean = math.fsum(values) / len(values)
    return Interval(min(float(low), mean), max(float(high), mean))


def _resampled_means(drawn: NDArray[np.float64], size: int, seed: int) -> NDArray[np.float64]:
    """The means of `RESAMPLES` samples of `size` values, drawn with replacement."""
    source, step = np.random.default_rng(seed), max(_AT_ONCE // size, 1)
    pieces = [
        drawn[source.integers(len(drawn), size=(min(step, RESAMPLES - start), size))].mean(axis=1)
        for start in range(0, RESAMPLES, step)
    ]
    return np.concatenate(pieces)


def paired_test(differences: Sequence[float], seed: int = 0) -> float:
    """The two-sided p-value of paired differences, under the hypothesis that neither is better.

    For right and wrong answers, whose differences are -1, 0 and 1: McNemar's exact test (McNemar
    1947), the probability that a fair coin splits the questions that only one of the two gets
    right at least as unevenly. For other differences: the sign-flip permutation test (Fisher
    1935, section 21), with all sign patterns for up to 12 nonzero differences, and 10,000 random
    ones beyond; the observed pattern counts as one of these (Phipson & Smyth 2010).

    Returns:
        The p-value; 1.0 where there is no difference at all.
    """
    seen = [each for each in differences if each]
    if all(abs(each) == 1 for each in seen):
        return mcnemar(sum(each > 0 for each in seen), sum(each < 0 for each in seen))
    return _sign_flips(np.asarray(seen, dtype=np.float64), seed)


def mcnemar(gained: int, lost: int) -> float:
    """The exact p-value of McNemar's test, given how many questions only one side gets right."""
    flips, fewer = gained + lost, min(gained, lost)
    ways, tail = 1, 0
    for heads in range(fewer + 1):
        tail += ways
        ways = ways * (flips - heads) // (heads + 1)
    return min(1.0, 2 * tail / (1 << flips))


def _sign_flips(differences: NDArray[np.float64], seed: int) -> float:
    count = len(differences)
    exact = count <= _EXACT_SIGNS
    # The tolerance counts sums that only rounding puts below the observed one.
    reached = abs(math.fsum(differences)) - 1e-9 * math.fsum(abs(differences))
    if exact:
        signs = 1 - 2 * (np.arange(2**count)[:, None] >> np.arange(count) & 1)
        return float(np.mean(np.abs(signs @ differences) >= reached))
    source, step, hits = np.random.default_rng(seed), max(_AT_ONCE // count, 1), 0
    for start in range(0, RESAMPLES, step):
        signs = source.choice((-1.0, 1.0), (min(step, RESAMPLES - start), count))
        hits += int(np.sum(np.abs(signs @ differences) >= reached))
    return (hits + 1) / (RESAMPLES + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """P-values adjusted for multiple testing (Holm 1979), in the order given.

    Claiming every difference with an adjusted value below 0.05 keeps the family-wise error rate,
    the probability of at least one wrong claim, at 5 % or less, even if the tests are dependent.
    """
    adjusted, largest = [0.0] * len(p_values), 0.0
    for rank, place in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        largest = max(largest, min(1.0, p_values[place] * (len(p_values) - rank)))
        adjusted[place] = largest
    return adjusted


def questions_needed(
    differences: Sequence[float], *, power: float = 0.8, level: float = 0.95, comparisons: int = 1
) -> int | None:
    """The number of questions needed to detect a difference as large as the observed one.

    ((z_a sqrt(psi) + z_b sqrt(psi - delta^2)) / delta)^2 with the mean difference `delta` and
    the mean square `psi`, which for right and wrong answers is the share of questions that only
    one of the two gets right: Connor (1987), from the normal approximation of McNemar's test. It
    takes the observed difference for the true one, which is often smaller, so read the number as
    a lower bound.

    Args:
        differences: one per question, as for `paired_test`.
        power: probability of detecting the difference.
        level: of confidence.
        comparisons: number of comparisons, among which the error is divided (Bonferroni).

    Returns:
        None where no difference was observed, or nothing was measured.
    """
    count = len(differences)
    delta = abs(math.fsum(differences)) / count if count else 0.0
    if delta < 1e-12:
        return None
    square = math.fsum(each * each for each in differences) / count
    z_a = NormalDist().inv_cdf(1 - (1 - level) / (2 * comparisons))
    z_b = NormalDist().inv_cdf(power)
    root = z_a * math.sqrt(square) + z_b * math.sqrt(max(square - delta * delta, 0.0))
    return math.ceil((root / delta) ** 2)
