"""The scores of one strategy, question by question."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from thinkgraph.evaluate.metrics.metric import Metric
from thinkgraph.evaluate.metrics.score import Score
from thinkgraph.evaluate.runs.comparison import Comparison
from thinkgraph.evaluate.runs.row import Row


class StrategyScores(NamedTuple):
    """A strategy's rows and scores, by the question's id, in the questions' order."""

    label: str
    rows: dict[str, Row]
    scores: dict[str, Score]

    def shared(self, other: StrategyScores) -> list[str]:
        """The questions that both have answered."""
        return [question for question in self.scores if question in other.scores]

    def gains(self, other: StrategyScores) -> dict[str, float]:
        """This one's score less the other's, on each question that both have answered."""
        shared = self.shared(other)
        return {each: self.scores[each].value - other.scores[each].value for each in shared}

    def tokens(self, questions: Sequence[str]) -> float:
        """Sampled tokens a question, on some of them."""
        return mean([self.rows[each].tokens for each in questions])


def score_all(comparison: Comparison, metric: Metric) -> list[StrategyScores]:
    """Score every row: the scores of each strategy, in the comparison's order.

    Raises:
        MetricError: a metric from another package failed.
    """
    rows = {(row.strategy, row.question): row for row in comparison.rows}
    results = []
    for variant in comparison.variants:
        known = {each.id: rows.get((variant.label, each.id)) for each in comparison.questions}
        own = {id: row for id, row in known.items() if row is not None}
        scores = {
            each.id: metric.score_row(each, own[each.id])
            for each in comparison.questions
            if each.id in own
        }
        results.append(StrategyScores(variant.label, own, scores))
    return results


def mean(values: Sequence[float]) -> float:
    """The mean; 0.0 of nothing."""
    return math.fsum(values) / len(values) if values else 0.0
