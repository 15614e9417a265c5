"""The LangChain chat model: LangChain's own standard tests on a real GGUF, and ours."""

import asyncio
import copy
import json
import pickle
import threading
import time

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.messages import AIMessage, FunctionMessage, HumanMessage, SystemMessage
from langchain_tests.integration_tests import ChatModelIntegrationTests
from langchain_tests.unit_tests import ChatModelUnitTests
from langgraph.graph import START, MessagesState, StateGraph

from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.catalogue import load
from thinkgraph.models.chat import ChatGGUF
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Message, Sampling
from thinkgraph.models.seed import derive_seed

ENGINE = {"context": 1024, "sequences": 8}


class Ours:
    chat_model_class = ChatGGUF
    chat_model_params = {"model": "smollm2", "engine": ENGINE, "max_tokens": 24}  # noqa: RUF012
    standard_chat_model_params = {"temperature": 0}  # noqa: RUF012
    has_tool_calling = has_structured_output = supports_model_override = False


class TestStandardUnit(Ours, ChatModelUnitTests):
    chat_model_params = {"model": "smollm2", "engine": ENGINE}  # noqa: RUF012


@pytest.mark.model
class TestStandardIntegration(Ours, ChatModelIntegrationTests):
    pass


@pytest.fixture(scope="module")
def smollm2():
    return ChatGGUF(model="smollm2", engine=ENGINE, max_tokens=12, temperature=1.0)


def scripted(text="one two three four", **settings):
    return ChatGGUF(model=ScriptedModel(lambda messages, seed: f"{text} {seed}"), **settings)


def generations(chat, text="hi", **kwargs):
    return chat.generate([[HumanMessage(text)]], **kwargs).generations[0]


def total(chunks):
    first, *rest = chunks
    for chunk in rest:
        first += chunk
    return first


def test_n_completions_of_one_prompt(smollm2):
    several = generations(smollm2, "Name a colour.", n=3, seed=5)
    infos = [g.generation_info for g in several]
    assert [info["index"] for info in infos] == [0, 1, 2]
    assert [info["seed"] for info in infos] == [5, derive_seed(5, 1), derive_seed(5, 2)]
    assert {info["finish_reason"] for info in infos} <= {"stop", "length"}
    assert all(info["mean_logprob"] < 0 for info in infos)
    assert all(g.text for g in several)


def test_the_same_seeds_give_the_same_texts(smollm2):
    # The first asking computes the prompt and the others find it: kernels, and so texts, differ.
    _, once, again, other = (
        [g.text for g in generations(smollm2, "Tell me a story.", seeds=seeds)]
        for seeds in ([1, 2], [1, 2], [1, 2], [3, 4])
    )
    assert once == again != other


def test_usage_of_n_messages_adds_up_to_the_request(smollm2):
    result = smollm2.generate([[HumanMessage("Name a colour.")]], n=3)
    spent = result.generations[0][0].message.response_metadata
    usages = [g.message.usage_metadata for g in result.generations[0]]
    prompt = load("smollm2", **ENGINE).count_tokens(
        [Message(role="user", content="Name a colour.")]
    )
    assert [u["input_tokens"] for u in usages] == [prompt, 0, 0]
    assert all(u["total_tokens"] == u["input_tokens"] + u["output_tokens"] for u in usages)
    assert all(0 < u["output_tokens"] <= 12 for u in usages)
    assert spent["model_name"] == "smollm2"


def test_a_prompt_asked_again_is_read_from_the_cache(smollm2):
    generations(smollm2, "Name one animal of Africa.")
    (again,) = generations(smollm2, "Name one animal of Africa.")
    usage = again.message.usage_metadata
    assert 0 < usage["input_token_details"]["cache_read"] <= usage["input_tokens"]


def test_settings_of_a_call_win_over_those_of_the_model():
    chat = scripted(temperature=0.5, top_k=7, stop=["x"], sampling=Sampling(min_p=0.2, top_k=9))
    generations(chat)
    generations(chat, temperature=0, stop=["y", "z"], repeat_penalty=1.1)
    first, second = (call.sampling for call in chat.model.calls)
    assert first == Sampling(temperature=0.5, top_k=7, min_p=0.2, stop=("x",))
    assert second == first.model_copy(
        update={"temperature": 0, "stop": ("y", "z"), "repeat_penalty": 1.1}
    )


