"""Model requests as LangChain runs: callbacks, OpenTelemetry, streamed messages."""

import json
from collections import defaultdict
from typing import Any

import pytest
from langchain_core.callbacks import AsyncCallbackHandler, BaseCallbackHandler
from langchain_core.language_models.fake_chat_models import GenericFakeChatModel

import thinkgraph as tg
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.errors import ModelError

QUESTION = {"question": "What is 2 + 3?"}


class Recorder(BaseCallbackHandler):
    """Notes the chat-model runs, as an application's handler does."""

    def __init__(self) -> None:
        self.starts: list[dict[str, Any]] = []
        self.ends: list[Any] = []
        self.errors: list[BaseException] = []
        self.chains: dict[Any, str] = {}

    def on_chain_start(self, serialized, inputs, *, run_id, name=None, **kwargs):
        self.chains[run_id] = name

    def on_chat_model_start(self, serialized, messages, *, parent_run_id=None, **kwargs):
        self.starts.append({"messages": messages, "under": self.chains[parent_run_id], **kwargs})

    def on_llm_end(self, response, **kwargs):
        self.ends.append(response)

    def on_llm_error(self, error, **kwargs):
        self.errors.append(error)


class Tokens(AsyncCallbackHandler):
    """Joins the tokens of each run."""

    def __init__(self) -> None:
        self.texts: dict[Any, str] = defaultdict(str)

    async def on_llm_new_token(self, token, *, chunk, run_id, **kwargs):
        self.texts[chunk.message.id] += token


def refining() -> ScriptedModel:
    replies = ["The answer is 6.", "One too many.", "The answer is 5.", "Right."]
    return ScriptedModel(replies, choices=[[0.1, 0.9], [0.9, 0.1]])


def usage(response: Any) -> tuple[int, int]:
    counts = [generation.message.usage_metadata for generation in response.generations[0]]
    return sum(c["input_tokens"] for c in counts), sum(c["output_tokens"] for c in counts)


def test_each_request_is_a_run_under_its_node_with_what_was_sent_and_what_it_cost(smollm2):
    told = Recorder()
    app = tg.load("self-consistency").compile(model=smollm2, samples=3, max_tokens=6)
    values = app.invoke(QUESTION, {"callbacks": [told]})
    (start,), (end,) = told.starts, told.ends
    assert start["under"] == start["metadata"]["thinkgraph_node"] == "sample"
    assert start["metadata"]["thinkgraph_ids"] == list(values["candidates"])
    assert start["messages"][0][-1].content.startswith("What is 2 + 3?")
    params = start["invocation_params"]
    assert (params["model"], params["n"], params["max_tokens"]) == ("smollm2", 3, 6)
    assert params["seeds"] == [c["seed"] for c in values["candidates"].values()]
    texts = [generation.text for generation in end.generations[0]]
    assert texts == [c["text"] for c in values["candidates"].values()]
    spent = values["usage"]["sample.0"]
    assert usage(end) == (spent["prompt_tokens"], spent["completion_tokens"])


def test_a_choice_is_a_run_with_the_probability_of_each_option():
    told = Recorder()
    tg.load("self-refine").compile(model=refining()).invoke(QUESTION, {"callbacks": [told]})
    under = ["draft", "critic", "critic", "revise", "critic", "critic"]
    assert [start["under"] for start in told.starts] == under
    found = told.ends[2].generations[0][0].message
    assert told.starts[2]["invocation_params"]["options"] == [" correct", " wrong"]
    assert found.content == " wrong"
    assert found.response_metadata["probabilities"] == {" correct": 0.1, " wrong": 0.9}


async def test_a_failed_request_is_a_failed_run():
    told = Recorder()
    app = tg.load("direct").compile(model=ScriptedModel([ModelError("it broke")]))
    with pytest.raises(ModelError, match="it broke"):
        await app.ainvoke(QUESTION, {"callbacks": [told]})
    assert [str(error) for error in told.errors] == ["it broke"]
    assert not told.ends


