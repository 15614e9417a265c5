"""The branches of a tree: steps, prefixes, and when a branch is complete."""

from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.nodes.kinds.expand import Expand, steps
from thinkgraph.nodes.population import Candidate, State
from thinkgraph.nodes.step import Step


@given(st.text(alphabet="ab\n ", max_size=30))
def test_steps_join_to_the_text_and_each_says_something(text):
    found = steps(text, "\n")
    assert "".join(found) == text
    assert all(step.strip() for step in found[1:])


def begun(text, finish="length", **rest):
    return Candidate(
        id="a", node="n", round=0, text=text, seed=0, tokens=1, finish_reason=finish, **rest
    )


async def grown(replies, *candidates, **settings):
    model = ScriptedModel(replies)
    step = Step("grow", 0, 1, {}, models=lambda role: model)
    state = State(question="How many?", candidates={c.id: c for c in candidates})
    update = await Expand(**settings).run(state, step)
    return update.candidates, model


async def test_children_take_their_parents_place():
    (parent, *children), model = await grown(["two", "three"], begun("one\n"), samples=2)
    assert not parent.live
    assert [child.text for child in children] == ["one\ntwo\n", "one\nthree\n"]
    assert all(child.parents == ("a",) and child.live for child in children)
    assert model.calls[0].prefix == "one\n"


async def test_a_step_that_adds_nothing_completes_its_branch():
    (_, child), _ = await grown([""], begun("one\n"), samples=1)
    assert (child.text, child.finish_reason) == ("one\n", "stop")


async def test_an_answer_completes_its_branch():
    (_, child), _ = await grown(["The answer is 4."], begun("one\n"), samples=1)
    assert (child.finish_reason, child.answer) == ("stop", "4")


async def test_what_is_complete_is_left_alone():
    found, model = await grown([], begun("It is 4", finish="stop"), samples=2)
    assert (found, model.calls) == ((), [])