def test_a_fresh_seed_is_drawn_where_none_is_given():
    seeds = [generations(scripted())[0].generation_info["seed"] for _ in range(3)]
    assert len(set(seeds)) == 3


def test_derived_seeds_begin_alike_and_keep_apart():
    def seeds(seed, n):
        return [g.generation_info["seed"] for g in generations(scripted(), seed=seed, n=n)]

    assert seeds(7, 1) == [7]
    assert seeds(7, 9)[:4] == seeds(7, 4)
    assert not set(seeds(1, 50)) & set(seeds(2, 50))


def test_an_answer_that_has_begun_is_gone_on_from(smollm2):
    asked = HumanMessage("Count from one to ten.")
    begun = "one, two, three, four,"
    reply = smollm2.invoke([asked, AIMessage(begun)], temperature=0, max_tokens=4)
    assert reply.text.strip().startswith("five")


def test_roles_and_text_parts_are_taken():
    chat = scripted()
    parts = ["a", {"type": "text", "text": "b"}]
    chat.invoke(
        [SystemMessage("s"), HumanMessage(content=parts), AIMessage("x"), HumanMessage("y")]
    )
    (call,) = chat.model.calls
    assert [(m.role, m.content) for m in call.messages] == [
        ("system", "s"),
        ("user", "ab"),
        ("assistant", "x"),
        ("user", "y"),
    ]


@pytest.mark.parametrize(
    ("messages", "what"),
    [
        ([HumanMessage(content=[{"type": "image", "url": "x"}])], "'image' is not supported"),
        ([FunctionMessage("4", name="add")], "a function message is not supported"),
    ],
)
def test_what_is_not_supported_is_told(messages, what):
    with pytest.raises(ModelError, match=what):
        scripted().invoke(messages)


@pytest.mark.parametrize(
    ("kwargs", "what"),
    [
        ({"temprature": 1}, "'temprature' is not a setting of a call; did you mean 'temperature'"),
        ({"zzzz": []}, "'zzzz' is not a setting of a call; it takes .*temperature"),
        ({"temperature": -1}, "temperature can't be -1"),
        ({"seeds": [1, 2], "n": 3}, "2 seeds are given for 3 completions"),
        ({"seeds": []}, "0 seeds"),
        ({"n": 0}, "at least one"),
    ],
)
def test_a_bad_setting_of_a_call_is_told(kwargs, what):
    for ask in (scripted().invoke, lambda *a, **k: list(scripted().stream(*a, **k))):
        with pytest.raises(ModelError, match=what):
            ask("hi", **kwargs)


def test_a_bad_setting_of_the_model_is_told_at_once():
    with pytest.raises(ModelError, match="top_p can't be 2"):
        ChatGGUF(model="smollm2", top_p=2)
    with pytest.raises(ModelError, match="a name or an open model, not 7"):
        ChatGGUF(model=7)
    with pytest.raises(ValueError, match="temprature"):
        ChatGGUF(model="smollm2", temprature=1)
    with pytest.raises(ModelError, match="no model is named 'gpt'"):
        ChatGGUF(model="gpt").invoke("hi")


class Named(ScriptedModel):
    """Answers with the name it was opened by; like an engine, it can't be copied."""

    def __init__(self, name, **settings):
        super().__init__(lambda messages, seed: f"I am {name}", name=name)
        self.settings, self.lock = settings, threading.RLock()


@pytest.fixture
def opened(monkeypatch):
    """The models that chats have opened."""
    models = []

    def load(name, **settings):
        models.append(Named(name, **settings))
        return models[-1]

    monkeypatch.setattr("thinkgraph.models.chat.load", load)
    return models


