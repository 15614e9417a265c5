"""A strategy in the place of a model: what it says, and what it refuses."""

import pytest

from thinkgraph.harnesses import respondent
from thinkgraph.harnesses.respondent import Respondent, reply
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Message

ASKED = [Message(role="user", content="How much is 3 times 7?")]


@pytest.fixture
def saying(monkeypatch):
    """Respondents whose model says the given texts, one for each sample."""

    def respond(graph, *texts, **params):
        model = ScriptedModel(texts)
        monkeypatch.setattr(respondent, "_opened", lambda name: model)
        return Respondent(graph, "scripted", **params), model

    return respond


async def test_it_says_the_winning_candidates_text(saying):
    texts = ["It is 20.", "That makes 21.", "3 * 7 = 21"]
    voter, _ = saying("self-consistency", *texts, samples=3)
    assert reply(await voter.answer(ASKED)) == "That makes 21."


async def test_the_answer_follows_a_text_that_would_be_read_as_another(saying):
    voter, _ = saying("arithmetic", "answer = 3 * 7", samples=1)
    assert reply(await voter.answer(ASKED)) == "answer = 3 * 7\n\nANSWER: 21"


async def test_a_text_cut_before_its_answer_is_followed_by_it(saying):
    voter, _ = saying("direct", "Three sevens.\nThat makes 21.")
    assert reply(await voter.answer(ASKED), "Three sevens.") == "Three sevens.\n\nANSWER: 21"


async def test_a_text_without_an_answer_stays_as_it_is(saying):
    voter, _ = saying("direct", "I do not know.")
    assert reply(await voter.answer(ASKED)) == "I do not know."


async def test_an_extractor_finds_the_answers_where_the_graph_says_none(saying):
    texts = ["Yes, 3 times 7 is 21.", "No, it is 22.", "Yes, I think so."]
    voter, _ = saying("self-consistency", *texts, samples=3, extract="yes-no")
    assert (await voter.answer(ASKED)).answer.value == "yes"
    with pytest.raises(ThinkgraphError, match="--extract nope"):
        saying("direct", extract="nope")


async def test_the_conversation_comes_before_the_question(saying):
    before = [
        Message(role="system", content="Be brief."),
        Message(role="user", content="Hello"),
        Message(role="assistant", content="Hi"),
    ]
    voter, model = saying("direct", "21")
    result = await voter.answer([*before, *ASKED])
    assert result.question == ASKED[0].content
    assert model.calls[0].messages[:3] == before


async def test_params_of_a_question_go_before_those_of_the_start(saying):
    voter, model = saying("direct", "21", "21", max_tokens=50)
    await voter.answer(ASKED)
    await voter.answer(ASKED, max_tokens=7)
    assert [call.sampling.max_tokens for call in model.calls] == [50, 7]


async def test_the_same_seed_gives_the_same_samples(saying):
    voter, model = saying("self-consistency", *["21"] * 4, samples=2)
    await voter.answer(ASKED, seed=3)
    await voter.answer(ASKED, seed=3)
    assert model.calls[0].seeds == model.calls[1].seeds


@pytest.mark.parametrize("turns", [[], [*ASKED, Message(role="assistant", content="It is")]])
async def test_a_conversation_without_a_question_is_refused(saying, turns):
    with pytest.raises(ThinkgraphError, match="the last message is not the user's"):
        await saying("direct", "21")[0].answer(turns)


def test_a_wrong_param_costs_no_model():
    with pytest.raises(ThinkgraphError, match="no param 'sample'; did you mean 'samples'"):
        Respondent("self-consistency", "no-such-model.gguf", sample=3)


def test_models_of_one_name_share_an_engine():
    one, other = Respondent("direct", "smollm2"), Respondent("self-consistency", "smollm2")
    assert one._model is other._model
