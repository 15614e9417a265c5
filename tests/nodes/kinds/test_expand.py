"""The branches of a tree: steps, prefixes, and when a branch is complete."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import thinkgraph as tg
from thinkgraph.models.backends import scripted
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.model import Confidence
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
    (parent, *children), model = await grown(["two\n", "three\n"], begun("one\n"), samples=2)
    assert not parent.live
    assert [child.text for child in children] == ["one\ntwo\n", "one\nthree\n"]
    assert all(child.parents == ("a",) and child.live for child in children)
    assert model.calls[0].prefix == "one\n"


async def test_what_the_model_ends_is_complete():
    (_, child), _ = await grown([""], begun("one\n"), samples=1)
    assert (child.text, child.finish_reason) == ("one\n", "stop")


async def test_a_blank_line_is_no_step_and_completes_nothing():
    (_, child), model = await grown(["\n\ntwo\nthree"], begun("one\n"), samples=1)
    assert (child.text, child.finish_reason) == ("one\n\n\ntwo\n", "length")
    (_, last), _ = await grown(["\n"], begun("one\n"), samples=1)
    assert last.finish_reason == "stop"
    assert len(model.calls) == 1


@pytest.mark.parametrize("answer", ["So 18.", r"So \boxed{18}", "The answer is 18."])
async def test_a_line_that_the_model_ends_is_complete(answer):
    (_, child), _ = await grown([answer], begun("one\n"), samples=1)
    assert (child.text, child.finish_reason) == (f"one\n{answer}", "stop")


async def test_a_text_of_stop_ends_the_branch_and_no_step():
    (child,), _ = await grown(["two###three\n"], samples=1, stop=("###",))
    assert (child.text, child.finish_reason) == ("two", "stop")


async def test_of_a_model_that_does_not_tell_what_ended_a_line_it_was_the_separator(monkeypatch):
    monkeypatch.setattr(scripted, "_until_stop", lambda text, sampling: (text, None))
    (child,), _ = await grown(["two"], samples=1)
    assert (child.text, child.finish_reason) == ("two\n", "length")


async def test_children_that_add_nothing_count_once():
    (_, *children), _ = await grown(["", "two\n", "\n"], begun("one\n"), samples=3)
    assert [child.live for child in children] == [True, True, False]


@given(st.lists(st.sampled_from(["two\n", "three\n", "two \n", ""]), min_size=1, max_size=6))
async def test_of_equal_steps_the_first_alone_is_live(replies):
    for parents in ([], [begun("one\n")]):
        found, _ = await grown(replies, *parents, samples=len(replies))
        children = found[len(parents) :]
        alive = [child.text.rstrip() for child in children if child.live]
        assert len(alive) == len(set(alive))
        assert set(alive) == {child.text.rstrip() for child in children}


async def test_equal_whole_answers_all_stay_live():
    found, _ = await grown(["It is 4"] * 3, samples=3, write="rest")
    assert [child.live for child in found] == [True] * 3


async def test_a_step_begins_no_thought():
    _, model = await grown(["two\n"], begun("one\n"), samples=1)
    assert model.calls[0].sampling.template == {"enable_thinking": False}
    _, model = await grown(["two\n"], begun("one\n"), samples=1, template={"enable_thinking": True})
    assert model.calls[0].sampling.template == {"enable_thinking": True}
    _, model = await grown(["It is 4"], samples=1, write="rest")
    assert not model.calls[0].sampling.template


async def test_steps_that_are_all_empty_are_told():
    model = ScriptedModel(["<think>" + "well " * 80 + "</think>4\n"] * 2)
    step = Step("grow", 0, 1, {}, models=lambda role: model)
    update = await Expand(samples=2, max_tokens=64).run(State(question="How many?"), step)
    assert [child.text for child in update.candidates] == ["", ""]
    (failure,) = step.failures
    assert failure.startswith("the model wrote nothing; raise `max_tokens`")


async def test_log_probabilities_of_a_branch_count_each_token_once():
    """Four tokens at -1, two at -4 and two at -2: the mean of the eight is -2."""
    one = sure("a", "a a a a\n", -1.0, tokens=4)
    two = sure("b", "a a a a\nb b\n", -2.0, tokens=2, parents=("a",))  # (4 * -1 + 2 * -4) / 6
    model = ScriptedModel(["c c"], logprobs=[-2.0])
    step = Step("grow", 0, 1, {}, models=lambda role: model)
    state = State(question="?", candidates={"a": one.retired(), "b": two})
    update = await Expand(samples=1).run(state, step)
    assert update.candidates[-1].confidence.mean_logprob == pytest.approx(-2.0)


def sure(name, text, logprob, **rest):
    confidence = Confidence(mean_logprob=logprob, min_logprob=logprob)
    known = {"node": "n", "round": 0, "seed": 0, "finish_reason": "length"}
    return Candidate(id=name, text=text, confidence=confidence, **known, **rest)


@pytest.mark.parametrize(
    ("rollout", "terminal"),
    [
        ("think\nthen\nIt is 4", False),
        ("It is 4", True),  # all of it would be kept
        ("The answer is 4.\nSo be it.\nDone.", True),  # the kept line answers
    ],
)
async def test_a_rollout_is_terminal_where_its_children_would_rewrite_nothing(rollout, terminal):
    (child,), _ = await grown([rollout], samples=1, start="depth", write="rest")
    assert child.terminal == terminal


async def test_a_terminal_rollout_is_left_alone():
    settings = {"samples": 1, "start": "depth", "write": "rest"}
    found, model = await grown([], begun("It is 4", "stop", terminal=True), **settings)
    assert (found, model.calls) == ((), [])


async def test_an_answer_completes_its_branch():
    for line in ("The answer is 4.", r"So \boxed{4}"):
        (_, child), _ = await grown([line + "\nNow 5."], begun("one\n"), samples=1)
        assert (child.finish_reason, child.answer) == ("stop", "4")


@pytest.mark.parametrize(
    "line",
    [
        "To find the answer: we first add.",
        "To get the answer: multiply 3 by 4.",
        "The answer is the total number of apples times the price.",
        "Answer: we first compute the number of boxes.",
        "The answer is in dollars.",
        "The final answer is calculated as follows.",
    ],
)
async def test_a_line_about_an_answer_completes_nothing(line):
    (child,), _ = await grown([f"{line}\n4"], samples=1)
    assert child.finish_reason == "length"


@pytest.mark.parametrize(
    "line",
    [
        "The answer is (B) Paris.",
        "Answer: yes, they all fit in there.",
        "The answer is $x + y$.",
        "To find the answer: 3 * 4 = 12.",
        r"\boxed{the sum of all of them}",
    ],
)
async def test_an_answer_in_words_completes_its_branch(line):
    (child,), _ = await grown([f"{line}\nMore."], samples=1)
    assert child.finish_reason == "stop"


async def test_log_probabilities_of_a_rewritten_text_are_not_its_drafts():
    """The rewrite has two tokens at -2, not the ten of its draft; two more at -4 make -3."""
    draft = sure("a", "x x x x x x x x x x", -9.0, tokens=10)
    rewrite = sure("b", "b b\n", -2.0, tokens=2, parents=("a",))
    model = ScriptedModel(["c c"], logprobs=[-4.0])
    step = Step("grow", 0, 1, {}, models=lambda role: model)
    state = State(question="?", candidates={"a": draft.retired(), "b": rewrite})
    update = await Expand(samples=1).run(state, step)
    assert update.candidates[-1].confidence.mean_logprob == pytest.approx(-3.0)


async def test_what_is_complete_is_left_alone():
    found, model = await grown([], begun("It is 4", finish="stop"), samples=2)
    assert (found, model.calls) == ((), [])


@pytest.mark.parametrize("end", ["\n", "; "])
def test_a_step_that_goes_on_is_criticized_beside_a_complete_candidate(end):
    """It isn't complete, and yet not cut off."""
    made = tg.Graph("steps")
    made.add(grow=tg.Expand(samples=2, step=end), check=tg.Critique(prefix="", max_tokens=8))
    made.edge(tg.START, "grow", "check", tg.END)
    model = ScriptedModel(["It is 7.", f"First, 2{end}", "bad", "good"], choices=[[1, 9], [9, 1]])
    result = made.run("How many?", model=model)
    assert [c.text for c in result.critiques] == ["bad", "good"]


async def test_only_steps_that_the_search_extends_are_partial():
    (_, *steps_), _ = await grown(["two\n", "It is 4."], begun("one\n"), samples=2)
    (_, rest), _ = await grown(["so " * 9], begun("one\n"), samples=1, write="rest", max_tokens=3)
    assert [child.partial for child in [*steps_, rest]] == [True, False, False]
    assert rest.finish_reason == "length"
