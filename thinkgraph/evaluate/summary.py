"""What a comparison comes to: how often each strategy is right, at what cost, and what is sure."""

from __future__ import annotations

from pydantic import Field

from thinkgraph.models.model import Frozen


class Standing(Frozen):
    """How one strategy did."""

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


class ErrorDifference(Frozen):
    """How much farther off one strategy's estimates are than the baseline's."""

    mean: float = Field(description="of the absolute errors' differences; below 0 is better")
    low: float = Field(description="of the 95 % interval, a paired bootstrap")
    high: float
    p: float = Field(description="of the sign-flip test")
    p_adjusted: float = Field(description="corrected for the number of comparisons (Holm)")
    questions: int = Field(description="that both gave a number for")

    @property
    def sure(self) -> bool:
        """Whether a difference is claimed."""
        return self.p_adjusted < 0.05


class Difference(Frozen):
    """One strategy against the baseline, on the questions that both have answered."""

    label: str
    baseline: str
    questions: int = Field(0, description="that both have answered, failures included")
    points: float = Field(description="of share, in percentage points; above 0 is better")
    low: float = Field(description="of the 95 % interval, a paired bootstrap")
    high: float
    p: float = Field(description="of the paired test")
    p_adjusted: float = Field(description="corrected for the number of comparisons (Holm)")
    gained: tuple[str, ...] = Field(description="questions on which this one scores higher")
    lost: tuple[str, ...] = Field(description="questions on which the baseline does")
    needed: int | None = Field(
        description="questions that would tell them apart, at 80 % power, if the difference is "
        "what it seems; None if it is told already, or none was seen"
    )
    error: ErrorDifference | None = Field(None, description="for metrics of estimates")

    @property
    def sure(self) -> bool:
        """Whether a difference is claimed: at most 5 % of such claims are wrong, together."""
        return self.p_adjusted < 0.05


class Summary(Frozen):
    """The standings, in the order asked for, and what can be said of them."""

    standings: tuple[Standing, ...]
    differences: tuple[Difference, ...] = Field(description="of each strategy but the baseline")
    overthought: dict[str, tuple[str, ...]] = Field(
        description="by label: questions on which more thought does worse than the direct answer; "
        "chance alone finds some"
    )
    overthinking: tuple[str, ...] = Field(
        (), description="labels that lose more by thought than they gain, beyond chance"
    )
    equal_budget: tuple[str, ...] = Field(
        description="sentences: for no more tokens than one spends, what another came to"
    )
    sentences: tuple[str, ...] = Field(description="what was found, in plain words")
