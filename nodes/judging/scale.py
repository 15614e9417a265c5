"""A scale of integers, such as 1 to 10, on which a judge rates a candidate."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

MOST_SCORES = 101
"""Maximum number of scores of a scale: 0 to 100."""
_NUMBER = r"-?\d+(?:\.\d+)?"
_AFTER_WORD = re.compile(rf"\b(?:score|rating)\b[^\w\n-]*(?:is|of)?[^\w\n-]*({_NUMBER})", re.I)
_ANYWHERE = re.compile(rf"(?<![\w./-])({_NUMBER})(?:\s*(?:/|out of)\s*\d+)?(?![\w%])")


@dataclass(frozen=True)
class Scale:
    """The integers from the worst score to the best.

    Attributes:
        low: the worst.
        high: the best.
    """

    low: int
    high: int

    def __post_init__(self) -> None:
        if not 0 < self.high - self.low < MOST_SCORES:
            raise ValueError(
                f"a scale goes from a lower to a higher integer and has at most {MOST_SCORES} "
                f"scores; [{self.low}, {self.high}] does not"
            )

    @property
    def scores(self) -> range:
        """Every score, the worst first."""
        return range(self.low, self.high + 1)

    @property
    def middle(self) -> float:
        """The middle of the scale; 5.5 for 1 to 10."""
        return (self.low + self.high) / 2

    def expected(self, probabilities: Sequence[float]) -> float:
        """The expected score: Σ p(s) · s over the scores, the scoring function of G-Eval
        (arXiv 2303.16634).

        Args:
            probabilities: one for each of the scores, summing to one.
        """
        pairs = zip(probabilities, self.scores, strict=True)
        return math.fsum(probability * score for probability, score in pairs)

    def written(self, text: str) -> float | None:
        """The score that a text states, or None if it states none on the scale.

        It is the number after the last "Score:" or "Rating:", else the last number of the text; in
        "8/10" and "8 out of 10" it is the 8.
        """
        for pattern in (_AFTER_WORD, _ANYWHERE):
            found = [float(number) for number in pattern.findall(text)]
            if found:
                return found[-1] if self.low <= found[-1] <= self.high else None
        return None
