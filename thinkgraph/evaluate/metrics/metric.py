"""The interface of metrics, which score an answer against the right one."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from thinkgraph.evaluate.metrics.score import Score
from thinkgraph.evaluate.runs.row import Row
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.models.errors import ThinkgraphError


class MetricError(ThinkgraphError):
    """A metric doesn't exist, has an invalid setting, fails, or doesn't fit the questions."""


class Metric(ABC):
    """Judges answers, one at a time. Stateless."""

    needs: str = "a right answer"
    """What the metric requires of a question's reference, for error messages."""

    name: str
    """The name by which `find_metric` finds it again: `numeric:1%`."""
    claim: str = "right"
    """The word for an answer with the full score, in sentences."""
    estimates: bool = False
    """Whether answers are estimates, more or less near, rather than right or wrong."""

    def fits(self, question: Question) -> bool:
        """Whether the metric can judge a question; `needs` says what it requires."""
        return True

    def check(self, questions: Sequence[Question]) -> None:
        """Check before a run that the metric can judge all questions.

        Raises:
            MetricError: it can't; the message names the first such question.
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
            question: the question with its right answer.
            answer: the extracted answer; None if the strategy gave none.
            text: the whole text of the answer.
        """

    def score_row(self, question: Question, row: Row) -> Score:
        """Score a strategy's row against each reference of its question; the best score counts.

        A failed run is wrong.
        """
        if row.failure is not None:
            return Score(value=0)
        found = [
            self.score(question.model_copy(update={"reference": each}), row.answer, row.text)
            for each in (question.reference, *question.alternatives)
        ]
        return max(found, key=lambda score: score.value)

    def errors(self, scores: Sequence[Score]) -> dict[str, float]:
        """Aggregate errors of many answers, by name; empty except for estimates."""
        return {}
