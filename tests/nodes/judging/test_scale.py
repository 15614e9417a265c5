"""The scale of a judge: expected scores, and scores that a text states."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.nodes.judging.scale import Scale
from thinkgraph.nodes.judging.written import last_option, written_option

TEN = Scale(1, 10)


def test_the_expected_score_weighs_each_score_by_its_probability() -> None:
    assert Scale(1, 3).expected([0.25, 0.25, 0.5]) == pytest.approx(2.25)


@given(st.lists(st.floats(0.001, 1), min_size=10, max_size=10))
def test_an_expected_score_lies_on_the_scale(weights: list[float]) -> None:
    expected = TEN.expected([weight / sum(weights) for weight in weights])
    assert 1 - 1e-9 <= expected <= 10 + 1e-9


@pytest.mark.parametrize(
    ("text", "score"),
    [
        ("Score: 7", 7),
        ("It is well done.\n\n**Score:** 10", 10),
        ("Score: 8/10", 8),
        ("score is 6.5", 6.5),
        ("I'd give it 8 out of 10.", 8),
        ("Rating: 3", 3),
        ("First, Score: 2. No, after all: Score: 9", 9),
        ("2 of the 3 steps are right. Score: 4", 4),
        ("9", 9),
        ("Score: 11", None),
        ("Score: -3", None),
        ("It is 42 % wrong", None),
        ("no idea", None),
        ("", None),
    ],
)
def test_a_written_score_is_read(text: str, score: float | None) -> None:
    assert TEN.written(text) == score


@pytest.mark.parametrize("ends", [(5, 5), (10, 1), (0, 101)])
def test_a_scale_has_at_least_two_and_at_most_a_hundred_and_one_scores(
    ends: tuple[int, int],
) -> None:
    with pytest.raises(ValueError, match="a scale goes from a lower to a higher"):
        Scale(*ends)


@pytest.mark.parametrize(
    ("text", "options", "index"),
    [
        ("Yes", ["Yes", "No"], 0),
        ("no.", ["Yes", "No"], 1),
        ("Yes, it is. There is no mistake.", ["Yes", "No"], 0),
        ("The steps are right: Yes", ["Yes", "No"], 0),
        ("A better one is B", ["A", "B"], 1),
        ("B", ["A", "B"], 1),
        ("(A)", ["A", "B"], 0),
        ("Answer A is better than a guess, so: A", ["A", "B"], 0),
        ("Nothing", ["Yes", "No"], None),
        ("I would take B, not A", ["A", "B"], 1),
        ("I would take B, not A", ["A", "B", "C"], 1),
        ("I would take B, not answer A", ["A", "B"], 1),
        ("B is a better answer.", ["A", "B"], 1),
        ("Answer B agrees with most, as a majority does.", ["A", "B", "C"], 1),
        ("b", ["A", "B"], 1),
        ("Answer A is better than Answer B.", ["A", "B"], 0),
        ("Answer A is not better than B.", ["A", "B"], 1),
        ("Answer A is not more accurate than B.", ["A", "B"], 1),
        ("Answer A is worse than B.", ["A", "B"], 1),
        ("I prefer A over B.", ["A", "B"], 0),
        ("A is more accurate than the answer B", ["A", "B", "C"], 0),
        ("Answer B agrees with A and C", ["A", "B", "C"], 1),
        ("Answer B agrees with A.", ["A", "B", "C"], 1),
        ("(B) agrees with (A) and (C).", ["A", "B", "C"], 1),
        ("Answers A and C agree with B.", ["A", "B", "C"], 1),
        ("Most of them agree with C.", ["A", "B", "C"], 2),
        ("I would go with B, which agrees with A.", ["A", "B", "C"], 1),
        ("Answer B, because it agrees with A", ["A", "B", "C"], 1),
        ("Answer B. It agrees with A.", ["A", "B", "C"], 1),
        ("I choose B because it agrees with A, C and D.", ["A", "B", "C", "D"], 1),
        ("B is better than A and C", ["A", "B", "C"], 1),
        ("Although A is long, B agrees with C.", ["A", "B", "C"], 1),
        ("Compared with A, B is better.", ["A", "B", "C"], 1),
        ("A is not as good as B", ["A", "B", "C"], 1),
        ("A is wrong but C is right", ["A", "B", "C"], 2),
        ("B agrees with A and C. So the answer is B.", ["A", "B", "C"], 1),
        ("A: 5\nB: 6\nC: 5\n\nThe answer is C.", ["A", "B", "C"], 2),
        ("A is 5. B is 6.\n\n**Final answer:** A", ["A", "B", "C"], 0),
        ("A. It is 5.\nB. It is 6.\nI prefer B to A.", ["A", "B"], 1),
        ("B and C agree, so \\boxed{B}", ["A", "B", "C"], 1),
        ("It agrees with A and C:\n\n**B**", ["A", "B", "C"], 1),
        ("I would not choose A.", ["A", "B"], 1),
        ("I would not choose A.", ["A", "B", "C"], None),
        ("There is no doubt: yes", ["Yes", "No"], 0),
        ("A and C agree with each other.", ["A", "B", "C"], None),
        ("A, B and C all agree", ["A", "B", "C"], None),
        ("A or B", ["A", "B"], None),
        ("A: 5\nB: 6\nC: 5", ["A", "B", "C"], None),
        ("B does not agree with A.", ["A", "B", "C"], None),
        ("Yes and no", ["Yes", "No"], None),
        ("Answer A is wrong and answer B is right.", ["A", "B"], 1),
        ("Answer A makes a mistake and answer B is correct.", ["A", "B"], 1),
        ("Answer A fails and answer B succeeds.", ["A", "B"], 1),
        ("A ignores the unit and B gives it.", ["A", "B"], 1),
        ("A loses to B.", ["A", "B"], 1),
        ("Answer A is outperformed by answer B", ["A", "B"], 1),
        ("Answer A is not correct and answer B is correct.", ["A", "B"], 1),
        ("A majority of the answers agree with B.", ["A", "B", "C"], 1),
        ("A careful reading shows that B is right.", ["A", "B"], 1),
        ("A common result is 18, which B has.", ["A", "B"], 1),
        ("The correct answer is (B), so Answer A is the better one.", ["A", "B"], 0),
        ("I prefer answer A's clarity, but answer B is correct.", ["A", "B"], 1),
        ("Answer A is the better answer. Answer B is missing the units.", ["A", "B"], 0),
        ("A is better because it explains, whereas B only states it.", ["A", "B"], 0),
        ("Answer C is most consistent. It matches answer A.", ["A", "B", "C"], 2),
        ("B is right. A is more verbose.", ["A", "B"], 1),
        ("A is most likely wrong.\nI take B.", ["A", "B"], 1),
        ("A is most consistent with the others.", ["A", "B", "C"], 0),
        ("I don't think A is better.", ["A", "B"], 1),
        ("I don't think A is better.", ["A", "B", "C"], None),
        ("I do not believe that the answer is A.", ["A", "B"], 1),
        ("I'm not sure, but I choose A.", ["A", "B"], 0),
        ("A isn't bad. B is better.", ["A", "B"], 1),
        ("A doesn't show its work — the answer is B", ["A", "B"], 1),
        ("Because B doesn't show units I choose A.", ["A", "B"], 0),
        ("Although it isn't perfect A is better", ["A", "B"], 0),
        ("I'm not certain and would choose B", ["A", "B"], 1),
        ("It cannot be that A is right", ["A", "B"], 1),
        ("A is more likely to be wrong.", ["A", "B"], 1),
        ("A is most likely incorrect.", ["A", "B", "C"], None),
        ("B isn't wrong.", ["A", "B"], 1),
        ("I go for B which is clearer", ["A", "B"], 1),
        ("I say no because step 2 fails.", ["Yes", "No"], 1),
        ("It's a no from me.", ["Yes", "No"], 1),
        ("The critique is right, yes. There is no unit.", ["Yes", "No"], 0),
        ("There is no mistake, so no", ["Yes", "No"], 1),
        ("", ["Yes", "No"], None),
    ],
)
def test_a_written_option_is_read(text: str, options: list[str], index: int | None) -> None:
    assert written_option(text, options) == index


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        ("Correct, at first. But then it is wrong.", 1),
        ("This is not correct.", 1),
        ("This isn't correct.", 1),
        ("That is not entirely correct", 1),
        ("It is not a correct one", 1),
        ("Is it correct? It is incorrect.", 1),
        ("This is not incorrect.", 0),
        ("This is not wrong.", 0),
        ("One is not sure at first. Correct", 0),
        ("It did not hold: correct", 0),
        ("Who knows?", None),
        ("I can't say.", None),
        ("At first wrong, in the end correct", 0),
        ("Wrong. The correct answer is 6.", 1),
        ("Wrong: the correct result would be 6.", 1),
        ("Wrong. The correct final answer is 6.", 1),
        ("Wrong. The correct answer: 6.", 1),
        ("The answer is wrong: 6", 1),
        ("Wrong\nit should be 6", 1),
        ("Correct\nThis is right", 0),
        ("This is the correct answer.", 0),
        ("The wrong step was mended. Correct", 0),
    ],
)
def test_the_last_verdict_counts_and_what_is_negated_is_the_other(
    text: str, accepted: int | None
) -> None:
    assert last_option(text, ["correct", "wrong"]) == accepted


def test_an_option_may_be_the_negation_of_another() -> None:
    assert last_option("It is incorrect", ["correct", "incorrect", "unclear"]) == 1
    assert last_option("It is not correct", ["correct", "incorrect", "unclear"]) is None
