"""The judgement of a verifier on a candidate."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from thinkgraph.nodes.population import Candidate, Criticism
from thinkgraph.nodes.step import Step

LONGEST_REASON = 4000
"""Maximum characters of a reason, since it may be part of a prompt."""


@dataclass(frozen=True)
class Judgement:
    """The judgement of a verifier on a candidate.

    Attributes:
        score: higher is better; 1 and 0 for true and false.
        accepted: the verifier's verdict; None if it returned a number.
        reason: the verifier's reason, if it gave one.
    """

    score: float
    accepted: bool | None = None
    reason: str = ""

    @classmethod
    def of(cls, returned: Any) -> Judgement | None:
        """Convert what a verifier returned: a boolean, a number, or a pair of that and a reason.

        None, alone or in the pair, means no judgement.

        Raises:
            TypeError: the verifier returned something else.
            ValueError: the number is not finite.
        """
        if isinstance(returned, cls):
            return returned
        verdict, reason = returned, ""
        if isinstance(returned, tuple) and len(returned) == 2 and isinstance(returned[1], str):
            verdict, reason = returned
        if verdict is None:
            return None
        # Arrays and tensors of one element, and NumPy's numbers, have item().
        verdict = verdict.item() if callable(getattr(verdict, "item", None)) else verdict
        if not isinstance(verdict, int | float):
            what = "a verifier returns a boolean, a number, or a pair of that and a reason"
            raise TypeError(f"{what}, not {returned!r:.80}")
        if not math.isfinite(verdict):
            raise ValueError(f"the score {verdict} is not finite")
        accepted = verdict if isinstance(verdict, bool) else None
        return cls(float(verdict), accepted, reason.strip()[:LONGEST_REASON])

    def criticism(
        self, candidate: Candidate, verifier: str, index: int, least: float, step: Step
    ) -> Criticism:
        """The judgement as a critique; without a verdict it accepts scores from ``least`` on."""
        accepted = self.score >= least if self.accepted is None else self.accepted
        said = "accepts this answer" if accepted else "rejects this answer"
        return Criticism(
            id=step.id(index),
            node=step.node,
            round=step.round,
            candidate=candidate.id,
            text=self.reason or f"The verifier {verifier} {said}.",
            accepted=accepted,
            probability=self.score if 0 <= self.score <= 1 else None,
            seed=0,
            tokens=0,
        )
