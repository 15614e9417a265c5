"""Quality signals of a candidate, computed without a model call; higher is better."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from thinkgraph.nodes.answers import tally
from thinkgraph.nodes.population import Candidate, State

OF_ENTROPIES = frozenset({"certainty", "tail", "lowest_group"})
"""Measures that are computed only with the setting ``confidence`` of :class:`Sampling`."""

Quality = Literal[
    "logprob", "certainty", "tail", "lowest_group", "heuristic", "verdict", "agreement", "score"
]


def logprob(candidate: Candidate, state: State) -> float:
    """The mean log-probability of the candidate's tokens, in nats."""
    return candidate.confidence.mean_logprob if candidate.confidence else -math.inf


def certainty(candidate: Candidate, state: State) -> float:
    """Self-certainty (arXiv 2502.18581): how far each next-token distribution is from uniform."""
    return _known(candidate.confidence.self_certainty if candidate.confidence else None)


def tail(candidate: Candidate, state: State) -> float:
    """DeepConf's tail confidence: that of the end of the text (arXiv 2508.15260)."""
    return _known(candidate.confidence.tail if candidate.confidence else None)


def lowest_group(candidate: Candidate, state: State) -> float:
    """DeepConf's lowest group confidence: that of the least confident window (arXiv 2508.15260)."""
    return _known(candidate.confidence.lowest_group if candidate.confidence else None)


def heuristic(candidate: Candidate, state: State) -> float:
    """Score of the form: an answer was found (1), the text ended by itself (1), brevity (0 to 1).

    Follows the heuristic score of "Build a Reasoning Model (From Scratch)", chapter 5.
    """
    brevity = 1 / (1 + candidate.tokens / 500)
    return (candidate.answer is not None) + (candidate.finish_reason == "stop") + brevity


def verdict(candidate: Candidate, state: State) -> float:
    """The mean probability with which the critics accept the candidate."""
    found = state.critiques_of(candidate)
    given = [float(c.accepted) if c.probability is None else c.probability for c in found]
    return math.fsum(given) / len(given) if given else -math.inf


def agreement(candidate: Candidate, state: State) -> float:
    """The share of the live candidates that give the same answer."""
    if candidate.answer is None:
        return 0.0
    # Tally the whole population, so that answers are compared by value.
    live = state.live
    votes = tally([c.answer for c in live], question=state.question)
    ids = [c.id for c in live]
    mine = ids.index(candidate.id) if candidate.id in ids else -1
    return next((found.votes / len(live) for found in votes.classes if mine in found.members), 0.0)


def score(candidate: Candidate, state: State) -> float:
    """The score from the last score node."""
    return _known(candidate.score)


def _known(value: float | None) -> float:
    return -math.inf if value is None else value


QUALITIES: dict[str, Callable[[Candidate, State], float]] = {
    "logprob": logprob,
    "certainty": certainty,
    "tail": tail,
    "lowest_group": lowest_group,
    "heuristic": heuristic,
    "verdict": verdict,
    "agreement": agreement,
    "score": score,
}
"""Measures by name; each returns minus infinity for a candidate that lacks the measured value."""


def unknown(
    by: str, candidates: Sequence[Candidate], state: State, params: Mapping[str, object]
) -> list[str]:
    """A failure message if a measure is unknown for all candidates; empty otherwise.

    A model may give no log-probabilities, for example; then the first candidate would always win.

    Args:
        by: name of the measure.
        candidates: the candidates to compare.
        state: the population.
        params: params of the graph; the message names the one that chose the measure.
    """
    written = [candidate for candidate in candidates if candidate.text]
    if not written or any(math.isfinite(QUALITIES[by](each, state)) for each in written):
        return []
    setting = next((name for name, value in params.items() if value == by), None)
    way_out = f"; set `{setting}: heuristic`, which needs none" if setting else ""
    return [f"no {by} is known of any candidate{way_out}"]
