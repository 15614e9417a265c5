"""Intervals and tests against scipy's and statsmodels', and what they claim in simulations."""

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from statsmodels.stats.contingency_tables import mcnemar as reference_mcnemar
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from thinkgraph.evaluate.analysis import statistics
from thinkgraph.evaluate.analysis.statistics import (
    difference_interval,
    holm,
    mcnemar,
    mean_interval,
    paired_test,
    questions_needed,
    score_interval,
    wilson,
)

COUNTS = st.integers(1, 200).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of)))
VERDICTS = st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=1, max_size=60)
SCORES = st.lists(st.floats(-1, 1), min_size=1, max_size=30)
P_VALUES = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@pytest.fixture
def few_resamples(monkeypatch):
    """For simulations, which take hundreds of intervals."""
    monkeypatch.setattr(statistics, "RESAMPLES", 1000)


class TestWilson:
    @given(COUNTS)
    def test_is_statsmodels(self, measured):
        right, of = measured
        reference = proportion_confint(right, of, method="wilson")
        assert wilson(right, of) == pytest.approx(reference, abs=1e-12)

    @given(COUNTS)
    def test_holds_its_share(self, measured):
        right, of = measured
        low, high = wilson(right, of)
        assert 0 <= low <= right / of <= high <= 1

    def test_is_the_one_of_the_literature(self):
        # Newcombe 1998, table I: 81 of 263 is 0.2553 to 0.3662.
        assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)

    def test_nothing_measured_has_no_interval(self):
        with pytest.raises(ValueError, match="at least one"):
            wilson(0, 0)


class TestBootstrap:
    def test_of_a_mean_is_scipys_percentile_one(self):
        values = np.random.default_rng(2).lognormal(size=60)
        reference = scipy.stats.bootstrap(
            (values,), np.mean, method="percentile", random_state=1, n_resamples=20_000
        ).confidence_interval
        assert mean_interval(list(values)) == pytest.approx(tuple(reference), rel=0.03)

    def test_of_a_paired_difference_is_agresti_and_mins_where_that_is_normal(self):
        gained, lost, alike = 120, 60, 320
        found = difference_interval([1.0] * gained + [-1.0] * lost + [0.0] * alike)
        n = gained + lost + alike + 2
        up, down = (gained + 0.5) / n, (lost + 0.5) / n
        half = 1.96 * math.sqrt((up + down - (up - down) ** 2) / n)
        assert found == pytest.approx((up - down - half, up - down + half), abs=0.003)

    @given(VERDICTS)
    def test_holds_the_difference_and_stays_in_bounds(self, differences):
        low, high = difference_interval(differences)
        assert -1 <= low <= math.fsum(differences) / len(differences) <= high <= 1

    @given(SCORES.map(lambda found: [abs(each) for each in found]))
    def test_of_scores_holds_their_mean_and_stays_in_bounds(self, scores):
        low, high = score_interval(scores)
        assert 0 <= low <= math.fsum(scores) / len(scores) <= high <= 1 + 1e-12

    @given(VERDICTS)
    def test_turns_round_with_the_pair(self, differences):
        low, high = difference_interval(differences)
        other = difference_interval([-each for each in differences])
        slack = 3 / (len(differences) + 2)  # the draws aren't mirrored
        assert (-high, -low) == pytest.approx(other, abs=slack)

    def test_ten_questions_without_a_difference_leave_more_open_than_a_thousand(self):
        few, many = difference_interval([0.0] * 10), difference_interval([0.0] * 1000)
        assert few.low < -0.05 and few.high > 0.05
        assert -0.01 < many.low <= 0 <= many.high < 0.01

    def test_of_a_mean_has_no_width_where_all_values_are_alike(self):
        assert mean_interval([2.5] * 7) == pytest.approx((2.5, 2.5))

    def test_is_the_same_for_the_same_seed(self):
        values = [0.0, 1.0, 1.0, -1.0, 0.0]
        assert difference_interval(values, seed=4) == difference_interval(values, seed=4)

    def test_large_data_is_drawn_in_pieces_of_bounded_size(self):
        values = list(np.random.default_rng(0).normal(size=3000))
        low, high = mean_interval(values)
        assert high - low == pytest.approx(2 * 1.96 / math.sqrt(3000), rel=0.1)

    @pytest.mark.parametrize("interval", [mean_interval, score_interval, difference_interval])
    def test_nothing_measured_has_no_interval(self, interval):
        with pytest.raises(ValueError, match="at least one"):
            interval([])

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("n", "up", "down"), [(20, 0.3, 0.1), (50, 0.2, 0.2), (100, 0.3, 0.1), (200, 0.1, 0.05)]
    )
    def test_covers_the_true_difference_in_about_95_of_100(self, n, up, down, few_resamples):
        source, runs, hits = np.random.default_rng(n), 600, 0
        for seed in range(runs):
            gained, lost, alike = source.multinomial(n, [up, down, 1 - up - down])
            low, high = difference_interval(
                [1.0] * gained + [-1.0] * lost + [0.0] * alike, seed=seed
            )
            hits += low <= up - down <= high
        assert 0.93 <= hits / runs <= 0.985


