"""The vote: whose answer wins, by what weight, and what it tells."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.models.arguments import ArgumentError
from thinkgraph.models.model import Budget, Confidence
from thinkgraph.nodes.kinds.vote import Vote
from thinkgraph.nodes.population import Candidate, State
from thinkgraph.nodes.step import Step

ANSWERS = st.sampled_from(["4", "4.0", "8/2", "5", "five", None, "1,000", "1000"])


def drafted(index, answer, *, logprob=None, certainty=None, tail=None, finish="stop", live=True):
    known = logprob is not None or certainty is not None or tail is not None
    confidence = Confidence(
        mean_logprob=logprob or 0.0, min_logprob=-9.0, self_certainty=certainty, tail=tail
    )
    return Candidate(
        id=f"c.0.{index}",
        node="c",
        round=0,
        text=f"It is {answer}",
        answer=answer,
        seed=0,
        tokens=3,
        finish_reason=finish,
        live=live,
        confidence=confidence if known else None,
    )


def population(candidates):
    return State(question="How many?", candidates={c.id: c for c in candidates})


def elect(candidates, **settings):
    return Vote(**settings).elect(population(candidates))


@pytest.mark.slow
@given(st.data(), st.lists(ANSWERS, max_size=9))
@pytest.mark.parametrize(
    "settings",
    [{}, {"by": "logprob"}, {"by": "certainty", "borda": 0.7}, {"by": "tail", "keep": 0.6}],
)
def test_order_changes_nothing_but_the_tie_break(settings, data, answers):
    """Of tied classes the first answered wins; all else is the same in every order."""
    grades = st.sampled_from([1.0, 2.0, 3.0])
    candidates = [
        drafted(
            i, a, logprob=-data.draw(grades), certainty=data.draw(grades), tail=data.draw(grades)
        )
        for i, a in enumerate(answers)
    ]
    shuffled = data.draw(st.permutations(candidates))
    one, other = elect(candidates, **settings), elect(shuffled, **settings)
    assert (one.tie, one.of, one.votes if not one.tie else 0) == (
        other.tie,
        other.of,
        other.votes if not other.tie else 0,
    )
    assert one.tally.abstentions == other.tally.abstentions
    assert sorted((c.value, c.votes) for c in one.tally.classes) == sorted(
        (c.value, c.votes) for c in other.tally.classes
    )
    if one.tie:
        assert set(one.tally.tied) == set(other.tally.tied)
        voters = _kept(shuffled, settings["keep"]) if "keep" in settings else shuffled
        tied = [c for c in other.tally.classes if c.value in other.tally.tied]
        assert other.candidate == voters[min(i for c in tied for i in c.members)].id
    else:
        assert one.value == other.value


def _kept(candidates, keep):
    values = sorted((c.confidence.tail for c in candidates if c.answer is not None), reverse=True)
    least = values[math.ceil(keep * len(values)) - 1] if values else 0.0
    return [c for c in candidates if c.answer is None or c.confidence.tail >= least]


@given(st.lists(ANSWERS, min_size=2, max_size=9), st.randoms())
def test_the_median_is_the_same_in_every_order(answers, random):
    candidates = [drafted(i, a) for i, a in enumerate(answers)]
    shuffled = random.sample(candidates, len(candidates))
    one, other = (elect(c, combine="median") for c in (candidates, shuffled))
    assert one.votes == other.votes


def test_log_probability_outweighs_numbers():
    """A vote weighs the probability of its words: e^-0.1 against 2 e^-2."""
    candidates = [
        drafted(0, "4", logprob=-2),
        drafted(1, "4", logprob=-2),
        drafted(2, "5", logprob=-0.1),
    ]
    assert elect(candidates).value == "4"
    answer = elect(candidates, by="logprob")
    assert answer.value == "5"
    assert answer.tally.winner.weight == pytest.approx(math.exp(-0.1))


def test_borda_weighs_ranks_and_equals_share_one():
    """Ranks 1, 2, 2, 4 of four weigh 4, 3, 3, 1."""
    certainty = [9.0, 5.0, 5.0, 1.0]
    candidates = [drafted(i, str(i), certainty=c) for i, c in enumerate(certainty)]
    answer = elect(candidates, by="certainty", borda=1)
    assert sorted(c.weight for c in answer.tally.classes) == [1, 3, 3, 4]


def test_only_the_most_confident_vote():
    candidates = [
        drafted(0, "4", tail=1),
        drafted(1, "4", tail=1),
        drafted(2, "5", tail=8),
        drafted(3, "5", tail=7),
    ]
    answer = elect(candidates, by="tail", keep=0.5)
    assert (answer.value, answer.of, answer.tally.margin) == ("5", 2, 15)


def test_what_has_no_answer_takes_no_place_among_the_most_confident():
    candidates = [drafted(0, None, tail=9), drafted(1, "4", tail=3), drafted(2, "5", tail=2)]
    answer = elect(candidates, by="tail", keep=0.5)
    assert (answer.value, answer.votes, answer.tally.abstentions) == ("4", 1, 1)


def test_a_measure_that_only_an_abstention_lacks_still_weighs():
    candidates = [
        drafted(0, None),
        drafted(1, "4", tail=9),
        *(drafted(i, "5", tail=2) for i in (2, 3)),
    ]
    answer = elect(candidates, by="tail")
    assert (answer.value, answer.note.count("weighs the same")) == ("4", 0)


def test_without_a_measure_all_weigh_the_same_and_it_is_said():
    answer = elect([drafted(0, "4"), drafted(1, "4"), drafted(2, "5")], by="certainty")
    assert answer.value == "4"
    assert answer.note.endswith("No certainty is known, so every vote weighs the same.")


def test_numbers_within_a_tolerance_are_one_answer():
    candidates = [drafted(0, "99"), drafted(1, "100"), drafted(2, "7")]
    assert elect(candidates).votes == 1
    assert elect(candidates, tolerance=1).votes == 2
    assert elect(candidates, tolerance="2%").votes == 2
    with pytest.raises(ArgumentError, match="neither a number"):
        Vote(tolerance="much")


def test_it_is_said_how_many_texts_were_cut_off():
    whole = [drafted(0, "4"), drafted(1, "5")]
    assert "cut off" not in elect(whole).note
    cut = drafted(2, "4", finish="length")
    assert elect([*whole, cut]).note.endswith("1 of 3 texts were cut off before their end.")


def test_a_candidate_cut_by_the_budget_votes_only_alone():
    cut = drafted(0, "9", finish="budget")
    assert elect([cut, drafted(1, "4")]).value == "4"
    assert elect([cut, drafted(1, None)]).value == "9"


async def test_in_a_run_that_was_cut_the_retired_speak_before_nobody_does():
    state = population([drafted(0, "4", live=False), drafted(1, None)])
    budget = Budget(tokens=1)
    step = Step("vote", 0, 1, {}, models=lambda role: None, budget=budget)
    assert (await Vote().run(state, step)).answer.value is None
    budget.tell_cut("the budget of 1 tokens is spent")
    assert (await Vote().run(state, step)).answer.value == "4"


def test_nobody_at_all_gives_no_answer():
    answer = elect([])
    assert (answer.value, answer.text, answer.candidate, answer.of) == (None, "", None, 0)


@pytest.mark.parametrize("setting", [{"borda": 1}, {"keep": 0.5}])
def test_ranks_need_a_measure(setting):
    with pytest.raises(ValueError, match="need a measure; set `by`"):
        Vote(**setting)