def test_a_copy_with_another_model_opens_that_one(opened):
    chat = ChatGGUF(model="one")
    assert chat.invoke("hi").text == "I am one"
    assert chat.model_copy(update={"model": "two"}).invoke("hi").text == "I am two"
    assert chat.model_copy(update={"temperature": 0.5}).invoke("hi").text == "I am one"
    assert len(opened) == 2


def test_a_chat_that_gets_another_model_or_engine_opens_that_one(opened):
    chat = ChatGGUF(model="one")
    chat.open()
    chat.model = "two"
    assert chat.invoke("hi").text == "I am two"
    chat.engine["context"] = 512
    assert chat.open().settings == {"context": 512}
    assert chat.open() is chat.open()
    assert len(opened) == 3


@pytest.mark.parametrize(
    "copied",
    [
        copy.deepcopy,
        lambda chat: chat.model_copy(deep=True),
        lambda chat: pickle.loads(pickle.dumps(chat)),
    ],
    ids=["deepcopy", "model_copy", "pickle"],
)
def test_a_chat_of_a_name_is_copied_without_its_open_model(copied, opened):
    chat = ChatGGUF(model="one", engine={"context": 512}, seed=3, stop=["x"])
    fresh = copied(chat)
    assert chat.invoke("hi").text == "I am one"
    again = copied(chat)
    assert len(opened) == 1
    assert again.model_dump() == fresh.model_dump() == chat.model_dump()
    for each in (fresh, again):
        each.engine["context"] = 256  # the original keeps its own
        assert each.invoke("hi").text == "I am one"
    assert [model.settings["context"] for model in opened] == [512, 256, 256]


def test_a_stream_gives_its_facts_and_usage_at_the_end(smollm2):
    chunks = list(smollm2.stream("Count to ten.", seed=3))
    assert sum(bool(chunk.content) for chunk in chunks) > 3
    whole = total(chunks)
    assert whole.text == smollm2.invoke("Count to ten.", seed=3).text
    facts = whole.response_metadata
    assert (facts["index"], facts["seed"], facts["model_name"]) == (0, 3, "smollm2")
    assert facts["finish_reason"] in {"stop", "length"}
    assert whole.usage_metadata["output_tokens"] <= 12


async def test_a_stream_of_several_samples_keeps_them_apart(smollm2):
    chunks = [chunk async for chunk in smollm2.astream("Count to ten.", seeds=[1, 2])]
    told = [chunk.response_metadata["index"] for chunk in chunks if chunk.content]
    assert told != sorted(told)  # they grow side by side
    whole = total(chunks)
    texts = [block["text"] for block in sorted(whole.content, key=lambda block: block["index"])]
    invoked = await smollm2.agenerate([[HumanMessage("Count to ten.")]], seeds=[1, 2])
    assert texts == [g.text for g in invoked.generations[0]]
    assert {s["seed"] for s in whole.response_metadata["samples"]} == {1, 2}
    assert whole.usage_metadata["output_tokens"] == sum(
        g.message.usage_metadata["output_tokens"] for g in invoked.generations[0]
    )


class Tokens(BaseCallbackHandler):
    def __init__(self):
        self.tokens = []

    def on_llm_new_token(self, token, *, chunk=None, **kwargs):
        self.tokens.append((chunk.generation_info["index"], chunk.text) if chunk.text else None)


class AsyncTokens(AsyncCallbackHandler):
    def __init__(self):
        self.tokens = []

    async def on_llm_new_token(self, token, *, chunk=None, **kwargs):
        self.tokens.append((chunk.generation_info["index"], chunk.text) if chunk.text else None)


def joined(tokens, index):
    return "".join(token[1] for token in tokens if token and token[0] == index)


@pytest.mark.parametrize("how", ["invoke", "stream", "ainvoke", "astream"])
async def test_callbacks_hear_each_token_once(how):
    handler = AsyncTokens() if how.startswith("a") else Tokens()
    answer = getattr(scripted(), how)("hi", seed=1, config={"callbacks": [handler]})
    match how:
        case "stream":
            list(answer)
        case "ainvoke":
            await answer
        case "astream":
            [chunk async for chunk in answer]
    assert joined(handler.tokens, 0) == "one two three four 1"


