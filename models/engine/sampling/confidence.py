"""Confidence of a sample (log-probability, entropy, self-certainty), as running aggregates."""

from __future__ import annotations

import math
from collections import deque

from thinkgraph.models.engine.sampling.distribution import Uncertainty
from thinkgraph.models.model import Confidence

GROUP = 2048  # tokens of a window, as in DeepConf (arXiv 2508.15260)


class TokenConfidence:
    """Aggregates over the tokens of one sample; no array outlives a call."""

    def __init__(self, *, full: bool) -> None:
        self._full = full
        self._count = 0
        self._logprobs = 0.0
        self._least = math.inf
        self._entropy = 0.0
        self._certainty = 0.0
        self._window: deque[float] = deque(maxlen=GROUP)
        self._window_sum = 0.0
        self._lowest = math.inf

    def add(self, logprob: float) -> None:
        """Add a token's log-probability."""
        self._count += 1
        self._logprobs += logprob
        self._least = min(self._least, logprob)

    def add_uncertainty(self, uncertainty: Uncertainty) -> None:
        """Add the uncertainty of the distribution that a token was drawn from."""
        self._entropy += uncertainty.entropy
        self._certainty += uncertainty.self_certainty
        self._slide(uncertainty.confidence)

    def _slide(self, confidence: float) -> None:
        if len(self._window) == GROUP:
            self._window_sum -= self._window[0]
        self._window.append(confidence)
        self._window_sum += confidence
        if len(self._window) == GROUP:
            self._lowest = min(self._lowest, self._window_sum / GROUP)

    def result(self) -> Confidence | None:
        """The aggregates so far, or None before the first token."""
        if not self._count:
            return None
        mean = self._logprobs / self._count
        if not (self._full and self._window):
            return Confidence(mean_logprob=mean, min_logprob=self._least)
        tail = self._window_sum / len(self._window)
        return Confidence(
            mean_logprob=mean,
            min_logprob=self._least,
            entropy=self._entropy / self._count,
            self_certainty=self._certainty / self._count,
            lowest_group=min(self._lowest, tail),
            tail=tail,
        )
