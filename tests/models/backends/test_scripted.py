"""A scripted model: what it says, what it records, and what it refuses."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.models.backends.scripted import ScriptedModel, _split
from thinkgraph.models.errors import ModelError, PromptTooLong
from thinkgraph.models.model import (
    Budget,
    Confidence,
    Delta,
    Message,
    ModelRequest,
    Sampling,
    continued,
)

ASKED = [Message(role="system", content="Be brief."), Message(role="user", content="Two and two?")]


async def answers(model, n=1, sampling=None, asked=ASKED, **more):
    generation = model.generate(ModelRequest(asked, sampling or Sampling(), list(range(n)), **more))
    return [c.text for c in await generation.completions()]


async def test_replies_are_used_in_the_order_of_asking():
    model = ScriptedModel(["a", "b", "c"])
    assert await answers(model, n=2) == ["a", "b"]
    assert await answers(model) == ["c"]


async def test_replies_can_be_computed_from_messages_and_seed():
    model = ScriptedModel(lambda messages, seed: f"{messages[-1].content} {seed}")
    assert await answers(model, n=2) == ["Two and two? 0", "Two and two? 1"]


async def test_what_was_asked_is_recorded():
    model = ScriptedModel(["4"])
    await answers(model, asked=continued(ASKED, "It is"), sampling=Sampling(temperature=0))
    (call,) = model.calls
    assert call == (ASKED, "It is", Sampling(temperature=0), [0])


async def test_running_out_of_replies_is_told():
    model = ScriptedModel(["a"], name="tiny")
    with pytest.raises(ModelError, match="the model tiny has 1 replies and was asked for one more"):
        await answers(model, n=2)


async def test_a_fault_is_raised_and_ends_the_other_samples():
    model = ScriptedModel([ConnectionError("gone"), "a " * 1000])
    generation = model.generate(ModelRequest(ASKED, Sampling(), [1, 2]))
    with pytest.raises(ConnectionError, match="gone"):
        await generation.completions()
    assert generation.usage.completion_tokens < 1000


async def test_words_stream_one_at_a_time():
    generation = ScriptedModel(["It  is\nfour. "]).generate(ModelRequest(ASKED, Sampling(), [1]))
    deltas = [event async for event in generation if isinstance(event, Delta)]
    assert [delta.text for delta in deltas] == ["It", "  is", "\nfour. "]


@given(st.text())
def test_words_concatenate_to_the_text(text):
    assert "".join(_split(text)) == text


@pytest.mark.parametrize(
    ("sampling", "text", "reason", "stop"),
    [
        (Sampling(stop=("four", "is four")), "It ", "stop", "is four"),
        (Sampling(stop=("nowhere",)), "It is four.", "stop", ""),
        (Sampling(stop=("It",)), "", "stop", "It"),
        (Sampling(max_tokens=2), "It is", "length", ""),
        (Sampling(max_tokens=3), "It is four.", "stop", ""),
    ],
)
async def test_stop_strings_and_max_tokens_end_a_reply(sampling, text, reason, stop):
    (completion,) = await (
        ScriptedModel(["It is four."]).generate(ModelRequest(ASKED, sampling, [1])).completions()
    )
    assert (completion.text, completion.finish_reason) == (text, reason)
    assert completion.stop_text == stop


async def test_entropies_are_told_to_who_asks_for_them():
    known = Confidence(mean_logprob=-1, min_logprob=-2, self_certainty=3, tail=4)
    model = ScriptedModel(["a", "b"], logprobs=[known, known])
    told = []
    for asks in (True, False):
        request = ModelRequest(ASKED, Sampling(confidence=asks), [1])
        told += [c.confidence for c in await model.generate(request).completions()]
    assert told == [known, Confidence(mean_logprob=-1, min_logprob=-2)]


async def test_a_budget_that_just_suffices_is_no_cut():
    generation = ScriptedModel(["a b c"]).generate(
        ModelRequest(ASKED, Sampling(), [1], Budget(tokens=3))
    )
    (completion,) = await generation.completions()
    assert (completion.text, completion.finish_reason) == ("a b c", "stop")


async def test_choices_are_scaled_to_sum_to_one():
    model = ScriptedModel(choices=[[3, 1]])
    budget = Budget(calls=0)
    probabilities, usage = await model.choose(ModelRequest(ASKED, budget=budget), ["yes", "no"])
    assert probabilities == [0.75, 0.25]
    assert (usage.prompt_tokens, usage.model_calls) == (5, 1)
    assert budget.exhausted
    with pytest.raises(ModelError, match="1 choices"):
        await model.choose(ModelRequest(ASKED), ["yes", "no"])


async def test_a_script_that_does_not_match_what_is_asked_is_told():
    with pytest.raises(ModelError, match="2 weights for 3 options"):
        await ScriptedModel(choices=[[1, 1]]).choose(ModelRequest(ASKED), ["a", "b", "c"])


async def test_a_prompt_too_long_is_told():
    with pytest.raises(PromptTooLong, match="5 tokens and the context holds 5"):
        ScriptedModel(["a"], context_length=5).generate(ModelRequest(ASKED, Sampling(), [1]))


def test_one_text_is_not_taken_for_a_list_of_letters():
    with pytest.raises(ModelError, match="a list of replies"):
        ScriptedModel("four")


async def test_a_generation_is_iterated_once():
    generation = ScriptedModel(["a"]).generate(ModelRequest(ASKED, Sampling(), [1]))
    await generation.completions()
    with pytest.raises(RuntimeError, match="only once"):
        async for _ in generation:
            pass
