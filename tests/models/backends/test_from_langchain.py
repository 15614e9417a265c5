"""LangChain chat models, and Runnables around them, as the models of a strategy."""

import pytest
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import AIMessage
from langchain_core.output_parsers import StrOutputParser
from langchain_core.outputs import ChatGeneration, ChatResult
from pydantic import Field

import thinkgraph as tg
from thinkgraph.models.backends.from_langchain import from_langchain
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.chat import ChatGGUF
from thinkgraph.models.errors import ModelError, ThinkgraphError
from thinkgraph.models.model import Message, ModelRequest, Sampling

ASKED = [Message(role="user", content="Two and two?")]


class Flaky(GenericFakeChatModel):
    """Fails a few times, then answers; notes the settings that it was given."""

    failures: int = 1
    asked: list[dict[str, object]] = Field(default_factory=list)

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        self.asked.append(kwargs)
        if len(self.asked) <= self.failures:
            raise OSError("the line is down")
        return ChatResult(generations=[ChatGeneration(message=AIMessage("It is 4."))])

    def _stream(self, messages, stop=None, run_manager=None, **kwargs):
        self.asked.append(kwargs)
        if len(self.asked) <= self.failures:
            raise OSError("the line is down")
        return super()._stream(messages, stop, run_manager, **kwargs)


def flaky(failures=1, **settings) -> Flaky:
    replies = iter([AIMessage("It is 4.")] * 9)
    return Flaky(messages=replies, failures=failures, asked=[], **settings)


def answer(model, **settings) -> str | None:
    return tg.load("direct").run("Two and two?", model=model, **settings).answer.value


def test_without_a_retry_a_failure_is_an_error():
    with pytest.raises(ModelError, match="Flaky failed: the line is down"):
        answer(flaky())


def test_a_model_with_retry_is_asked_again():
    model = flaky()
    assert answer(model.with_retry(wait_exponential_jitter=False)) == "4"
    assert len(model.asked) == 2


def test_a_model_with_fallbacks_falls_back():
    assert answer(flaky(9).with_fallbacks([flaky(0)])) == "4"
    both = flaky(1).bind(stop=None).with_retry(wait_exponential_jitter=False)
    assert answer(flaky(9).with_fallbacks([both])) == "4"


def test_what_was_bound_is_passed_on_unless_the_node_sets_it():
    model = flaky(0)
    answer(model.bind(temperature=0.1, top_p=0.5), temperature=0.3)
    assert (model.asked[0]["temperature"], model.asked[0]["top_p"]) == (0.3, 0.5)


def test_a_setting_that_no_node_gives_is_the_models_own():
    model = flaky(0)
    graph = tg.Graph("plain")
    graph.add(draft=tg.Generate())
    graph.edge(tg.START, "draft", tg.END)
    graph.run("Two and two?", model=model)
    assert model.asked[0].keys() == {"max_tokens"}  # a plan counts on it


def test_the_name_and_the_context_are_the_chat_models():
    model = from_langchain(flaky(profile={"max_input_tokens": 77}).bind(stop=["x"]).with_retry())
    assert (model.name, model.context_length) == ("Flaky", 77)


def test_a_runnable_that_gives_no_message_is_refused():
    with pytest.raises(ModelError, match=r"answers with .*, not with a message"):
        answer(flaky(0) | StrOutputParser())


def test_what_is_no_model_is_refused():
    with pytest.raises(ThinkgraphError, match=r"a model is a name .* not 7"):
        answer(7)


@pytest.mark.parametrize(
    "around",
    [
        lambda model: model,
        lambda model: model.bind(stop=["\n"]),
        lambda model: model.with_retry(),
        lambda model: model.bind(top_k=5).with_config(tags=["mine"]),
    ],
)
def test_a_chat_gguf_is_the_engine_that_it_is(smollm2, around):
    """It has probabilities, goes on from what was begun, and shares a prompt among samples."""
    model = around(ChatGGUF(model=smollm2))
    graph = tg.load("self-refine")
    result = graph.run("Two and two?", model=model, rounds=0, max_tokens=4, seed=1)
    assert result.critiques[0].probability is not None
    assert result.model == "smollm2"
    voted = tg.load("self-consistency").run("Two?", model=model, samples=4, max_tokens=2)
    assert voted.usage.prefilled_tokens <= voted.usage.prompt_tokens < 60


async def test_a_chat_ggufs_settings_hold_where_a_request_gives_none():
    inner = ScriptedModel(["a b c d"] * 4)
    chat = ChatGGUF(model=inner, temperature=0.1, top_k=7, sampling=Sampling(adapter="law"))
    model = from_langchain(chat.bind(top_k=3, min_p=0.2))
    await model.generate(ModelRequest(ASKED, Sampling(temperature=0.9), [1])).completions()
    (call,) = inner.calls
    found = call.sampling
    assert (found.temperature, found.top_k, found.min_p, found.adapter) == (0.9, 3, 0.2, "law")
