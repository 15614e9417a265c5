"""Majority votes over answers: tallies, ties, weights, and how certain a vote is."""

from collections import Counter
from collections.abc import Sequence
from fractions import Fraction
from functools import lru_cache
from itertools import combinations
from math import comb, exp, fsum, isclose, isfinite, lgamma, log, sqrt

from pydantic import BaseModel, ConfigDict

from thinkgraph.nodes.answers.equal.equal import (
    Tolerance,
    conflicting,
    equal_values,
    parse_tolerance,
)
from thinkgraph.nodes.answers.value.read import canonical
from thinkgraph.nodes.answers.value.value import Named, Quantity, Value, as_number


class AnswerClass(BaseModel):
    """Answers that are equal by value."""

    model_config = ConfigDict(frozen=True)

    value: str
    """The representative spelling: the most frequent, then the shortest, then by alphabet."""
    votes: int
    """How many candidates gave it."""
    weight: float
    """The sum of their weights; equals `votes` in an unweighted vote."""
    share: float
    """`weight` as a fraction of all weights that were cast, 0 to 1."""
    members: tuple[int, ...]
    """Which candidates gave it, as indices into what was tallied, ascending."""


class Tally(BaseModel):
    """The result of a vote."""

    model_config = ConfigDict(frozen=True)

    classes: tuple[AnswerClass, ...]
    """The classes by descending weight, equal ones in the order of their first members."""
    winner: AnswerClass | None
    """The class with the highest weight, among tied ones the earliest; None without answers."""
    tie: bool
    """Whether more than one class has the highest weight."""
    tied: tuple[str, ...]
    """The values of the tied classes, the winner's first; empty without a tie."""
    margin: float
    """The winner's weight minus that of the runner-up (0 if there is none)."""
    abstentions: int
    """How many candidates gave no answer."""
    of: int
    """How many candidates there were, abstentions included."""
    confidence: float
    """The probability that the winner is the model's most frequent answer; see `confidence`."""

    @property
    def note(self) -> str:
        """One sentence on how sure a vote of this size can be."""
        if self.winner is None:
            return f"None of {self.of} candidates gave an answer."
        counted = f"{self.winner.votes} of {self.of} candidates agree"
        if self.tie:
            counted = f"a tie between {', '.join(self.tied)}; {counted} on the first"
        sure = f"{self.confidence:.0%}" if self.confidence < 0.995 else "more than 99%"
        return f"{counted}: {sure} sure to be the answer this model gives most often."


def tally(
    answers: Sequence[str | None],
    weights: Sequence[float] | None = None,
    *,
    question: str = "",
    tolerance: Tolerance | None = None,
) -> Tally:
    """Count a vote over answers that are compared by value.

    The order of the candidates affects only the tie-break: among tied classes the one whose first
    member came first wins. None abstains: it is counted separately, and never wins. With a
    tolerance, answers form one class when a chain of answers, each within the tolerance of the
    next, joins them.

    Args:
        answers: one per candidate; None where none was extracted.
        weights: one per candidate, finite and at least 0; default 1 each.
        question: the question; see `canonical`.
        tolerance: how far apart two equal numbers may be; see `equal`.

    Raises:
        ValueError: weights of the wrong number, negative, or not finite; a bad tolerance.
    """
    weights = _checked(weights, len(answers))
    groups = group(answers, question=question, tolerance=tolerance)
    total = fsum(weights[index] for members in groups for index in members)
    classes = [_class(members, answers, weights, total) for members in groups]
    classes.sort(key=lambda each: (-each.weight, each.members[0]))
    tied = [each for each in classes if isclose(each.weight, classes[0].weight, rel_tol=1e-9)]
    tied.sort(key=lambda each: each.members[0])
    winner = tied[0] if tied else None
    rivals = [each for each in classes if each is not winner]
    tie = len(tied) > 1
    return Tally(
        classes=tuple([winner, *rivals] if winner else ()),
        winner=winner,
        tie=tie,
        tied=tuple(each.value for each in tied) if tie else (),
        margin=0.0 if tie or not winner else winner.weight - (rivals[0].weight if rivals else 0.0),
        abstentions=sum(answer is None for answer in answers),
        of=len(answers),
        confidence=confidence(winner.votes, [each.votes for each in rivals]) if winner else 0.0,
    )


