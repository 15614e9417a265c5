"""A knockout tournament: who wins, and what a bye counts."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.nodes.judging.tournament import knock_out
from thinkgraph.nodes.population import Candidate


def field(strengths):
    return [
        Candidate(id=str(n), node="n", round=0, text="", seed=0, tokens=1, finish_reason="stop")
        for n in strengths
    ]


async def stronger(first, second):
    return float(int(first.id) > int(second.id))


@given(st.integers(1, 20).flatmap(lambda n: st.permutations(range(n))))
def test_with_a_transitive_judge_the_best_wins_alone(strengths):
    scores = asyncio.run(knock_out(field(strengths), stronger))
    best = str(max(strengths))
    assert all(scores[best] > score for name, score in scores.items() if name != best)


async def test_a_match_without_a_result_ends_the_tournament():
    async def undecided(first, second):
        return None

    assert await knock_out(field(range(3)), undecided) == {"0": 0, "1": 0, "2": 0}
