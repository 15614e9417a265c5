"""The score of an answer."""

from __future__ import annotations

from pydantic import Field

from thinkgraph.models.model import Frozen


class Score(Frozen):
    """The score of one answer, with its error where it is an estimate."""

    value: float = Field(
        ge=0,
        le=1,
        description="score from 0 (wrong) to 1 (right); custom metrics may give partial scores",
    )
    abstained: bool = Field(
        False, description="whether there is no answer that the metric can read"
    )
    error: float | None = Field(None, description="for an estimate: absolute error, in its unit")
    log_error: float | None = Field(
        None, description="for an estimate: log(1 + estimate) - log(1 + truth)"
    )

    cost: float | None = Field(None, description="for an estimate: cost of its error")

    @property
    def right(self) -> bool:
        """Whether the answer has the full score."""
        return self.value == 1
