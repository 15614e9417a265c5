"""Drawing from one row of logits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkgraph.models.engine.llama.library import llama
from thinkgraph.models.engine.sampling.distribution import Distribution
from thinkgraph.models.engine.sampling.sampler import Candidates, Sampler
from thinkgraph.models.model import Sampling

DRAWS = 20


def draws(vocabulary, sampling, rows):
    candidates = Candidates(vocabulary.size)
    sampler = Sampler(vocabulary, sampling, 1, None)
    try:
        return [sampler.draw(Distribution(row), candidates) for row in rows]
    finally:
        sampler.close()


def reference(vocabulary, sampling, rows):
    """The same draws by llama.cpp's samplers alone, over the whole vocabulary."""
    s, chain = sampling, llama.llama_sampler_chain_init(llama.llama_sampler_chain_default_params())
    bias = [llama.llama_logit_bias(*pair) for pair in s.logit_bias.items()]
    pairs = (llama.llama_logit_bias * len(bias))(*bias)
    penalties = (s.repeat_penalty, s.frequency_penalty, s.presence_penalty)
    samplers = [
        llama.llama_sampler_init_logit_bias(vocabulary.size, len(bias), pairs),
        llama.llama_sampler_init_penalties(vocabulary.size, s.penalty_last_n, *penalties),
    ]
    if s.temperature == 0:
        samplers.append(llama.llama_sampler_init_greedy())
    else:
        samplers += [
            llama.llama_sampler_init_top_k(s.top_k),
            llama.llama_sampler_init_typical(s.typical_p, 1),
            llama.llama_sampler_init_top_p(s.top_p, 1),
            llama.llama_sampler_init_min_p(s.min_p, 1),
            llama.llama_sampler_init_temp(s.temperature),
            llama.llama_sampler_init_dist(1),
        ]
    for sampler in samplers:
        llama.llama_sampler_chain_add(chain, sampler)
    candidates, drawn = Candidates(vocabulary.size), []
    for row in rows:
        candidates.fill(row)
        drawn.append(candidates.pick(chain))
        llama.llama_sampler_accept(chain, drawn[-1])
    llama.llama_sampler_free(chain)
    return drawn


@settings(deadline=None, max_examples=80)
@given(
    seed=st.integers(0, 2**32 - 1),
    peak=st.floats(0.01, 100),
    temperature=st.sampled_from([0, 0.3, 1, 3]),
    top_k=st.just(0) | st.integers(1, 200),
    top_p=st.sampled_from([1, 0.95, 0.5]),
    min_p=st.sampled_from([0, 0.05, 0.5]),
    typical_p=st.sampled_from([1, 1, 1, 0.9]),
    penalties=st.tuples(
        st.sampled_from([1, 1.3, 0.8]), st.sampled_from([0, 0.5, -0.5]), st.sampled_from([0, 1, -1])
    ),
    banned=st.integers(0, 50),
    lifted=st.integers(0, 3),
)
def test_a_few_candidates_draw_as_the_whole_vocabulary(
    smollm2,
    seed,
    peak,
    temperature,
    top_k,
    top_p,
    min_p,
    typical_p,
    penalties,
    banned,
    lifted,
):
    vocabulary, dice = smollm2.engine.vocabulary, np.random.default_rng(seed)
    rows = (peak * dice.standard_normal((DRAWS, vocabulary.size))).astype(np.float32)
    ranked = list(map(int, np.argsort(-rows[0], kind="stable")))
    bias = dict.fromkeys(ranked[:banned], -1e9) | dict.fromkeys(ranked[-1 - lifted : -1], peak * 5)
    repeat, frequency, presence = penalties
    sampling = Sampling(
        temperature=temperature,
        top_k=top_k,
        top_p=top_p,
        min_p=min_p,
        typical_p=typical_p,
        logit_bias=bias,
        repeat_penalty=repeat,
        frequency_penalty=frequency,
        presence_penalty=presence,
    )
    found, expected = draws(vocabulary, sampling, rows), reference(vocabulary, sampling, rows)
    if temperature == 0 or top_k == 0 or typical_p == 1:
        assert found == expected
    else:  # typical sampling weighs by an entropy, of which the last bits differ
        assert sum(a == b for a, b in zip(found, expected, strict=True)) >= DRAWS - 2


@pytest.mark.parametrize("penalty", ["repeat_penalty", "frequency_penalty", "presence_penalty"])
def test_a_penalty_can_reach_beyond_the_likeliest(smollm2, penalty):
    row = np.zeros(smollm2.engine.vocabulary.size, np.float32)
    row[:4] = 9, 8, 7, 6
    sampling = Sampling(temperature=0, **{penalty: 8})
    drawn = draws(smollm2.engine.vocabulary, sampling, [row] * 4)
    assert sorted(drawn) == [0, 1, 2, 3]
