"""The paired difference of two strategies on the same questions."""

from __future__ import annotations

from pydantic import Field

from thinkgraph.models.model import Frozen


class ErrorDifference(Frozen):
    """The paired difference in absolute error between one strategy and the baseline."""

    mean: float = Field(description="of the absolute errors' differences; below 0 is better")
    low: float = Field(description="of the 95 % interval, a paired bootstrap")
    high: float
    p: float = Field(description="of the sign-flip test")
    p_adjusted: float = Field(description="corrected for the number of comparisons (Holm)")
    questions: int = Field(description="that both gave a number for")

    @property
    def sure(self) -> bool:
        """Whether the difference is significant after correction, at the 5 % level."""
        return self.p_adjusted < 0.05


class Difference(Frozen):
    """One strategy compared with the baseline, on the questions that both have answered."""

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
        """Whether the difference is significant: the family-wise error rate is at most 5 %."""
        return self.p_adjusted < 0.05