def test_callbacks_hear_the_tokens_of_each_sample():
    handler = Tokens()
    scripted().generate([[HumanMessage("hi")]], seeds=[1, 2], callbacks=[handler])
    assert [joined(handler.tokens, i) for i in (0, 1)] == [
        f"one two three four {s}" for s in (1, 2)
    ]


async def test_sync_methods_work_inside_a_running_event_loop(smollm2):
    assert smollm2.invoke("hi", seed=1).text == total(smollm2.stream("hi", seed=1)).text


def test_closing_a_stream_early_stops_the_model(smollm2):
    stream = smollm2.stream("Tell me a long story.", max_tokens=500, ignore_eos=True)
    for _ in zip(range(3), stream, strict=False):
        pass
    engine = smollm2.open().engine
    before = engine.stats.cancelled_tokens
    stream.close()
    with pytest.raises(StopIteration):
        next(stream)
    deadline = time.monotonic() + 30
    while engine.stats.running and time.monotonic() < deadline:
        time.sleep(0.01)
    assert 0 < engine.stats.cancelled_tokens - before < 500


class Watched(ScriptedModel):
    """Keeps its last generation, to be asked what became of it."""

    def generate(self, request):
        self.generation = super().generate(request)
        return self.generation


async def test_cancelling_a_call_stops_the_model():
    words = Watched(["word " * 100_000])
    task = asyncio.create_task(ChatGGUF(model=words, max_tokens=100_000).ainvoke("hi"))
    while not words.calls or not words.generation.usage.completion_tokens:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    (sample,) = await words.generation.completions()
    assert sample.finish_reason == "cancelled"
    assert 0 < words.generation.usage.cancelled_tokens < 100_000


@pytest.mark.parametrize("n", [1, 2])
async def test_it_answers_inside_a_graph_and_streams_its_messages(n):
    chat = scripted(n=n, seed=1)

    async def node(state):
        return {"messages": [await chat.ainvoke(state["messages"])]}

    graph = StateGraph(MessagesState).add_node(node).add_edge(START, "node").compile()
    asked = {"messages": [("user", "hi")]}
    stream = graph.astream(asked, stream_mode="messages")
    heard = [message.text async for message, _ in stream]
    assert "".join(heard).count("three") == n
    answer = (await graph.ainvoke(asked))["messages"][-1]
    assert answer.text == "one two three four 1"


CALL = '<tool_call>{"name": "add", "arguments": {"a": 1, "b": "two words"}}</tool_call>'


def adding(text, **settings):
    """A chat model with a tool, that answers with ``text``."""
    chat = ChatGGUF(model=ScriptedModel(lambda messages, seed: text), **settings)
    parameters = {"type": "object", "properties": {"a": {"type": "integer"}}}
    tool = {"name": "add", "description": "Add.", "parameters": parameters}
    return chat.bind_tools([{"type": "function", "function": tool}])


def test_a_call_streams_its_name_and_then_its_arguments():
    chunks = list(adding(f"Yes. {CALL}{CALL}").stream("hi"))
    pieces = [piece for chunk in chunks for piece in chunk.tool_call_chunks]
    first = [piece for piece in pieces if piece["index"] == 0]
    assert [piece["name"] for piece in first] == ["add", *[None] * (len(first) - 1)]
    assert [bool(piece["id"]) for piece in first] == [True, *[False] * (len(first) - 1)]
    assert len(first) > 3
    assert json.loads("".join(piece["args"] for piece in first)) == {"a": 1, "b": "two words"}
    whole = total(chunks)
    assert whole.text == "Yes."
    assert [call["args"]["a"] for call in whole.tool_calls] == [1, 1]
    assert len({call["id"] for call in whole.tool_calls}) == 2


@pytest.mark.parametrize("end", range(12, len(CALL) - 13))
def test_a_streamed_call_that_is_cut_short_is_not_mended_to_a_valid_one(end):
    whole = total(list(adding(CALL[:end]).stream("hi")))
    assert whole.tool_calls == []
    assert len(whole.invalid_tool_calls) == 1
