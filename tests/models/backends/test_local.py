"""A local model's probabilities of options: those of the text as the model would write it."""

import math

import pytest

from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Message, ModelRequest

VERDICT = ModelRequest(
    [Message(role="user", content="Is it so?"), Message(role="assistant", content="Verdict:")]
)


async def pieces(model, request, text):
    scored, _ = await model.score(request, text)
    return [token.text for token in scored]


async def test_an_option_is_of_the_tokens_that_follow_its_prompt(sentencepiece):
    assert await pieces(sentencepiece, VERDICT, " correct") == [" correct"]
    assert await pieces(sentencepiece, VERDICT, "correct") == ["correct"]
    assert await pieces(sentencepiece, VERDICT, " wrong!") == [" wrong", "!"]


async def test_an_option_that_melts_with_the_prompts_end_is_scored_from_there(opened):
    begun = [Message(role="user", content="x"), Message(role="assistant", content="k")]
    model = opened("llama")
    assert await pieces(model, ModelRequest(begun), "ing") == ["ing"]
    melting = [*begun[:1], Message(role="assistant", content="ki")]
    assert await pieces(model, ModelRequest(melting), "ng") == ["ing"]


@pytest.mark.slow
@pytest.mark.parametrize("fixture", ["sentencepiece", "smollm2"])
async def test_options_are_as_likely_as_their_tokens(fixture, request):
    model = request.getfixturevalue(fixture)
    options = [" correct", " wrong", " wrong, and"]
    scored = [(await model.score(VERDICT, option))[0] for option in options]
    weights = [math.exp(sum(token.logprob for token in tokens)) for tokens in scored]
    chosen, _ = await model.choose(VERDICT, options)
    assert chosen == pytest.approx([weight / sum(weights) for weight in weights], abs=0.05)


async def test_an_empty_option_is_refused(sentencepiece):
    with pytest.raises(ModelError, match="empty text"):
        await sentencepiece.choose(VERDICT, ["yes", ""])
