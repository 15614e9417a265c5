"""Votes: classes by value, honest ties, and a stop that loses nothing."""

import random
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkgraph.nodes.answers import confidence, decided, median, tally

SPELLED = {
    **dict.fromkeys(["5", "5.0", "10/2", r"\boxed{5}", "$5"], 5),
    **dict.fromkeys(["7", "7 apples"], 7),
    **dict.fromkeys(["0.5", r"\frac12"], 0.5),
    **dict.fromkeys(["yes", "Yes."], "yes"),
}
answers = st.lists(st.sampled_from([*SPELLED, None]), max_size=12)


def test_equal_answers_are_one_class_whatever_their_spelling() -> None:
    vote = tally(["1/2", "7", "0.5", None, r"\frac{1}{2}", "0.5"])
    assert [(c.value, c.votes, c.members) for c in vote.classes] == [
        ("0.5", 4, (0, 2, 4, 5)),
        ("7", 1, (1,)),
    ]
    assert vote.winner == vote.classes[0]
    assert (vote.margin, vote.tie, vote.tied, vote.abstentions, vote.of) == (3.0, False, (), 1, 6)
    assert vote.winner.share == 0.8


def test_a_tie_is_told_and_goes_to_the_class_that_came_first() -> None:
    vote = tally(["7", "5", None, "5.0", "7", "9"])
    assert vote.tie and vote.tied == ("7", "5") and vote.margin == 0
    assert vote.winner is not None and vote.winner.value == "7"
    assert "a tie between 7, 5" in vote.note


@pytest.mark.parametrize("nobody", [[], [None], [None] * 5])
def test_abstentions_alone_elect_nobody(nobody: list[None]) -> None:
    vote = tally(nobody)
    assert vote.winner is None and vote.classes == () and not vote.tie
    assert vote.abstentions == vote.of == len(nobody) and vote.confidence == 0
    assert "gave an answer" in vote.note


def test_weights_decide() -> None:
    vote = tally(["5", "7", "7.0"], [0.9, 0.2, 0.3])
    assert vote.winner is not None and vote.winner.value == "5"
    assert vote.winner.share == pytest.approx(0.9 / 1.4)
    assert tally(["5", "7", "7.0"], [0.3, 0.1, 0.2]).tie  # 0.1 + 0.2 is 0.3 for a voter


@pytest.mark.parametrize("weights", [[1.0], [1.0, -1.0], [1.0, float("nan")], [1.0, float("inf")]])
def test_bad_weights_are_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match="weight"):
        tally(["5", "7"], weights)


def test_a_tolerance_joins_what_is_near() -> None:
    assert len(tally(["3.14", "3.1416", "3"], tolerance=0.01).classes) == 2
    assert len(tally(["100", "101", "110"], tolerance="2%").classes) == 2
    for bad in ("x", -1, "-1%"):
        with pytest.raises(ValueError, match="tolerance"):
            tally(["1"], tolerance=bad)


def test_the_question_says_whether_bare_numbers_are_percents() -> None:
    assert len(tally(["50", r"50\%", "1/2"], question="What percent is it?").classes) == 1
    assert len(tally(["50", r"50\%", "1/2"], question="How many are left?").classes) == 2


@given(answers, st.randoms(use_true_random=False))
def test_the_order_of_candidates_changes_only_the_tie_break(
    given_answers: list[str | None], shuffler: random.Random
) -> None:
    order = list(range(len(given_answers)))
    shuffler.shuffle(order)
    vote, again = tally(given_answers), tally([given_answers[i] for i in order])
    moved = {tuple(sorted(order.index(i) for i in c.members)): c.value for c in vote.classes}
    assert moved == {c.members: c.value for c in again.classes}
    assert (vote.tie, vote.margin, vote.abstentions) == (again.tie, again.margin, again.abstentions)
    assert sorted(vote.tied) == sorted(again.tied)
    assert vote.confidence == pytest.approx(again.confidence)
    if not vote.tie and vote.winner and again.winner:
        assert vote.winner.value == again.winner.value


