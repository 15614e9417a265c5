"""Word problems and the interval of a share."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.evaluate.statistics import wilson
from thinkgraph.evaluate.word_problems import word_problems


def test_the_same_seed_makes_the_same_problems_and_no_problem_twice():
    problems = word_problems(100, seed=3)
    assert problems == word_problems(100, seed=3)
    assert problems[:10] == word_problems(10, seed=3)
    assert len({problem.question for problem in problems}) == 100


def test_more_than_sixty_problems_of_four_kinds_have_whole_answers():
    assert all(int(problem.answer) > 0 for problem in word_problems(64))


@given(st.integers(1, 200).flatmap(lambda of: st.tuples(st.integers(0, of), st.just(of))))
def test_an_interval_holds_its_share(measured):
    right, of = measured
    low, high = wilson(right, of)
    assert 0 <= low <= right / of <= high <= 1


def test_the_interval_is_wilsons():
    # Newcombe 1998, table I: 81 of 263 is 0.2553 to 0.3662.
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)


def test_nothing_measured_has_no_interval():
    with pytest.raises(ValueError, match="at least one"):
        wilson(0, 0)
