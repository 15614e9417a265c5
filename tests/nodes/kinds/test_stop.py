"""The lossless stop: on the same samples it gives the winner and the tie of the full vote."""

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.nodes.kinds.generate import Generate
from thinkgraph.nodes.kinds.vote import Vote
from thinkgraph.nodes.population import State
from thinkgraph.nodes.step import Step

LONG = 30


def voted(answers, lengths, until, vote=Vote()):  # noqa: B008 (it is frozen)
    """The vote over samples that are given: each an answer after so many words."""
    texts = [
        "hm " * length + (f"{answer}." if answer else "none")
        for answer, length in zip(answers, lengths, strict=True)
    ]
    model = ScriptedModel(texts)
    step = Step("sample", 0, 1, {}, models=lambda role: model)
    node = Generate(samples=len(texts), until=until, max_tokens=LONG + 2)
    update = asyncio.run(node.run(State(question="How many?"), step))
    state = State(question="How many?", candidates={c.id: c for c in update.candidates})
    return vote.elect(state), update.candidates, step.usage


SAMPLES = st.lists(
    st.tuples(st.sampled_from(["4", "4.0", "5", "6", None]), st.integers(0, LONG)),
    min_size=1,
    max_size=12,
)


@pytest.mark.slow
@settings(max_examples=250, deadline=None)
@given(SAMPLES)
def test_the_stop_changes_neither_the_winner_nor_the_tie(samples):
    answers, lengths = zip(*samples, strict=True)
    full, everyone, spent = voted(answers, lengths, "never")
    stopped, candidates, less = voted(answers, lengths, "decided")
    assert (stopped.tie, stopped.tally.tied) == (full.tie, full.tally.tied)
    assert (stopped.value is None) == (full.value is None)
    if full.value is not None:
        assert float(stopped.value) == float(full.value)
    assert len(candidates) == len(everyone)
    assert less.completion_tokens <= spent.completion_tokens
    assert less.completion_tokens == sum(c.tokens for c in candidates)
    assert stopped.of + stopped.cancelled == len(candidates)
    assert "might have" not in stopped.note


OTHERS = [
    Vote(by="heuristic"),
    Vote(by="heuristic", borda=1),
    Vote(by="heuristic", keep=0.5),
    Vote(combine="median"),
    Vote(tolerance=1),
    Vote(tolerance="20%"),
]


@pytest.mark.slow
@settings(max_examples=250, deadline=None)
@given(SAMPLES, st.sampled_from(OTHERS))
def test_a_vote_that_the_stop_may_have_changed_says_so(samples, vote):
    answers, lengths = zip(*samples, strict=True)
    full, _, _ = voted(answers, lengths, "never", vote)
    stopped, _, _ = voted(answers, lengths, "decided", vote)
    assert ("might have changed" in stopped.note) == (stopped.cancelled > 0)
    if (stopped.value, stopped.tie) != (full.value, full.tie):
        assert "might have changed" in stopped.note


def test_votes_of_another_node_can_undo_what_was_decided():
    decided, others = (
        voted([answer] * samples, range(samples), until)[1]
        for answer, samples, until in [("4", 5, "decided"), ("5", 3, "never")]
    )
    renamed = [c.model_copy(update={"id": f"other.{c.id}"}) for c in others]
    pooled = {c.id: c for c in [*decided, *renamed]}
    answer = Vote().elect(State(question="How many?", candidates=pooled))
    assert (answer.tie, answer.cancelled) == (True, 2)
    assert answer.note.endswith("2 samples were cancelled that might have changed this vote.")


def test_it_saves_what_a_decided_vote_does_not_need():
    answers, lengths = ["4"] * 5 + ["5"] * 3, [0] * 5 + [LONG] * 3
    _, candidates, spent = voted(answers, lengths, "decided")
    assert [c.finish_reason for c in candidates] == ["stop"] * 5 + ["cancelled"] * 3
    assert spent.completion_tokens < 5 + 3 * LONG / 2


def test_it_waits_where_a_tie_is_still_possible():
    _, candidates, _ = voted(["4", "4", "5", "5"], [0, 0, LONG, LONG], "decided")
    assert all(c.finish_reason == "stop" for c in candidates)
