"""Drawing from one row of logits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkgraph.models.engine.sampling.distribution import Distribution
from thinkgraph.models.engine.sampling.sampler import Candidates, Sampler
from thinkgraph.models.model import Sampling

DRAWS = 20


def draws(vocabulary, sampling, rows):
    sampler = Sampler(vocabulary, sampling, 1, None, Candidates(vocabulary.size))
    try:
        return [sampler.draw(Distribution(row)) for row in rows]
    finally:
        sampler.close()


@settings(deadline=None, max_examples=50)
@given(
    seed=st.integers(0, 2**32 - 1),
    peak=st.floats(0.01, 100),
    temperature=st.sampled_from([0, 0.3, 1, 3]),
    top_k=st.integers(1, 200),
    banned=st.integers(0, 50),
)
def test_looking_at_the_likeliest_draws_as_from_all(
    smollm2, seed, peak, temperature, top_k, banned
):
    vocabulary, dice = smollm2.engine.vocabulary, np.random.default_rng(seed)
    rows = (peak * dice.standard_normal((DRAWS, vocabulary.size))).astype(np.float32)
    bias = dict.fromkeys(map(int, np.argsort(-rows[0])[:banned]), -1e9)
    few = Sampling(temperature=temperature, top_k=top_k, logit_bias=bias)
    # A token that is lifted, though by nothing that could be seen, makes it look at all.
    every = few.model_copy(update={"logit_bias": {int(rows[0].argmin()): 1e-30, **bias}})
    assert draws(vocabulary, few, rows) == draws(vocabulary, every, rows)


@pytest.mark.parametrize("penalty", ["repeat_penalty", "frequency_penalty", "presence_penalty"])
def test_a_penalty_can_reach_beyond_the_likeliest(smollm2, penalty):
    row = np.zeros(smollm2.engine.vocabulary.size, np.float32)
    row[:4] = 9, 8, 7, 6
    sampling = Sampling(temperature=0, **{penalty: 8})
    drawn = draws(smollm2.engine.vocabulary, sampling, [row] * 4)
    assert sorted(drawn) == [0, 1, 2, 3]