async def test_handlers_are_told_each_token_of_each_sample():
    told = Tokens()
    app = tg.load("self-consistency").compile(model=ScriptedModel(["a 1", "b 2 ."]), samples=2)
    values = await app.ainvoke(QUESTION, {"callbacks": [told]})
    assert list(told.texts.values()) == [c["text"] for c in values["candidates"].values()]


def test_streamed_messages_tell_their_node_and_their_candidate():
    app = tg.load("self-refine").compile(model=refining())
    texts: dict[str, str] = defaultdict(str)
    nodes = {}
    for message, metadata in app.stream(QUESTION, stream_mode="messages"):
        if "thinkgraph_ids" in metadata:
            name = metadata["thinkgraph_ids"][message.response_metadata["index"]]
            texts[name] += message.content
            nodes[name] = metadata["thinkgraph_node"], metadata["langgraph_node"]
    assert texts == {
        "draft.0.0": "The answer is 6.",
        "critic.0.0": "One too many.",
        "revise.0.0": "The answer is 5.",
        "critic.1.0": "Right.",
    }
    assert all(name.startswith(ours) and ours == theirs for name, (ours, theirs) in nodes.items())


def test_a_langchain_model_makes_its_own_run_which_names_node_and_sample():
    told = Recorder()
    model = GenericFakeChatModel(messages=iter(["It is 5.", "It is 6."]))
    app = tg.load("self-consistency").compile(model=model, samples=2)
    app.invoke(QUESTION, {"callbacks": [told]})
    assert [start["under"] for start in told.starts] == ["sample"] * 2
    told.starts.sort(key=lambda start: start["metadata"]["thinkgraph_sample"])
    for number, start in enumerate(told.starts):
        metadata = start["metadata"]
        assert metadata["thinkgraph_ids"][metadata["thinkgraph_sample"]] == f"sample.0.{number}"


async def test_a_graph_within_a_graph_is_traced_under_its_node(smollm2):
    told = Recorder()
    outer = tg.Graph("outer")
    outer.add(inner=tg.use("self-consistency", samples=2, max_tokens=4))
    outer.edge(tg.START, "inner", tg.END)
    await outer.compile(model=smollm2).ainvoke(QUESTION, {"callbacks": [told]})
    (start,) = told.starts
    assert start["metadata"]["thinkgraph_node"] == "inner.0/sample"
    assert {"inner", "sample"} <= set(told.chains.values())


def test_opentelemetry_shows_prompts_tokens_and_nodes(smollm2):
    """With OpenInference's instrumentation, and no code of thinkgraph's."""
    langchain = pytest.importorskip("openinference.instrumentation.langchain")
    trace = pytest.importorskip("opentelemetry.sdk.trace")
    export = pytest.importorskip("opentelemetry.sdk.trace.export")
    memory = pytest.importorskip("opentelemetry.sdk.trace.export.in_memory_span_exporter")
    exporter, provider = memory.InMemorySpanExporter(), trace.TracerProvider()
    provider.add_span_processor(export.SimpleSpanProcessor(exporter))
    instrumentor = langchain.LangChainInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        result = tg.load("chain-of-thought").run("What is 2 + 3?", model=smollm2, max_tokens=8)
    finally:
        instrumentor.uninstrument()
    spans = exporter.get_finished_spans()
    names = {span.context.span_id: span.name for span in spans}
    (llm,) = [s for s in spans if s.attributes["openinference.span.kind"] == "LLM"]
    found = llm.attributes
    assert names[llm.parent.span_id] == result.candidates[0].node
    assert "What is 2 + 3?" in found["llm.input_messages.0.message.content"]
    assert found["llm.output_messages.0.message.content"] == result.candidates[0].text
    assert found["llm.token_count.prompt"] == result.usage.prompt_tokens
    assert found["llm.token_count.completion"] == result.usage.completion_tokens
    assert found["llm.model_name"] == "smollm2"
    settings = json.loads(found["llm.invocation_parameters"])
    assert settings["seeds"] == [result.candidates[0].seed]