@given(answers)
def test_every_answer_is_in_one_class_and_abstentions_in_none(
    given_answers: list[str | None],
) -> None:
    vote = tally(given_answers)
    members = sorted(index for each in vote.classes for index in each.members)
    assert members == [i for i, answer in enumerate(given_answers) if answer is not None]
    for each in vote.classes:
        assert len({SPELLED[given_answers[i] or ""] for i in each.members}) == 1
    assert vote.abstentions == given_answers.count(None)
    if vote.winner:
        assert vote.winner.weight == max(each.weight for each in vote.classes)


def report(votes: list[int]) -> tuple[object, ...]:
    """Winner and tie report of a vote in which class i came i-th."""
    best = max(votes, default=0)
    tied = [i for i, count in enumerate(votes) if count == best] if best else []
    return tuple(tied)


@pytest.mark.slow
@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 4), max_size=4), st.integers(0, 4))
def test_decided_is_exactly_when_no_outcome_changes_the_report(
    votes: list[int], remaining: int
) -> None:
    # Each sample to come joins a class, founds one of as many new ones, or abstains.
    names = [*range(len(votes) + remaining), None]
    outcomes = set()
    for samples in product(names, repeat=remaining):
        final = [*votes, *[0] * remaining]
        for name in samples:
            if name is not None:
                final[name] += 1
        outcomes.add(report(final))
    assert decided(votes, remaining) == (len(outcomes) == 1)


def test_decided_refuses_a_negative_rest() -> None:
    with pytest.raises(ValueError, match="remaining"):
        decided([1], -1)


def test_confidence_is_the_beta_tail_for_two_classes() -> None:
    assert confidence(1, []) == 0.75
    assert confidence(3, [3]) == 0.5
    assert confidence(7, [1]) > confidence(4, [1]) > confidence(4, [2])
    assert confidence(200, [1]) > 0.999999


def test_rivals_make_a_leader_less_sure() -> None:
    assert confidence(3, [1]) > confidence(3, [1, 1]) > confidence(3, [1] * 8) > 0.2
    assert confidence(4, [4, 4]) == pytest.approx(1 / 3, abs=1e-6)
    assert confidence(200, [30, 20, 6]) > 0.999999


def test_confidence_is_calibrated_under_its_prior() -> None:
    """Models drawn from the prior: of the votes given some sureness, that share names the mode."""
    draw, sure, right = random.Random(7), 0.0, 0
    trials = 2000
    for _ in range(trials):
        shares = [draw.gammavariate(1, 1) for _ in range(3)]
        seen = draw.choices(range(3), shares, k=8)
        votes = [seen.count(i) for i in range(3)]
        leader = max(range(3), key=lambda i: votes[i])
        sure += confidence(votes[leader], [votes[i] for i in range(3) if i != leader])
        right += shares[leader] == max(shares)
    assert right / trials == pytest.approx(sure / trials, abs=0.03)


def test_the_median_is_an_answer_that_somebody_gave() -> None:
    middle = median(["10", "1,000", None, "5 apples", "north", "7"])
    assert (middle.value, middle.member, middle.numeric) == ("7", 5, 4)
    assert (middle.low, middle.high) == ("5 apples", "10")
    assert (middle.abstentions, middle.of) == (2, 6)
    assert median(["north", None]).value is None
    assert median(["1", "2", "3"], [0, 0, 1]).value == "3"


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=9), st.randoms(use_true_random=False))
def test_the_median_has_no_order(numbers: list[int], shuffler: random.Random) -> None:
    first = median([str(number) for number in numbers])
    shuffler.shuffle(numbers)
    again = median([str(number) for number in numbers])
    assert first.value == again.value == str(sorted(numbers)[(len(numbers) - 1) // 2])
