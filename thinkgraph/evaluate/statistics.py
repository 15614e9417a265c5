"""How far a measured share can be trusted."""

from __future__ import annotations

import math
from statistics import NormalDist


def wilson(right: int, of: int, level: float = 0.95) -> tuple[float, float]:
    """The Wilson score interval of a share (Wilson 1927), as two shares from 0 to 1.

    Raises:
        ValueError: nothing was measured.
    """
    if of < 1:
        raise ValueError("an interval needs at least one measurement")
    z = NormalDist().inv_cdf((1 + level) / 2)
    share, denominator = right / of, 1 + z * z / of
    centre = (share + z * z / (2 * of)) / denominator
    half = z / denominator * math.sqrt(share * (1 - share) / of + z * z / (4 * of * of))
    return max(0.0, min(share, centre - half)), min(1.0, max(share, centre + half))
