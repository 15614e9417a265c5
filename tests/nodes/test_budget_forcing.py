"""Budget forcing: what a thought may cost, and that an answer always comes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.graphs.graph import Graph
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.model import Confidence
from thinkgraph.nodes.budget_forcing import Thinking, joined
from thinkgraph.nodes.kinds.generate import Generate


def run(replies, budget=None, **thinking):
    graph = Graph("think")
    graph.add(reply=Generate(thinking=Thinking(**thinking)))
    graph.edge("START", "reply", "END")
    model = ScriptedModel(replies)
    return graph.run("How many?", model=model, seed=1, budget=budget), model


def test_a_thought_is_no_part_of_the_answer():
    result, _ = run(["maybe 7", "It is 4"])
    assert result.answer.value == "4"
    assert result.answer.text == "It is 4"
    assert result.candidates[0].reasoning == "maybe 7"


def test_the_words_that_close_a_thought_mark_the_answer():
    words = {"open": "", "close": "\n\nFinal answer:"}
    result, _ = run(["we have 6 boxes", " 42. This follows from 6 times 7."], **words)
    assert result.answer.value == "42"
    assert result.answer.text == "Final answer: 42. This follows from 6 times 7."


@pytest.mark.parametrize("close", ["\n</think>\n\n", "\n</reason>\n", "[/THINK]", "\n◁/think▷\n"])
def test_a_closing_tag_is_no_part_of_the_answer(close):
    result, _ = run(["maybe 7", " 42"], close=close)
    assert result.answer.text == "42"


@pytest.mark.parametrize("open_", ["", "<think>\n"])
def test_an_answer_without_a_value_is_asked_for_whatever_the_thought_holds(open_):
    vague = "There is no way to tell from what is given here, since the price is left out."
    result, model = run(["we have 6 boxes", vague, " 7"], open=open_, close="\nSo then.\n")
    assert len(model.calls) == 3
    assert result.answer.value == "7"


def test_the_runs_budget_leaves_room_for_the_answer():
    """A thought takes half of what is left, and the answer has the rest."""
    result, model = run(["so " * 50, "4"], budget={"tokens": 10}, tokens=100)
    assert [call.sampling.max_tokens for call in model.calls] == [5, 512]
    assert result.answer.value == "4"
    assert "kept for the answer" in result.cut


def test_the_last_call_of_a_budget_is_for_the_answer():
    result, model = run(["4"], budget={"calls": 1})
    assert len(model.calls) == 1
    assert result.answer.value == "4"


def test_words_that_were_put_in_are_no_answer():
    result, _ = run(["so so so", "never"], budget={"tokens": 1}, close="\nFinal answer: 9")
    assert result.answer.value is None


def test_parts_have_seeds_of_their_own():
    _, model = run(["a", "b", "It is 4"], waits=1)
    assert len({call.seeds[0] for call in model.calls}) == 3


@given(st.lists(st.tuples(st.floats(-9, 0), st.integers(1, 50)), min_size=1, max_size=5))
def test_the_confidence_of_parts_is_that_of_the_whole(parts):
    whole = joined([(Confidence(mean_logprob=m, min_logprob=m), n) for m, n in parts])
    total = sum(n for _, n in parts)
    assert abs(whole.mean_logprob - sum(m * n for m, n in parts) / total) < 1e-9
    assert whole.min_logprob == min(m for m, _ in parts)
    assert whole.entropy is None
