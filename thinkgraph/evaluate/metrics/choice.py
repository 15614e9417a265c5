"""The metric of multiple choice."""

from __future__ import annotations

from thinkgraph.evaluate.metrics.metric import Metric
from thinkgraph.evaluate.metrics.score import Score
from thinkgraph.evaluate.tasks.option import LETTERS, chosen
from thinkgraph.evaluate.tasks.question import Question


class Choice(Metric):
    """Accepts the letter of the right option, or its words."""

    name = "choice"
    needs = "options, and the letter of one as right answer"

    def fits(self, question: Question) -> bool:
        """Whether the question has options, and its right answer is the letter of one."""
        letters = LETTERS[: len(question.choices)]
        return len(letters) > 1 and len(question.reference) == 1 and question.reference in letters

    def score(self, question: Question, answer: str | None, text: str) -> Score:
        """Score an answer; one that identifies no option is wrong and counts as an abstention."""
        letter = chosen(answer, text, question.choices)
        return Score(value=letter == question.reference, abstained=letter is None)
