"""The lossless stop: on the same samples it gives the winner and the tie of the full vote."""

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from thinkgraph.models.scripted import ScriptedModel
from thinkgraph.nodes.generate import Generate
from thinkgraph.nodes.population import State
from thinkgraph.nodes.step import Step
from thinkgraph.nodes.vote import Vote

LONG = 30


def voted(answers, lengths, until):
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
    return Vote().elect(state), update.candidates, step.usage


SAMPLES = st.lists(
    st.tuples(st.sampled_from(["4", "4.0", "5", "6", None]), st.integers(0, LONG)),
    min_size=1,
    max_size=12,
)


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


def test_it_saves_what_a_decided_vote_does_not_need():
    answers, lengths = ["4"] * 5 + ["5"] * 3, [0] * 5 + [LONG] * 3
    _, candidates, spent = voted(answers, lengths, "decided")
    assert [c.finish_reason for c in candidates] == ["stop"] * 5 + ["cancelled"] * 3
    assert spent.completion_tokens < 5 + 3 * LONG / 2


def test_it_waits_where_a_tie_is_still_possible():
    _, candidates, _ = voted(["4", "4", "5", "5"], [0, 0, LONG, LONG], "decided")
    assert all(c.finish_reason == "stop" for c in candidates)
