"""What is asked of one row of logits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import logsumexp

from thinkgraph.models.engine.sampling.distribution import (
    Distribution,
    distributions,
    find_likeliest,
)

GROUP = 64

LOGITS = st.floats(-100, 100, width=32) | st.just(-np.inf)
ROWS = arrays(np.float32, st.integers(1, 300), elements=LOGITS).filter(
    lambda row: np.isfinite(row).any()
)


@given(ROWS)
def test_log_probabilities_are_the_logits_less_their_log_sum_exp(row):
    distribution, total = Distribution(row), logsumexp(row.astype(np.float64))
    assert distribution.log_total == pytest.approx(total, abs=1e-4)
    best = int(row.argmax())
    assert distribution.logprob(best) == pytest.approx(row[best] - total, abs=1e-4)


@given(ROWS, st.data())
def test_the_top_are_the_likeliest_in_order(row, data):
    count = data.draw(st.integers(0, len(row)))
    top = Distribution(row).top(count)
    expected = np.sort(row)[::-1][:count]
    assert [row[token] for token, _ in top] == list(expected)
    assert len({token for token, _ in top}) == count


def finite(lengths):
    return arrays(np.float32, lengths, elements=st.floats(-100, 100, width=32))


@given(finite(st.integers(GROUP, 10 * GROUP)), st.data())
@settings(deadline=None)
def test_the_likeliest_hold_all_that_are_as_likely_as_the_last_asked_for(row, data):
    count = data.draw(st.integers(1, len(row) // GROUP))
    tokens, least = Distribution(row).likeliest(count)
    assert set(np.flatnonzero(row >= np.sort(row)[-count])) <= set(tokens)
    assert len(tokens) >= count
    assert set(tokens) == set(np.flatnonzero(row >= least))


@given(ROWS, st.integers(0, 300))
@settings(deadline=None)
def test_the_impossible_are_never_among_the_likeliest(row, count):
    found = Distribution(row).likeliest(count)
    assert found is None or (np.isfinite(row[found.tokens]).all() and len(found.tokens) >= count)


@pytest.mark.slow
@given(finite(st.integers(1, 300)), st.integers(0, 300))
@settings(deadline=None)
def test_the_likeliest_are_quickly_told_where_each_may_come_from_its_own_group(row, count):
    quickly = 0 < count <= len(row) // GROUP
    assert (Distribution(row).likeliest(count) is not None) == quickly


@given(
    arrays(np.float32, st.tuples(st.integers(1, 5), st.integers(1, 300)), elements=LOGITS),
    st.data(),
)
@settings(deadline=None)
def test_of_several_rows_each_has_the_values_that_it_has_alone(rows, data):
    counts = data.draw(st.lists(st.integers(0, 6), min_size=len(rows), max_size=len(rows)))
    made = distributions(rows, np.empty_like(rows), uncertain=True)
    find_likeliest(made, rows, counts)
    for row, count, together in zip(rows, counts, made, strict=True):
        alone = Distribution(row)
        for asked in {count, 2}:
            one, other = together.likeliest(asked), alone.likeliest(asked)
            assert (one is None) == (other is None)
            if one:
                assert list(one.tokens) == list(other.tokens)
                assert one.least == other.least
        if np.isfinite(row).any():
            np.testing.assert_allclose(together.top(2), alone.top(2), atol=1e-4)
            np.testing.assert_allclose(together.uncertainty, alone.uncertainty, atol=1e-3)


def test_a_few_of_many_are_quickly_told():
    row = np.random.default_rng(1).standard_normal(49_152).astype(np.float32)
    assert 40 <= len(Distribution(row).likeliest(40).tokens) < 400


@given(ROWS, st.floats(0.01, 0.999))
@settings(deadline=None)
def test_what_covers_a_mass_has_it_and_all_that_are_as_likely(row, mass):
    tokens, least = Distribution(row).covering(mass)
    probabilities = np.exp(row.astype(np.float64) - logsumexp(row.astype(np.float64)))
    assert probabilities[tokens].sum() >= mass - 1e-4
    assert set(tokens) == set(np.flatnonzero(row >= np.float32(least)))


def test_what_covers_a_mass_is_little_more_than_the_nucleus():
    row = (3.2 * np.random.default_rng(1).standard_normal(151_936)).astype(np.float32)
    mass = np.cumsum(np.sort(np.exp(row.astype(np.float64)))[::-1])
    nucleus = int(np.searchsorted(mass, 0.95 * mass[-1])) + 1
    assert nucleus <= len(Distribution(row).covering(0.95).tokens) < 2.5 * nucleus
