"""Drawing from one row of logits."""

import ctypes
from contextlib import nullcontext
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from thinkgraph.models.engine.llama.library import llama
from thinkgraph.models.engine.sampling.constraint import DeadEnd
from thinkgraph.models.engine.sampling.distribution import Distribution
from thinkgraph.models.engine.sampling.dry import is_dry_made, make_dry
from thinkgraph.models.engine.sampling.pool import Draw
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
    breakers = [text.encode() for text in s.dry_sequence_breakers]
    with vocabulary.open() as pointer:
        dry = llama.llama_sampler_init_dry(
            pointer,
            s.dry_multiplier,
            s.dry_base,
            s.dry_allowed_length,
            s.dry_penalty_last_n,
            (ctypes.c_char_p * len(breakers))(*breakers),
            len(breakers),
        )
    samplers.append(dry)
    if s.temperature == 0:
        samplers.append(llama.llama_sampler_init_greedy())
    else:
        samplers += [
            llama.llama_sampler_init_top_n_sigma(s.top_n_sigma),
            llama.llama_sampler_init_top_k(s.top_k),
            llama.llama_sampler_init_typical(s.typical_p, 1),
            llama.llama_sampler_init_top_p(s.top_p, 1),
            llama.llama_sampler_init_min_p(s.min_p, 1),
            llama.llama_sampler_init_xtc(s.xtc_probability, s.xtc_threshold, 1, 1),
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
@example(
    seed=0,
    peak=1.0,
    temperature=1,
    top_k=0,
    top_p=0.95,
    min_p=0,
    typical_p=1,
    penalties=(1, 0, 0),
    banned=0,
    lifted=0,
    sigma=0,
    xtc=(0, 0.1),
    dry=0,
)
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
    sigma=st.sampled_from([0, 0, 1, 2.5]),
    xtc=st.sampled_from([(0, 0.1), (0.5, 0.1), (1, 0.01), (1, 0.6)]),
    dry=st.sampled_from([0, 0, 0.8]),
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
    sigma,
    xtc,
    dry,
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
        top_n_sigma=sigma,
        xtc_probability=xtc[0],
        xtc_threshold=xtc[1],
        dry_multiplier=dry,
        dry_allowed_length=1,
    )
    nucleus = top_k == 0 and top_p < 1
    rounded = temperature > 0 and (nucleus or typical_p < 1)
    # Penalties depend on the draws before: where one may differ, each row is drawn from alone.
    parts = [[row] for row in rows] if rounded and (dry or penalties != (1, 0, 0)) else [rows]
    found = [token for part in parts for token in draws(vocabulary, sampling, np.array(part))]
    expected = [t for part in parts for t in reference(vocabulary, sampling, np.array(part))]
    if not rounded:
        assert found == expected
    else:  # where a nucleus ends, and an entropy, hang on sums of which the last bits differ
        pairs = zip(rows, found, expected, strict=True)
        # A total that differs in its last bits moves a draw to a token that is as likely.
        same = [a == b or abs(row[a] - row[b]) <= peak / 1000 for row, a, b in pairs]
        assert sum(same) >= DRAWS - 2


@pytest.mark.parametrize("penalty", ["repeat_penalty", "frequency_penalty", "presence_penalty"])
def test_a_penalty_can_reach_beyond_the_likeliest(smollm2, penalty):
    row = np.zeros(smollm2.engine.vocabulary.size, np.float32)
    row[:4] = 9, 8, 7, 6
    sampling = Sampling(temperature=0, **{penalty: 8})
    drawn = draws(smollm2.engine.vocabulary, sampling, [row] * 4)
    assert sorted(drawn) == [0, 1, 2, 3]


def test_dry_lowers_what_would_prolong_a_repetition(smollm2):
    row = np.zeros(smollm2.engine.vocabulary.size, np.float32)
    row[[100, 101]] = 5, 4.9
    rows = [row.copy() for _ in range(8)]
    greedy = Sampling(temperature=0, dry_allowed_length=1)
    assert draws(smollm2.engine.vocabulary, greedy, rows) == [100] * 8
    dry = greedy.model_copy(update={"dry_multiplier": 2.0})
    assert 101 in draws(smollm2.engine.vocabulary, dry, rows)


def test_few_lengths_of_a_completion_need_a_dry_sampler_of_their_own(smollm2):
    """To make one takes long; copying it doesn't."""
    vocabulary = smollm2.engine.vocabulary
    make_dry(vocabulary, Sampling(dry_multiplier=1, dry_penalty_last_n=-1, max_tokens=129))
    for size, made in ((129, True), (256, True), (257, False)):
        sampling = Sampling(dry_multiplier=1, dry_penalty_last_n=-1, max_tokens=size)
        assert is_dry_made(vocabulary, sampling) == made
    assert not is_dry_made(vocabulary, Sampling(dry_multiplier=1, dry_penalty_last_n=129))


