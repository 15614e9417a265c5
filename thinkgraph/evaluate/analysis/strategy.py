"""The results of one strategy in a comparison."""

from __future__ import annotations

from pydantic import Field

from thinkgraph.models.model import Frozen


class StrategySummary(Frozen):
    """Accuracy and cost of one strategy."""

    label: str
    questions: int = Field(description="number of questions answered so far, including failed runs")
    right: int | None = Field(
        description="number of right answers; None: the metric has no right and wrong"
    )
    share: float = Field(
        description="share of right answers, 0 to 1; for estimates, share within the tolerance; "
        "the mean score where a metric gives partial scores"
    )
    low: float = Field(
        description="lower end of the 95 % interval of `share`, from `low` to `high`"
    )
    high: float
    abstained: int = Field(
        description="number of runs without an answer that the metric can read, excluding failed "
        "runs; counted as wrong"
    )
    failures: int = Field(description="number of runs that ended with an error; counted as wrong")
    incomplete: int = Field(0, description="number of answers whose run lost a request that failed")
    truncated: float = Field(
        0.0,
        description="share of the texts of the remaining candidates that reached `max_tokens`, 0 "
        "to 1; 0 if the results are kept without candidates",
    )
    tokens: float = Field(
        description="mean number of sampled tokens per question, as if the strategy ran alone; "
        "like all costs, without failed runs, which don't tell theirs"
    )
    prompt_tokens: float = Field(
        description="mean number of prompt tokens per question, counted once per model call"
    )
    calls: float = Field(description="mean number of model calls per question")
    seconds: float = Field(
        description="mean seconds per question: its sampled tokens at the comparison's pace; 0 if "
        "the comparison has computed no token"
    )
    tokens_per_right: float | None = Field(
        description="sampled tokens per right answer; None: no answer was right"
    )
    on_front: bool = Field(
        description="whether the strategy is on the Pareto front: no other is at least as "
        "accurate for no more tokens and better in one of the two"
    )
    errors: dict[str, float] = Field(
        default_factory=dict,
        description="mean errors by name, such as mae and rmsle, for metrics of estimates",
    )
