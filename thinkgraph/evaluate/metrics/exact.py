"""Exact match, by value."""

from __future__ import annotations

from thinkgraph.evaluate.metrics.metric import Metric
from thinkgraph.evaluate.metrics.score import Score
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.nodes.answers import equal


class Exact(Metric):
    """Accepts an answer that equals the right one by value: 0.5 and 1/2 are the same answer."""

    name = "exact"

    def score(self, question: Question, answer: str | None, text: str) -> Score:
        """Score an answer; None is wrong and counts as an abstention."""
        if answer is None:
            return Score(value=0, abstained=True)
        return Score(value=equal(answer, question.reference, question.text))