def test_breakers_are_few():
    with pytest.raises(ValueError, match="at most 32"):
        Sampling(dry_sequence_breakers=tuple(map(str, range(33))))


def test_a_break_of_many_bytes_harms_nobody(smollm2):
    """llama.cpp tokenizes the rest of a breaker, which may begin within a character."""
    row = np.zeros(smollm2.engine.vocabulary.size, np.float32)
    breakers = ("é", "日本語" * 20, "a\0b", "", "😀")
    sampling = Sampling(dry_multiplier=1, dry_sequence_breakers=breakers)
    assert len(draws(smollm2.engine.vocabulary, sampling, [row] * 3)) == 3


def test_xtc_takes_the_likeliest_away_but_the_last(smollm2):
    row = np.full(smollm2.engine.vocabulary.size, -50, np.float32)
    row[[7, 8, 9]] = np.log([0.5, 0.3, 0.2])
    sampling = Sampling(xtc_probability=1, xtc_threshold=0.15, temperature=1)
    assert set(draws(smollm2.engine.vocabulary, sampling, [row] * 20)) == {9}


def test_top_n_sigma_leaves_what_stands_out(smollm2):
    dice = np.random.default_rng(1)
    row = dice.standard_normal(smollm2.engine.vocabulary.size).astype(np.float32)
    row[7] = 10
    plain = Sampling(temperature=3, top_k=0, top_p=1, min_p=0)
    assert set(draws(smollm2.engine.vocabulary, plain, [row] * 20)) != {7}
    sampling = plain.model_copy(update={"top_n_sigma": 3})
    assert set(draws(smollm2.engine.vocabulary, sampling, [row] * 20)) == {7}


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"temperature": 0},
        {"top_k": 0},
        {"top_k": 0, "top_p": 1, "min_p": 0},
        {"typical_p": 0.9},
        {"top_n_sigma": 1.0},
        {"xtc_probability": 1.0},
        {"dry_multiplier": 1.0},
        {"repeat_penalty": 1.1},
    ],
    ids=str,
)
def test_a_row_that_is_no_distribution_is_an_error(smollm2, wrong, changes):
    """llama.cpp's samplers end the process, or draw any token."""
    vocabulary = smollm2.engine.vocabulary
    row = np.full(vocabulary.size, wrong, np.float32)
    sampler = Sampler(vocabulary, Sampling(**changes), 1, None)
    draw = Draw(SimpleNamespace(request=SimpleNamespace(sampling=Sampling(**changes))), sampler)
    draw.run(Distribution(row), Candidates(vocabulary.size))
    sampler.close()
    assert isinstance(draw.error, FloatingPointError)
    row = np.linspace(-1, 1, vocabulary.size, dtype=np.float32)
    row[-1] = wrong
    with nullcontext() if wrong == -np.inf else pytest.raises(FloatingPointError):
        Distribution(row).check()


@pytest.mark.parametrize("changes", [{}, {"temperature": 0}, {"top_k": 0}], ids=str)
def test_a_sampler_alone_never_draws_from_nothing(smollm2, changes):
    row = np.full(smollm2.engine.vocabulary.size, np.nan, np.float32)
    with pytest.raises(DeadEnd):
        draws(smollm2.engine.vocabulary, Sampling(**changes), [row])


@pytest.mark.parametrize(
    "changes",
    [{"presence_penalty": -1e39}, {"frequency_penalty": float("nan")}],
    ids=str,
)
def test_penalties_that_leave_no_finite_logit_are_an_error(smollm2, changes):
    row = np.linspace(-1, 1, smollm2.engine.vocabulary.size, dtype=np.float32)
    with pytest.raises(FloatingPointError, match="penalties"):
        draws(smollm2.engine.vocabulary, Sampling(**changes), [row] * 2)


@pytest.mark.parametrize("changes", [{}, {"temperature": 0}, {"top_k": 0}], ids=str)
def test_a_bias_may_exclude_all_tokens_but_not_the_last(smollm2, changes):
    size = smollm2.engine.vocabulary.size
    row = np.linspace(-1, 1, size, dtype=np.float32)
    bias = dict.fromkeys(range(size), -np.inf)
    with pytest.raises(DeadEnd):
        draws(smollm2.engine.vocabulary, Sampling(logit_bias=bias, **changes), [row])
    del bias[3]
    assert draws(smollm2.engine.vocabulary, Sampling(logit_bias=bias, **changes), [row]) == [3]


def test_the_coldest_temperature_is_greedy(smollm2):
    row = np.linspace(-30, 30, smollm2.engine.vocabulary.size, dtype=np.float32)
    assert draws(smollm2.engine.vocabulary, Sampling(temperature=1e-44), [row]) == [row.argmax()]
