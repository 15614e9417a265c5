"""The score of an answer."""

from __future__ import annotations

from pydantic import Field

from thinkgraph.models.model import Frozen


class Score(Frozen):
    """The score of one answer, with its error where it is an estimate."""

    value: float = Field(ge=0, le=1, description="1 is right; own metrics may give part of it")
    abstained: bool = Field(False, description="there was no answer that the metric can read")
    error: float | None = Field(None, description="of an estimate: how far off, in its own unit")
    log_error: float | None = Field(
        None, description="of an estimate: log(1 + estimate) - log(1 + truth)"
    )

    cost: float | None = Field(None, description="of an estimate: what its error costs")

    @property
    def right(self) -> bool:
        """Whether the answer has the full score."""
        return self.value == 1
