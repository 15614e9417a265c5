"""A metric: how an answer is scored against the right one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from thinkgraph.evaluate.metrics.score import Score
from thinkgraph.evaluate.runs.row import Row
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.models.errors import ThinkgraphError


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
    def score(self, question: Question, answer: str | None, text: str) -> Score:
        """Score an answer.

        Args:
            question: with its right answer.
            answer: the comparable answer; None where the strategy came to none.
            text: the whole text that gave it.
        """

    def score_row(self, question: Question, row: Row) -> Score:
        """Score what a strategy made of a question, against each of its references.

        A run that failed is wrong. Of several right answers, the one that fits best counts.
        """
        if row.failure is not None:
            return Score(value=0)
        found = [
            self.score(question.model_copy(update={"reference": each}), row.answer, row.text)
            for each in (question.reference, *question.alternatives)
        ]
        return max(found, key=lambda score: score.value)

    def errors(self, scores: Sequence[Score]) -> dict[str, float]:
        """Further measures of many answers, by name; none but for estimates."""
        return {}
