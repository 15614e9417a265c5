"""Metrics of numbers: within a tolerance, and how far off an estimate is."""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from thinkgraph.evaluate.metrics.metric import Metric
from thinkgraph.evaluate.metrics.number import estimated_number, exact_number
from thinkgraph.evaluate.metrics.score import Score
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.nodes.answers.equal import parse_tolerance


class Numeric(Metric):
    """Right is a number that differs from the right one by the tolerance at most."""

    needs = "a number as right answer"

    def __init__(self, tolerance: str = "0") -> None:
        self.tolerance = tolerance
        self.name = f"numeric:{tolerance}" if tolerance != "0" else "numeric"

    def fits(self, question: Question) -> bool:
        """Whether the right answer is a number."""
        return exact_number(question.reference, question.text) is not None

    def score(self, question: Question, answer: str | None, text: str) -> Score:
        """An answer that is no number is wrong, and an abstention."""
        number = exact_number(answer or "", question.text)
        truth = exact_number(question.reference, question.text)
        if number is None or truth is None:
            return Score(value=0, abstained=True)
        return Score(value=within(number, truth, self.tolerance))


class Estimate(Metric):
    """For numbers that are estimated, such as prices: how far off, and how many come near.

    The score is whether the estimate lies within the tolerance of the truth, so the share is
    that of estimates that are good enough. `errors` are `mae`, the mean absolute error in the
    unit of the data, and `rmsle`, the root mean squared difference of log(1 + x), for which a
    factor counts alike at every size; an estimate below 0 counts as 0 there, and a truth below
    0 has no part in it.

    An abstention is not within the tolerance, so it costs a share as much as the worst estimate.
    It has no error, and is left out of `mae` and `rmsle`: whatever number were put in its place
    would be ours, not the model's. Read these two beside the number of abstentions, for a
    strategy that abstains where it is hard has smaller errors; two strategies are compared only
    on the questions that both gave a number for.
    """

    needs = "a number as right answer"
    estimates = True

    def __init__(self, tolerance: str = "20%") -> None:
        self.tolerance = tolerance
        self.name = f"estimate:{tolerance}"
        self.claim = f"within {tolerance.replace('%', ' %')}"

    def fits(self, question: Question) -> bool:
        """Whether the right answer is a number."""
        return estimated_number(question.reference, question.text) is not None

    def score(self, question: Question, answer: str | None, text: str) -> Score:
        """An answer that is no number is not within the tolerance, and an abstention."""
        number = estimated_number(answer or "", question.text)
        truth = estimated_number(question.reference, question.text)
        if number is None or truth is None:
            return Score(value=0, abstained=True)
        return Score(
            value=within(number, truth, self.tolerance),
            error=float(abs(number - truth)),
            log_error=_log1p(number) - _log1p(truth) if truth >= 0 else None,
        )

    def errors(self, scores: Sequence[Score]) -> dict[str, float]:
        """`mae` and `rmsle`, each only if there is something to average."""
        errors = [score.error for score in scores if score.error is not None]
        logs = [score.log_error for score in scores if score.log_error is not None]
        found = {}
        if errors:
            found["mae"] = math.fsum(errors) / len(errors)
        if logs:
            found["rmsle"] = math.sqrt(math.fsum(each * each for each in logs) / len(logs))
        return found


class Asymmetric(Estimate):
    """An estimate whose error costs more on one side than on the other.

    A price that is too high costs a seller a part of the difference in lost sales, one that is
    too low all of it: `asymmetric:0.5,1`. `errors` has the mean `cost` besides those of `Estimate`.

    Args:
        costs: of each unit above the truth, and of each below: `OVER,UNDER`.

    Raises:
        ValueError: they are not two numbers of at least 0.
    """

    def __init__(self, costs: str) -> None:
        super().__init__()
        over, comma, under = costs.partition(",")
        self.over, self.under = float(over), float(under)
        if not (comma and 0 <= self.over < math.inf and 0 <= self.under < math.inf):
            raise ValueError("two numbers of at least 0 must follow: OVER,UNDER")
        self.name = f"asymmetric:{costs}"

    def score(self, question: Question, answer: str | None, text: str) -> Score:
        """As `Estimate`, with the cost of the error."""
        found = super().score(question, answer, text)
        number = estimated_number(answer or "", question.text)
        truth = estimated_number(question.reference, question.text)
        if found.abstained or number is None or truth is None:
            return found
        off = float(number - truth)
        return found.model_copy(update={"cost": max(off * self.over, -off * self.under)})

    def errors(self, scores: Sequence[Score]) -> dict[str, float]:
        """`mae`, `rmsle` and `cost`."""
        costs = [score.cost for score in scores if score.cost is not None]
        mean = {"cost": math.fsum(costs) / len(costs)} if costs else {}
        return super().errors(scores) | mean


def _log1p(number: Fraction) -> float:
    return math.log1p(max(float(number), 0.0))


def within(number: Fraction, truth: Fraction, tolerance: str) -> bool:
    """Whether a number is as near to the truth as the tolerance asks.

    Args:
        number: the answer.
        truth: the right one.
        tolerance: a number, `0.01`, or a percentage of the truth, `1%`.
    """
    size, relative = parse_tolerance(tolerance)
    return abs(number - truth) <= size * (abs(truth) if relative else 1)
