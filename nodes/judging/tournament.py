"""A knockout tournament between candidates."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from thinkgraph.nodes.population import Candidate
from thinkgraph.nodes.step import gather

Match = Callable[[Candidate, Candidate], Awaitable[float | None]]
"""The probability that the first of two candidates is better; None if the budget ran out or the
request failed."""


async def knock_out(candidates: Sequence[Candidate], match: Match) -> dict[str, float]:
    """The number of rounds that each candidate survives, by its id; the winner survives most.

    Neighbours play each other, all matches of a round concurrently; a candidate without an opponent
    advances. The tournament ends when a match has no result.
    """
    survived = {candidate.id: 0.0 for candidate in candidates}
    field = list(candidates)
    while len(field) > 1:
        pairs = list(zip(field[::2], field[1::2], strict=False))
        chances = await gather(*(_played(match, first, second) for first, second in pairs))
        if None in chances:
            break
        winners = [
            second if chance is not None and chance < 0.5 else first
            for (first, second), chance in zip(pairs, chances, strict=True)
        ]
        field = [*winners, *field[2 * len(pairs) :]]
        for candidate in field:
            survived[candidate.id] += 1
    return survived


async def _played(match: Match, first: Candidate, second: Candidate) -> float | None:
    return await match(first, second)
