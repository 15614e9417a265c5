"""How good a candidate looks, without asking a model again."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Literal

from thinkgraph.nodes.population import Candidate, State

Quality = Literal["logprob", "certainty", "heuristic"]


def logprob(candidate: Candidate, state: State) -> float:
    """The mean log-probability of its tokens, in nats; minus infinity where there is none."""
    return candidate.confidence.mean_logprob if candidate.confidence else -math.inf


def certainty(candidate: Candidate, state: State) -> float:
    """Self-certainty (arXiv 2502.18581): how far each next-token distribution is from uniform."""
    found = candidate.confidence.self_certainty if candidate.confidence else None
    return -math.inf if found is None else found


def heuristic(candidate: Candidate, state: State) -> float:
    """Form alone: an answer was found (1), the text ended by itself (1), and is brief (0 to 1)."""
    brevity = 1 / (1 + candidate.tokens / 500)
    return (candidate.answer is not None) + (candidate.finish_reason == "stop") + brevity


QUALITIES: dict[str, Callable[[Candidate, State], float]] = {
    "logprob": logprob,
    "certainty": certainty,
    "heuristic": heuristic,
}
