"""A user's own LangChain model behind the nodes: settings, accounts, failures."""

import asyncio
from typing import Any

import pytest
from langchain_core.language_models import BaseChatModel
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel
from langchain_core.messages import (
    AIMessage,
    AIMessageChunk,
    HumanMessage,
    SystemMessage,
    ToolMessage,
)
from langchain_core.messages.tool import tool_call, tool_call_chunk
from langchain_core.outputs import ChatGeneration, ChatGenerationChunk, ChatResult
from pydantic import Field

import thinkgraph as tg
from thinkgraph.graphs.graph import Graph
from thinkgraph.models.backends.langchain import LangChainModel
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Message, ModelRequest, Sampling, Tool, ToolUse, continued
from thinkgraph.nodes.kinds.act import Act

ASKED = [Message(role="system", content="Be brief."), Message(role="user", content="Two and two?")]


class Provider(BaseChatModel):
    """A hosted model as its client shows it: usage and finish reason on the last chunk."""

    finish: str = "stop"
    asked: list[Any] = Field(default_factory=list)
    closed: list[str] = Field(default_factory=list)

    @property
    def _llm_type(self):
        return "provider"

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        return ChatResult(generations=[ChatGeneration(message=AIMessage("unused"))])

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        self.asked.append((messages, stop, kwargs))
        try:
            for text in ("It is", " four."):
                await asyncio.sleep(0)
                yield ChatGenerationChunk(message=AIMessageChunk(text))
            last = AIMessageChunk(
                "",
                response_metadata={"finish_reason": self.finish},
                usage_metadata={
                    "input_tokens": 20,
                    "output_tokens": 5,
                    "total_tokens": 25,
                    "input_token_details": {"cache_read": 16},
                },
            )
            yield ChatGenerationChunk(message=last)
        finally:
            self.closed.append("closed")


class Failing(GenericFakeChatModel):
    """A model whose account is empty."""

    asked: int = 0

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        self.asked += 1
        raise RuntimeError("no credit")
        yield  # a generator


async def ask(provider, sampling=None, seeds=(1,), **settings):
    generation = LangChainModel(provider, **settings).generate(
        ModelRequest(ASKED, sampling or Sampling(), seeds)
    )
    return await generation.completions(), generation.usage


async def test_messages_keep_their_roles():
    provider = Provider()
    await ask(provider)
    ((messages, _, _),) = provider.asked
    assert messages == [SystemMessage("Be brief."), HumanMessage("Two and two?")]


async def test_only_settings_that_were_given_are_passed_on():
    provider = Provider()
    await ask(provider)
    await ask(provider, Sampling(temperature=0.5, max_tokens=9, stop=("\n",)))
    assert [(stop, kwargs) for _, stop, kwargs in provider.asked] == [
        (None, {}),
        (["\n"], {"temperature": 0.5, "max_tokens": 9}),
    ]


async def test_seeds_are_passed_to_a_provider_that_takes_them():
    provider = Provider()
    completions, _ = await ask(provider, seeds=(3, 4), accepts=("seed",))
    assert [kwargs for _, _, kwargs in provider.asked] == [{"seed": 3}, {"seed": 4}]
    assert [c.seed for c in completions] == [3, 4]


async def test_a_setting_that_the_provider_does_not_take_is_told():
    with pytest.raises(ModelError, match="doesn't take top_k; it takes max_tokens, stop"):
        await ask(Provider(), Sampling(top_k=3))
    await ask(Provider(), Sampling(top_k=40))  # the default asks for nothing


async def test_the_providers_own_account_is_taken():
    (completion, *_), usage = await ask(Provider(), seeds=(1, 2))
    assert (completion.text, completion.tokens) == ("It is four.", 5)
    assert (usage.prompt_tokens, usage.cached_tokens, usage.prefilled_tokens) == (40, 32, 8)
    assert usage.completion_tokens == 10


@pytest.mark.parametrize("finish", ["length", "max_tokens"])
async def test_a_cut_completion_says_so(finish):
    (completion,), _ = await ask(Provider(finish=finish))
    assert completion.finish_reason == "length"


async def test_a_cancelled_sample_closes_its_stream():
    provider = Provider()
    generation = LangChainModel(provider).generate(ModelRequest(ASKED, Sampling(), [1]))
    async for _ in generation:
        generation.cancel()
    assert provider.closed == ["closed"]


async def test_a_failing_provider_is_one_clear_error():
    with pytest.raises(ModelError, match=r"GenericFakeChatModel failed: .*StopIteration"):
        await ask(GenericFakeChatModel(messages=iter([])))


async def test_it_tells_no_probabilities():
    model = LangChainModel(Provider(), name="mine")
    with pytest.raises(ModelError, match=r"mine .* no probabilities, so it can't choose"):
        await model.choose(ModelRequest(ASKED), ["yes", "no"])


