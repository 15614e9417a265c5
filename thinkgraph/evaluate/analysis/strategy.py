"""The results of one strategy in a comparison."""

from __future__ import annotations

from pydantic import Field

from thinkgraph.models.model import Frozen


class StrategySummary(Frozen):
    """Accuracy and cost of one strategy."""

    label: str
    questions: int = Field(description="answered so far, failures included")
    right: int | None = Field(description="None where the metric has no right and wrong")
    share: float = Field(
        description="of right answers, 0 to 1; for estimates, of those within the tolerance; the "
        "mean score where a metric gives parts of one"
    )
    low: float = Field(description="of the 95 % interval of `share`")
    high: float
    abstained: int = Field(
        description="runs without an answer that the metric can read, failures apart; wrong, too"
    )
    failures: int = Field(description="runs that ended with an error; counted as wrong")
    tokens: float = Field(description="sampled a question, as if it ran alone")
    prompt_tokens: float = Field(description="asked for a question")
    calls: float = Field(description="model calls a question")
    seconds: float = Field(description="a question: its tokens at the comparison's pace")
    tokens_per_right: float | None = Field(description="None if it was never right")
    on_front: bool = Field(description="no other is at least as right for fewer tokens")
    errors: dict[str, float] = Field(
        default_factory=dict, description="mae, rmsle and the like, for metrics of estimates"
    )