def _checked(weights: Sequence[float] | None, count: int) -> Sequence[float]:
    if weights is None:
        return [1.0] * count
    if len(weights) != count:
        raise ValueError(f"{len(weights)} weights for {count} answers: there must be one for each")
    for index, weight in enumerate(weights):
        if not isfinite(weight) or weight < 0:
            raise ValueError(f"weight {index} is {weight}: it must be finite and at least 0")
    return weights


def _class(
    members: Sequence[int],
    answers: Sequence[str | None],
    weights: Sequence[float],
    total: float,
) -> AnswerClass:
    # fsum rounds once, so the sum is the same in every order.
    weight = fsum(weights[index] for index in members)
    spellings = Counter((answers[index] or "").strip() for index in members)
    return AnswerClass(
        value=min(spellings, key=lambda text: (-spellings[text], len(text), text)),
        votes=len(members),
        weight=weight,
        share=weight / total if total else 0.0,
        members=tuple(members),
    )


def group(
    answers: Sequence[str | None], *, question: str = "", tolerance: Tolerance | None = None
) -> list[list[int]]:
    """Group answers into classes that are equal by value.

    Returns:
        The ascending indices of each class, in the order of first members; None is left out.

    Raises:
        ValueError: a bad tolerance.
    """
    bounds = parse_tolerance(tolerance)
    places: dict[Value, list[int]] = {}
    for index, answer in enumerate(answers):
        if answer is not None:
            places.setdefault(canonical(answer, question), []).append(index)
    # Every value is compared with every class, so that the classes don't depend on the order of the
    # candidates. Values without a unit or left side come last, and join no class if they match
    # classes that exclude each other.
    classes: list[list[Value]] = []
    for value in sorted(
        places, key=lambda each: (not isinstance(each, Named | Quantity), repr(each))
    ):
        joined = [each for each in classes if any(equal_values(value, v, bounds) for v in each)]
        if any(_exclude(one, other) for one, other in combinations(joined, 2)):
            joined = []
        classes = [each for each in classes if each not in joined]
        classes.append([value, *(other for each in joined for other in each)])
    return sorted(sorted(i for value in each for i in places[value]) for each in classes)


def _exclude(ones: Sequence[Value], others: Sequence[Value]) -> bool:
    return any(conflicting(one, other) for one in ones for other in others)


def confidence(leader: int, rivals: Sequence[int]) -> float:
    """The probability that the leading class is the answer that the model gives most often.

    This is the posterior probability, under a uniform Dirichlet prior over the classes seen, that
    the leader's share is the largest. For two classes it is the Beta tail of the stopping criterion
    of adaptive-consistency (arXiv 2305.11860); more rivals lower it. It says how well the vote
    measured the model, not whether the model is right.

    Args:
        leader: votes of the leading class.
        rivals: votes of each other class; none counts as one class without votes.

    Returns:
        A probability, 0 to 1.
    """
    if len(rivals) <= 1:
        return _beta_tail(leader, rivals[0] if rivals else 0)
    return _largest_of_all(leader, tuple(sorted(rivals)))


@lru_cache(maxsize=4096)
def _largest_of_all(leader: int, rivals: tuple[int, ...]) -> float:
    """P(the leader's share is the largest) for shares ~ Dirichlet(votes + 1)."""
    # Shares of a Dirichlet are gamma variables over their sum, and the largest stays the largest:
    # P = the integral of the leader's density times every rival's distribution function.
    steps, top = 400, leader + 1 + 12 * sqrt(leader + 1) + 20
    counts = Counter(rivals)
    points = [top * (step + 0.5) / steps for step in range(steps)]
    inside = fsum(
        exp(leader * log(x) - x - lgamma(leader + 1) + _log_below(x, counts)) for x in points
    )
    return min(1.0, inside * top / steps)


