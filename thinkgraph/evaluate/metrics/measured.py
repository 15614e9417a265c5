"""The metric of numbers with units."""

from __future__ import annotations

import re

from thinkgraph.evaluate.metrics.metric import Metric
from thinkgraph.evaluate.metrics.numeric import within
from thinkgraph.evaluate.metrics.score import Score
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.nodes.answers.extract import LastNumber, Text
from thinkgraph.nodes.answers.value import Quantity, as_number, canonical

_UPRIGHT = re.compile(r"\\(?:text|textrm|mathrm|mbox|operatorname)\s?\{([^{}]*)\}")
_SPACING = re.compile(r"\\[,;:! )\]]|[~$*]")
_END = re.compile(r"[.,;:!?)](?:\s|$)")
_MOST_WORDS = 4  # of a unit: miles per square hour


class Measured(Metric):
    """Accepts the right number with a unit of the same kind: 5 km equals 5000 m, not 5 miles.

    A bare number is wrong unless the question names the unit.
    """

    needs = "a number with a unit as right answer"

    def __init__(self, tolerance: str = "0") -> None:
        self.tolerance = tolerance
        self.name = f"quantity:{tolerance}" if tolerance != "0" else "quantity"

    def fits(self, question: Question) -> bool:
        """Whether the right answer is a number with a unit."""
        return isinstance(canonical(question.reference), Quantity)

    def score(self, question: Question, answer: str | None, text: str) -> Score:
        """Score an answer; one without a number is wrong and counts as an abstention."""
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
        """The answer with its unit, taken from the text if the answer is a bare number or None."""
        if answer is not None and isinstance(canonical(answer), Quantity):
            return answer
        said = Text()(text) or ""
        number = LastNumber().find(said) if answer is None else answer
        if not number:
            return None
        places = [*re.finditer(rf"(?<![\d.,]){re.escape(number)}(?!\d)", said)]
        return f"{number} {_unit(number, said[places[-1].end() :])}".strip() if places else number


def _unit(number: str, after: str) -> str:
    """The words after a number that are its unit: `km per hour`; of others, the first: `apples`."""
    line = _SPACING.sub(" ", _UPRIGHT.sub(r" \1 ", after).partition("\n")[0])
    words = _END.split(line, maxsplit=1)[0].split()[:_MOST_WORDS]
    for count in range(len(words), 0, -1):
        value = canonical(f"{number} {' '.join(words[:count])}")
        if isinstance(value, Quantity) and value.unit.dimension and not value.unit.nouns:
            return " ".join(words[:count])
    return " ".join(words[:1])
