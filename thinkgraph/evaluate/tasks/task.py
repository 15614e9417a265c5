"""A task: questions with their right answers, under a name."""

from __future__ import annotations

from pydantic import Field

from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.models.model import Frozen


class Task(Frozen):
    """A named set of questions, with the metric that fits them."""

    name: str
    questions: tuple[Question, ...]
    metric: str = Field(
        "exact", description="metric that fits the questions, used unless another is chosen"
    )
    notes: tuple[str, ...] = Field((), description="notes on how the data was read")