def _beta_tail(leader: int, rival: int) -> float:
    """P(p > 1/2) for p ~ Beta(leader + 1, rival + 1), as a sum of binomials."""
    flips = leader + rival + 1
    return float(Fraction(sum(comb(flips, heads) for heads in range(leader + 1)), 2**flips))


def _log_below(x: float, counts: Counter[int]) -> float:
    """The log of the product of P(Gamma(votes + 1) < x) over the rivals."""
    total = 0.0
    for votes, times in counts.items():
        above = fsum(exp(i * log(x) - x - lgamma(i + 1)) for i in range(votes + 1))
        total += times * log(max(1.0 - above, 1e-300))
    return total


def decided(votes: Sequence[int], remaining: int) -> bool:
    """Whether the remaining samples can't change the winner or the tie of a vote.

    Each sample may join any class, start a new one, or abstain. So the vote is decided when the
    leader is ahead by more than the number of remaining samples: with exactly that many, they could
    cause a tie. This holds for a vote with equal weights and without a tolerance.

    Args:
        votes: votes of each class so far, in any order.
        remaining: number of samples that are still to come.

    Raises:
        ValueError: `remaining` is negative.
    """
    if remaining < 0:
        raise ValueError(f"remaining is {remaining}: it must be at least 0")
    first, second = sorted([0, 0, *votes], reverse=True)[:2]
    return remaining == 0 or first - second > remaining


class Median(BaseModel):
    """The median of numeric answers."""

    model_config = ConfigDict(frozen=True)

    value: str | None
    """The median answer as its candidate wrote it; None when no answer is a number."""
    member: int | None
    """Which candidate gave it (the first of several), as an index."""
    low: str | None
    """The lower quartile, as written."""
    high: str | None
    """The upper quartile, as written."""
    numeric: int
    """How many answers were numbers."""
    abstentions: int
    """How many were missing or not numbers."""
    of: int
    """How many candidates there were."""


def median(
    answers: Sequence[str | None], weights: Sequence[float] | None = None, *, question: str = ""
) -> Median:
    """Take the median of the answers that are numbers; all others abstain.

    The median is always one of the answers: of an even number, the lower of the two middle ones.

    Args:
        answers: one per candidate; None where none was extracted.
        weights: one per candidate, finite and at least 0; default 1 each.
        question: the question; see `canonical`.

    Raises:
        ValueError: weights of the wrong number, negative, or not finite.
    """
    weights = _checked(weights, len(answers))
    numbers = [
        as_number(canonical(answer, question)) if answer is not None else None for answer in answers
    ]
    ranked = sorted((number, index) for index, number in enumerate(numbers) if number is not None)
    low, middle, high = (_quantile(ranked, weights, part) for part in (0.25, 0.5, 0.75))
    spelled = [answers[index] if index is not None else None for index in (low, middle, high)]
    return Median(
        value=spelled[1],
        member=middle,
        low=spelled[0],
        high=spelled[2],
        numeric=len(ranked),
        abstentions=len(answers) - len(ranked),
        of=len(answers),
    )


def _quantile(
    ranked: Sequence[tuple[Fraction, int]], weights: Sequence[float], part: float
) -> int | None:
    """The first candidate with the least number at which `part` of the weight is reached."""
    total = fsum(weights[index] for _, index in ranked)
    for place, (number, _) in enumerate(ranked):
        reached = fsum(weights[index] for _, index in ranked[: place + 1])
        if reached >= part * total * (1 - 1e-9):
            return next(index for value, index in ranked if value == number)
    return None
