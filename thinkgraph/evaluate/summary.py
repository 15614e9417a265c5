"""What a comparison comes to: how often each strategy is right, at what cost, and what is sure."""

from __future__ import annotations

from pydantic import Field

from thinkgraph.models.model import Frozen


class Standing(Frozen):
    """How one strategy did."""

    label: str
    questions: int = Field(description="answered so far, failures included")
    right: int | None = Field(description="None where the metric has no right and wrong")
    share: float = Field(description="of right answers, 0 to 1; for estimates, within tolerance")
    low: float = Field(description="of the 95 % interval of `share`")
    high: float
    abstained: int = Field(description="runs without a comparable answer")
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


class Difference(Frozen):
    """One strategy against the baseline, question by question."""

    label: str
    baseline: str
    points: float = Field(description="of share, in percentage points; above 0 is better")
    low: float = Field(description="of the 95 % interval, a paired bootstrap")
    high: float
    p: float = Field(description="of the paired test")
    p_adjusted: float = Field(description="corrected for the number of comparisons (Holm)")
    gained: tuple[str, ...] = Field(description="questions only this one gets right")
    lost: tuple[str, ...] = Field(description="questions only the baseline gets right")
    needed: int | None = Field(description="questions that would tell them apart, at 80 % power")

    @property
    def sure(self) -> bool:
        """Whether a difference is claimed: at most 5 % of such claims are wrong, together."""
        return self.p_adjusted < 0.05


class Summary(Frozen):
    """The standings, in the order asked for, and what can be said of them."""

    standings: tuple[Standing, ...]
    differences: tuple[Difference, ...] = Field(description="of each strategy but the baseline")
    overthought: dict[str, tuple[str, ...]] = Field(
        description="by label: questions right by the direct answer and wrong with more thought"
    )
    equal_budget: tuple[str, ...] = Field(
        description="sentences: for the tokens that one spends, what others would come to"
    )
    sentences: tuple[str, ...] = Field(description="what was found, in plain words")
