"""What is asked of one row of logits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import logsumexp

from thinkgraph.models.engine.sampling.distribution import Distribution

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


@given(ROWS, st.integers(0, 300))
@settings(deadline=None)
def test_the_likeliest_hold_all_that_are_as_likely_as_the_last_asked_for(row, count):
    found = Distribution(row).top_candidates(count)
    if found is not None:
        assert set(np.flatnonzero(row >= np.sort(row)[-count])) <= set(found)
        assert len(found) >= count


def test_a_few_of_many_are_quickly_told():
    row = np.random.default_rng(1).standard_normal(49_152).astype(np.float32)
    assert 40 <= len(Distribution(row).top_candidates(40)) < 400
