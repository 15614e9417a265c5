"""The paired difference of two strategies on the same questions."""

from __future__ import annotations

from pydantic import Field

from thinkgraph.models.model import Frozen


class ErrorDifference(Frozen):
    """The paired difference in absolute error between one strategy and the baseline."""

    mean: float = Field(
        description="mean difference of the absolute errors; below 0: the strategy is better"
    )
    low: float = Field(
        description="lower end of the 95 % interval from `low` to `high`, by a paired bootstrap"
    )
    high: float
    p: float = Field(description="p-value of the sign-flip test")
    p_adjusted: float = Field(description="p-value corrected for the number of comparisons (Holm)")
    questions: int = Field(
        description="number of questions for which both strategies gave a number"
    )

    @property
    def sure(self) -> bool:
        """Whether the difference is significant after correction, at the 5 % level."""
        return self.p_adjusted < 0.05


class Difference(Frozen):
    """One strategy compared with the baseline, on the questions that both have answered."""

    label: str
    baseline: str
    questions: int = Field(
        0, description="number of questions that both have answered, including failed runs"
    )
    points: float = Field(
        description="difference in `share`, in percentage points; above 0: the strategy is better"
    )
    low: float = Field(
        description="lower end of the 95 % interval from `low` to `high`, by a paired bootstrap"
    )
    high: float
    p: float = Field(description="p-value of the paired test")
    p_adjusted: float = Field(description="p-value corrected for the number of comparisons (Holm)")
    gained: tuple[str, ...] = Field(
        description="ids of the questions on which the strategy scores higher"
    )
    lost: tuple[str, ...] = Field(
        description="ids of the questions on which the baseline scores higher"
    )
    needed: int | None = Field(
        description="number of questions needed to detect a difference as large as the observed "
        "one with 80 % power; None: it is significant already, or no difference was observed"
    )
    error: ErrorDifference | None = Field(
        None, description="difference in absolute error, for metrics of estimates"
    )

    @property
    def sure(self) -> bool:
        """Whether the difference is significant: the family-wise error rate is at most 5 %."""
        return self.p_adjusted < 0.05

    @property
    def better(self) -> bool:
        """Whether the strategy is significantly better than the baseline."""
        return self.sure and self.points > 0

    @property
    def worse(self) -> bool:
        """Whether the strategy is significantly worse than the baseline."""
        return self.sure and self.points < 0
