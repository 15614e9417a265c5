"""Metrics of numbers: equality within a tolerance, and errors of estimates."""

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
    """Accepts a number that differs from the right one by at most the tolerance."""

    needs = "a number as right answer"

    def __init__(self, tolerance: str = "0") -> None:
        self.tolerance = tolerance
        self.name = f"numeric:{tolerance}" if tolerance != "0" else "numeric"

    def fits(self, question: Question) -> bool:
        """Whether the right answer is a number."""
        return exact_number(question.reference, question.text) is not None

    def score(self, question: Question, answer: str | None, text: str) -> Score:
        """Score an answer; one that is no number is wrong and counts as an abstention."""
        number = exact_number(answer or "", question.text)
        truth = exact_number(question.reference, question.text)
        if number is None or truth is None:
            return Score(value=0, abstained=True)
        return Score(value=within(number, truth, self.tolerance))


class Estimate(Metric):
    """For estimates of numbers, such as prices: how many are near the truth, and their errors.

    The score is 1 if the estimate lies within the tolerance of the truth, so the share is that of
    sufficiently good estimates. `errors` has `mae`, the mean absolute error in the unit of the
    data, and `rmsle`, the root mean squared difference of log(1 + x), which weighs relative
    errors equally at every size. For `rmsle`, an estimate below 0 counts as 0, and questions with
    a truth below 0 are left out.

    An abstention is not within the tolerance, so it lowers the share as much as a bad estimate.
    It has no error and is excluded from `mae` and `rmsle`, since any number in its place would be
    arbitrary. Read these two together with the number of abstentions: a strategy that abstains
    on hard questions has smaller errors. The errors of two strategies are compared only on the
    questions that both gave a number for.
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
        """Score an answer; one that is no number gets 0 and counts as an abstention."""
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
        """`mae` and `rmsle`, each only if there are values to average."""
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

    For example, a price that is too high costs a seller half of the difference in lost sales, and
    one that is too low all of it: `asymmetric:0.5,1`. `errors` also has the mean `cost`.

    Args:
        costs: the cost per unit above the truth, and per unit below it: `OVER,UNDER`.

    Raises:
        ValueError: the costs are not two numbers of at least 0.
    """

    def __init__(self, costs: str) -> None:
        super().__init__()
        over, comma, under = costs.partition(",")
        self.over, self.under = float(over), float(under)
        if not (comma and 0 <= self.over < math.inf and 0 <= self.under < math.inf):
            raise ValueError("two numbers of at least 0 must follow: OVER,UNDER")
        self.name = f"asymmetric:{costs}"

    def score(self, question: Question, answer: str | None, text: str) -> Score:
        """Score as `Estimate` does, and add the cost of the error."""
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
    """Whether a number is within the tolerance of the truth.

    Args:
        number: the answer.
        truth: the right answer.
        tolerance: a number, `0.01`, or a percentage of the truth, `1%`.
    """
    size, relative = parse_tolerance(tolerance)
    return abs(number - truth) <= size * (abs(truth) if relative else 1)