class TestPairedTest:
    @given(st.integers(0, 60), st.integers(0, 60))
    def test_of_verdicts_is_the_exact_mcnemar(self, gained, lost):
        reference = reference_mcnemar([[7, gained], [lost, 9]], exact=True).pvalue
        differences = [1.0] * gained + [-1.0] * lost + [0.0] * 16
        assert paired_test(differences) == pytest.approx(reference, abs=1e-12)

    def test_of_verdicts_holds_for_thousands(self):
        reference = scipy.stats.binomtest(2600, 5000).pvalue
        assert mcnemar(2600, 2400) == pytest.approx(reference, rel=1e-9)

    @settings(max_examples=25)
    @given(st.lists(st.floats(-1, 1), min_size=2, max_size=8))
    def test_of_a_few_scores_is_scipys_exact_permutation_test(self, differences):
        assume(all(each == 0 or abs(each) > 1e-3 for each in differences))
        reference = scipy.stats.permutation_test(
            (differences, [0.0] * len(differences)),
            lambda one, other: np.mean(one - other),
            permutation_type="samples",
        ).pvalue
        assert paired_test(differences) == pytest.approx(reference, abs=1e-9)

    def test_of_many_scores_is_near_the_t_test(self):
        differences = np.random.default_rng(5).normal(0.15, 1, 120)
        reference = scipy.stats.ttest_1samp(differences, 0).pvalue
        assert paired_test(list(differences)) == pytest.approx(reference, abs=0.015)

    def test_many_scores_never_have_the_p_value_0(self):
        assert paired_test([0.5 + i / 100 for i in range(40)]) == pytest.approx(1 / 10_001)

    @given(VERDICTS | SCORES)
    def test_is_a_probability_and_looks_both_ways(self, differences):
        found = paired_test(differences)
        assert 0 < found <= 1
        if len(differences) <= 12:
            assert found == pytest.approx(paired_test([-each for each in differences]))

    @pytest.mark.parametrize("nothing", [[], [0.0], [0.0] * 50])
    def test_no_difference_at_all_has_the_p_value_1(self, nothing):
        assert paired_test(nothing) == 1.0


class TestHolm:
    @pytest.mark.slow
    @settings(max_examples=20)  # the reference takes 50 ms
    @given(P_VALUES)
    def test_is_statsmodels(self, p_values):
        reference = multipletests(p_values, method="holm")[1]
        assert holm(p_values) == pytest.approx(list(reference), abs=1e-12)

    @given(P_VALUES)
    def test_never_makes_a_value_smaller_and_keeps_their_order(self, p_values):
        adjusted = holm(p_values)
        assert all(old <= new <= 1 for old, new in zip(p_values, adjusted, strict=True))
        ranked = [new for _, new in sorted(zip(p_values, adjusted, strict=True))]
        assert ranked == sorted(ranked)

    def test_nothing_to_correct(self):
        assert holm([]) == []


class TestQuestionsNeeded:
    def test_is_connors_formula(self):
        # psi 0.4, delta 0.2: (1.95996 * sqrt(0.4) + 0.84162 * sqrt(0.36))^2 / 0.04 = 76.09
        assert questions_needed([1.0] * 30 + [-1.0] * 10 + [0.0] * 60) == 77

    @pytest.mark.parametrize(("up", "down"), [(0.3, 0.1), (0.2, 0.1), (0.15, 0.02)])
    def test_so_many_find_the_difference_in_about_80_of_100(self, up, down):
        pairs = [1.0] * round(100 * up) + [-1.0] * round(100 * down)
        needed = questions_needed(pairs + [0.0] * (100 - len(pairs)))
        tables = np.random.default_rng(1).multinomial(needed, [up, down, 1 - up - down], 2000)
        power = np.mean([mcnemar(int(gained), int(lost)) < 0.05 for gained, lost, _ in tables])
        assert 0.72 <= power <= 0.86

    def test_many_comparisons_need_more(self):
        pairs = [1.0] * 30 + [-1.0] * 20 + [0.0] * 50
        assert questions_needed(pairs) < questions_needed(pairs, comparisons=8)

    @pytest.mark.parametrize("nothing", [[], [0.0] * 9, [1.0, -1.0]])
    def test_what_was_not_seen_has_no_number(self, nothing):
        assert questions_needed(nothing) is None


def equals(source, strategies, questions):
    """Verdicts of strategies that are equally good, on questions that are hard for all alike."""
    hard = source.beta(1, 1, questions)
    samples = source.random((strategies, questions)) < hard
    shared = source.random((strategies, questions)) < 0.5  # as where samples come from one pool
    return np.where(shared, samples[0], samples).astype(float)


@pytest.mark.slow
@pytest.mark.parametrize(("strategies", "questions"), [(2, 50), (2, 200), (8, 100)])
def test_equally_good_strategies_are_told_apart_in_at_most_5_of_100_comparisons(
    strategies, questions
):
    source, runs, claims, bare = np.random.default_rng(strategies * questions), 2000, 0, 0
    for _ in range(runs):
        baseline, *others = equals(source, strategies, questions)
        p_values = [paired_test(list(other - baseline)) for other in others]
        claims += min(holm(p_values)) < 0.05
        bare += min(p_values) < 0.05
    assert claims / runs <= 0.05
    if strategies > 2:  # so the correction is what holds it
        assert bare / runs > 0.05


def test_a_real_difference_is_claimed():
    source, runs, claims = np.random.default_rng(8), 300, 0
    for _ in range(runs):
        gained, lost, _ = source.multinomial(200, [0.25, 0.08, 0.67])
        claims += holm([mcnemar(int(gained), int(lost))] + [0.5] * 6)[0] < 0.05
    assert claims / runs > 0.8