def test_what_it_cannot_be_given_is_told():
    with pytest.raises(ModelError, match="can't be given a text that its answer begins with"):
        LangChainModel(Provider()).generate(ModelRequest(continued(ASKED, "So"), Sampling(), [1]))
    with pytest.raises(ModelError, match="doesn't take adapter; it takes"):
        LangChainModel(Provider()).generate(ModelRequest(ASKED, Sampling(adapter="x"), [1]))


def test_the_context_length_is_the_profiles():
    assert LangChainModel(Provider(profile={"max_input_tokens": 99})).context_length == 99
    assert LangChainModel(Provider(), context_length=7).context_length == 7


@pytest.fixture
def client(served):
    """A chat model of langchain-openai, whose instances share their connections."""
    langchain_openai = pytest.importorskip("langchain_openai")
    return langchain_openai.ChatOpenAI(
        model="smollm2",
        base_url=served,
        api_key="none",
        # The client sends max_tokens under a name that this server doesn't know.
        extra_body={"max_tokens": 4},
    )


def test_synchronous_calls_of_a_client_share_an_event_loop(client):
    """The client keeps its connections in the loop that it was first used in."""
    graph = tg.Graph("two-nodes", "Two nodes, one after the other.")
    graph.add(first=tg.Generate(), second=tg.Generate())
    graph.edge(tg.START, "first", "second", tg.END)
    app = graph.compile(model=client)
    for number in range(10):
        values = app.invoke({"question": f"What is {number} + 1?"})
        assert all(candidate["text"] for candidate in values["candidates"].values())
        assert len(values["candidates"]) == 2


def test_a_client_may_be_used_in_one_event_loop_after_another(client):
    """It keeps connections of loops that are gone, and fails with each of them."""
    app = tg.load("self-consistency").compile(model=client, samples=4)
    question = {"question": "What is 1 + 1?"}
    for _ in range(2):
        for values in (app.invoke(question), asyncio.run(app.ainvoke(question))):
            assert all(candidate["text"] for candidate in values["candidates"].values())
            assert not any(usage.get("failures") for usage in values["usage"].values())


async def test_what_a_client_fails_with_by_itself_is_not_asked_again():
    model = Failing(messages=iter([]))
    with pytest.raises(ModelError, match="no credit"):
        await ask(model)
    assert model.asked == 1


class Caller(Provider):
    """A hosted model that calls tools: its calls come in pieces, as providers stream them."""

    def bind_tools(self, tools, *, tool_choice=None, parallel_tool_calls=None, **kwargs):
        given = {"tools": tools, "tool_choice": tool_choice, "parallel": parallel_tool_calls}
        return self.bind(**{name: value for name, value in given.items() if value is not None})

    def _generate(self, messages, stop=None, run_manager=None, **kwargs):
        self.asked.append((messages, stop, kwargs))
        call = tool_call(name="add", args={"a": 2, "b": 2}, id="call-1")
        return ChatResult(generations=[ChatGeneration(message=AIMessage("", tool_calls=[call]))])

    async def _astream(self, messages, stop=None, run_manager=None, **kwargs):
        self.asked.append((messages, stop, kwargs))
        if isinstance(messages[-1], ToolMessage):
            yield ChatGenerationChunk(message=AIMessageChunk(f"It is {messages[-1].content}."))
            return
        for name, part in (("add", '{"a": 2,'), (None, ' "b": 2}')):
            piece = tool_call_chunk(name=name, args=part, id=name and "call-1", index=0)
            yield ChatGenerationChunk(message=AIMessageChunk("", tool_call_chunks=[piece]))


ADD = Tool(
    name="add",
    description="Add.",
    parameters={
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
)


@pytest.mark.parametrize("wrap", [lambda m: m, lambda m: m.with_retry(), lambda m: m.bind()])
async def test_it_calls_tools_by_the_providers_own_tool_calling(wrap):
    chat = Caller()
    request = ModelRequest(ASKED, seeds=[1], tools=ToolUse([ADD], parallel=False))
    (told,) = await LangChainModel(wrap(chat)).generate(request).completions()
    (call,) = told.tool_calls
    assert (call.name, call.arguments, call.id) == ("add", {"a": 2, "b": 2}, "call-1")
    _, _, given = chat.asked[0]
    assert given["tools"][0]["function"]["name"] == "add"
    assert given["parallel"] is False


async def test_an_act_node_calls_tools_through_it():
    def add(a: int, b: int) -> int:
        """Add."""
        return a + b

    graph = Graph("acting")
    graph.add(work=Act(tools=("add",)))
    graph.edge("START", "work", "END")
    result = await graph.arun("Two and two?", model=Caller(), tools=[add])
    assert result.answer.value == "4"
    assert result.candidates[0].calls[0].result == "4"


async def test_a_model_without_tool_calling_says_so():
    request = ModelRequest(ASKED, seeds=[1], tools=ToolUse([ADD]))
    with pytest.raises(ModelError, match="can't call tools"):
        LangChainModel(Provider()).generate(request)
