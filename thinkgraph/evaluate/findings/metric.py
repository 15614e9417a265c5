"""Metrics: what counts as a good answer.

Built in are `exact`, `numeric:TOLERANCE`, `choice`, `estimate:TOLERANCE` and `reasoning-gym`.
A package adds its own under the entry point group `thinkgraph.metrics`: a callable
`(answer: str, reference: str, question: Question)` that returns a bool, or a score from 0 to 1.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from fractions import Fraction
from importlib.metadata import EntryPoint, entry_points

from thinkgraph.evaluate.findings.mark import Mark
from thinkgraph.evaluate.findings.number import estimated_number, exact_number
from thinkgraph.evaluate.runs.row import Row
from thinkgraph.evaluate.tasks.gym import PREFIX as GYM
from thinkgraph.evaluate.tasks.gym import gym_score
from thinkgraph.evaluate.tasks.option import LETTERS, chosen
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.graphs.language.problem import suggestion
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.nodes.answers import equal
from thinkgraph.nodes.answers.equal import parse_tolerance

GROUP = "thinkgraph.metrics"
"""The entry point group of metrics from other packages."""

Judge = Callable[[str, str, Question], bool | float]
"""A metric of one's own: `(answer, reference, question)` to right or wrong, or 0 to 1."""


class MetricError(ThinkgraphError):
    """A metric doesn't exist, can't be made of its text, or doesn't fit the questions."""


class Metric(ABC):
    """Judges answers, one at a time. Stateless."""

    needs: str = "a right answer"
    """What a question's reference must be, where not every text will do."""

    name: str
    """What `find_metric` reads back: `numeric:1%`."""
    claim: str = "right"
    """What an answer with the full score is, in a sentence."""
    estimates: bool = False
    """Whether answers are near or far rather than right or wrong."""

    def fits(self, question: Question) -> bool:
        """Whether a question can be judged; what it needs says `needs`."""
        return True

    def check(self, questions: Sequence[Question]) -> None:
        """Refuse questions that can't be judged, before anything is run.

        Raises:
            MetricError: names the first of them.
        """
        unfit = [question for question in questions if not self.fits(question)]
        if unfit:
            raise MetricError(
                f"the metric {self.name} needs {self.needs}, and {len(unfit)} of {len(questions)} "
                f"questions have none: the first is {unfit[0].id!r}, with the right answer "
                f"{unfit[0].reference[:60]!r}; take another metric, such as exact, or mend the data"
            )

    @abstractmethod
    def judge(self, question: Question, answer: str | None, text: str) -> Mark:
        """Judge an answer.

        Args:
            question: with its right answer.
            answer: the comparable answer; None where the strategy came to none.
            text: the whole text that gave it.
        """

    def mark(self, question: Question, row: Row) -> Mark:
        """Judge what a strategy made of a question; a run that failed is wrong."""
        if row.failure is not None:
            return Mark(score=0)
        return self.judge(question, row.answer, row.text)

    def errors(self, marks: Sequence[Mark]) -> dict[str, float]:
        """Further measures of many answers, by name; none but for estimates."""
        return {}


class Exact(Metric):
    """Right is what equals the right answer by value: 0.5 and 1/2 are one answer."""

    name = "exact"

    def judge(self, question: Question, answer: str | None, text: str) -> Mark:
        """No answer is wrong, and an abstention."""
        if answer is None:
            return Mark(score=0, abstained=True)
        return Mark(score=equal(answer, question.reference, question.text))


class Numeric(Metric):
    """Right is a number that differs from the right one by the tolerance at most."""

    needs = "a number as right answer"

    def __init__(self, tolerance: str = "0") -> None:
        self.tolerance = tolerance
        self.name = f"numeric:{tolerance}" if tolerance != "0" else "numeric"

    def fits(self, question: Question) -> bool:
        """Whether the right answer is a number."""
        return exact_number(question.reference, question.text) is not None

    def judge(self, question: Question, answer: str | None, text: str) -> Mark:
        """An answer that is no number is wrong, and an abstention."""
        number = exact_number(answer or "", question.text)
        truth = exact_number(question.reference, question.text)
        if number is None or truth is None:
            return Mark(score=0, abstained=True)
        return Mark(score=within(number, truth, self.tolerance))


