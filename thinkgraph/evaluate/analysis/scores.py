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
    """A strategy's rows and scores by question id, in the order of the questions."""

    label: str
    rows: dict[str, Row]
    scores: dict[str, Score]

    def shared(self, other: StrategyScores) -> list[str]:
        """The ids of the questions that both strategies have answered."""
        return [question for question in self.scores if question in other.scores]

    def gains(self, other: StrategyScores) -> dict[str, float]:
        """This strategy's score minus the other's, on each question that both have answered."""
        shared = self.shared(other)
        return {each: self.scores[each].value - other.scores[each].value for each in shared}

    @property
    def has_answered(self) -> bool:
        """Whether a run ended without a failure."""
        return any(row.failure is None for row in self.rows.values())

    def tokens(self, questions: Sequence[str]) -> float:
        """Mean number of sampled tokens per question, over the given questions.

        Without failed runs: they don't tell what they cost, and 0 would count in their favour.
        """
        rows = [self.rows[each] for each in questions]
        return mean([row.tokens for row in rows if row.failure is None])


def score_all(comparison: Comparison, metric: Metric) -> list[StrategyScores]:
    """Score every row and return the scores of each strategy, in the comparison's order.

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
    """The mean; 0.0 for an empty sequence."""
    return math.fsum(values) / len(values) if values else 0.0
