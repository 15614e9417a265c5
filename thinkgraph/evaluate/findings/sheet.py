"""All that one strategy did, question by question, with its marks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from thinkgraph.evaluate.findings.mark import Mark
from thinkgraph.evaluate.findings.metric import Metric
from thinkgraph.evaluate.runs.comparison import Comparison
from thinkgraph.evaluate.runs.row import Row


class Sheet(NamedTuple):
    """A strategy's rows and marks, by the question's id, in the questions' order."""

    label: str
    rows: dict[str, Row]
    marks: dict[str, Mark]

    def shared(self, other: Sheet) -> list[str]:
        """The questions that both have answered."""
        return [question for question in self.marks if question in other.marks]

    def gains(self, other: Sheet) -> dict[str, float]:
        """This one's score less the other's, on each question that both have answered."""
        shared = self.shared(other)
        return {each: self.marks[each].score - other.marks[each].score for each in shared}

    def tokens(self, questions: Sequence[str]) -> float:
        """Sampled tokens a question, on some of them."""
        return mean([self.rows[each].tokens for each in questions])


def mark_all(comparison: Comparison, metric: Metric) -> list[Sheet]:
    """Judge every row; a sheet a strategy, in the comparison's order.

    Raises:
        MetricError: a metric from another package failed.
    """
    rows = {(row.strategy, row.question): row for row in comparison.rows}
    sheets = []
    for variant in comparison.variants:
        known = {each.id: rows.get((variant.label, each.id)) for each in comparison.questions}
        own = {id: row for id, row in known.items() if row is not None}
        marks = {
            each.id: metric.mark(each, own[each.id])
            for each in comparison.questions
            if each.id in own
        }
        sheets.append(Sheet(variant.label, own, marks))
    return sheets


def mean(values: Sequence[float]) -> float:
    """The mean; 0.0 of nothing."""
    return math.fsum(values) / len(values) if values else 0.0