class Choice(Metric):
    """Right is the letter of the right option, or its words."""

    name = "choice"
    needs = "options, and the letter of one as right answer"

    def fits(self, question: Question) -> bool:
        """Whether there are options, and the right answer is the letter of one."""
        letters = LETTERS[: len(question.choices)]
        return len(letters) > 1 and len(question.reference) == 1 and question.reference in letters

    def judge(self, question: Question, answer: str | None, text: str) -> Mark:
        """An answer in which no option can be made out is wrong, and an abstention."""
        letter = chosen(answer, text, question.choices)
        return Mark(score=letter == question.reference, abstained=letter is None)


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

    def judge(self, question: Question, answer: str | None, text: str) -> Mark:
        """An answer that is no number is not within the tolerance, and an abstention."""
        number = estimated_number(answer or "", question.text)
        truth = estimated_number(question.reference, question.text)
        if number is None or truth is None:
            return Mark(score=0, abstained=True)
        return Mark(
            score=within(number, truth, self.tolerance),
            error=float(abs(number - truth)),
            log_error=_log1p(number) - _log1p(truth) if truth >= 0 else None,
        )

    def errors(self, marks: Sequence[Mark]) -> dict[str, float]:
        """`mae` and `rmsle`, each only if there is something to average."""
        errors = [mark.error for mark in marks if mark.error is not None]
        logs = [mark.log_error for mark in marks if mark.log_error is not None]
        found = {}
        if errors:
            found["mae"] = math.fsum(errors) / len(errors)
        if logs:
            found["rmsle"] = math.sqrt(math.fsum(each * each for each in logs) / len(logs))
        return found


class Own(Metric):
    """A metric that somebody else wrote."""

    def __init__(self, name: str, by: Judge) -> None:
        self.name, self._by = name, by

    def judge(self, question: Question, answer: str | None, text: str) -> Mark:
        """No answer has the score 0, and is an abstention; the callable isn't asked.

        Raises:
            MetricError: the callable failed, or its score is none.
        """
        if answer is None:
            return Mark(score=0, abstained=True)
        try:
            score = float(self._by(answer, question.reference, question))
        except ThinkgraphError:
            raise
        except Exception as error:
            raise MetricError(
                f"the metric {self.name} failed on question {question.id!r}: "
                f"{type(error).__name__}: {error}"
            ) from error
        if not 0 <= score <= 1:
            raise MetricError(
                f"the metric {self.name} gave {score} for question {question.id!r}: a score is "
                "a bool, or a number from 0 to 1"
            )
        return Mark(score=score)


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


_TOLERANT: dict[str, Callable[[str], Metric]] = {"numeric": Numeric, "estimate": Estimate}
_PLAIN: dict[str, Callable[[], Metric]] = {
    "exact": Exact,
    "choice": Choice,
    "numeric": Numeric,
    "estimate": Estimate,
    GYM: lambda: Own(GYM, gym_score),
}


def find_metric(text: str) -> Metric:
    """The metric that a text names: `exact`, `numeric:1%`, or one of another package.

    Args:
        text: a name, and after a colon the tolerance, where the metric has one: a number, or a
            percentage of the right answer. `numeric` alone allows none, `estimate` alone 20 %.

    Raises:
        MetricError: no metric has that name (the message has the nearest), the tolerance is no
            tolerance, or a package's metric can't be loaded.
    """
    name, colon, tolerance = (part.strip() for part in text.partition(":"))
    others = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name not in _PLAIN and name not in others:
        hint = suggestion(name, {*_PLAIN, *others}) or "give one of those"
        raise MetricError(f"there is no metric {name!r}; {hint}")
    if colon and name not in _TOLERANT:
        raise MetricError(f"the metric {name} takes nothing after a colon, and has {tolerance!r}")
    if colon:
        return _TOLERANT[name](_checked(name, tolerance))
    return _PLAIN[name]() if name in _PLAIN else _loaded(others[name])


def _checked(name: str, tolerance: str) -> str:
    try:
        parse_tolerance(tolerance)
    except ValueError as error:
        raise MetricError(f"{name}: {error}") from None
    if not tolerance:
        raise MetricError(f"{name}: a tolerance must follow the colon, such as {name}:1%")
    return tolerance.replace(" ", "")


def _loaded(entry: EntryPoint) -> Metric:
    try:
        judge = entry.load()
    except Exception as error:
        raise MetricError(
            f"the metric {entry.name} of {entry.value} can't be loaded: "
            f"{type(error).__name__}: {error}"
        ) from error
    if not callable(judge):
        raise MetricError(
            f"the metric {entry.name} of {entry.value} is {type(judge).__name__}: it must be "
            "callable, as (answer, reference, question)"
        )
    return Own(entry.name, judge)
