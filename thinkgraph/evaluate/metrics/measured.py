"""The metric of numbers with units."""

from __future__ import annotations

import re

from thinkgraph.evaluate.metrics.metric import Metric
from thinkgraph.evaluate.metrics.numeric import within
from thinkgraph.evaluate.metrics.score import Score
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.nodes.answers.extract import Text
from thinkgraph.nodes.answers.value import Quantity, as_number, canonical

_WRITTEN = re.compile(r"[-−]?[$€£]?\d[\d.,/]*\s?[^\W\d_°]*°?[^\W\d_]*(?:/[^\W\d_]+)?")


class Measured(Metric):
    """Right is the right number with a unit of the same kind: 5 km is 5000 m, and not 5 miles.

    A bare number is wrong, unless the question names the unit.
    """

    needs = "a number with a unit as right answer"

    def __init__(self, tolerance: str = "0") -> None:
        self.tolerance = tolerance
        self.name = f"quantity:{tolerance}" if tolerance != "0" else "quantity"

    def fits(self, question: Question) -> bool:
        """Whether the right answer is a number with a unit."""
        return isinstance(canonical(question.reference), Quantity)

    def score(self, question: Question, answer: str | None, text: str) -> Score:
        """An answer without a number is wrong, and an abstention."""
        right, bare = canonical(question.reference), canonical(question.reference, question.text)
        found = self._read(answer, text)
        if found is None or not isinstance(right, Quantity):
            return Score(value=0, abstained=True)
        value = canonical(found)
        truth, number = as_number(right.value), None
        if isinstance(value, Quantity) and value.unit.of_one_kind(right.unit):
            number = as_number(value.value)
            if number is not None and truth is not None:
                number, truth = number * value.unit.factor, truth * right.unit.factor
        elif not isinstance(value, Quantity) and not isinstance(bare, Quantity):
            number, truth = as_number(value), as_number(bare)  # the question names the unit
        if number is None or truth is None:
            return Score(value=0)
        return Score(value=within(number, truth, self.tolerance))

    @staticmethod
    def _read(answer: str | None, text: str) -> str | None:
        """The answer with its unit, which an extractor of numbers leaves in the text."""
        written = [match.strip().rstrip(".,") for match in _WRITTEN.findall(Text()(text) or "")]
        if answer is None:
            return written[-1] if written else None
        if isinstance(canonical(answer), Quantity):
            return answer
        return next((each for each in reversed(written) if each.startswith(answer)), answer)
