"""Chat completions, asked for with OpenAI's own client."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import openai
import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

import thinkgraph as tg
from tests.thinkgraph.serve.conftest import Running, Serve, answer
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.errors import ModelError, ThinkgraphError
from thinkgraph.serve.offer.models import Models
from thinkgraph.serve.offer.strategies import Strategies
from thinkgraph.serve.openai import ask
from thinkgraph.serve.service import Service
from thinkgraph.serve.settings import ServeSettings

ASKED: Any = [{"role": "user", "content": "What is 3 times 4?"}]


@pytest.fixture
def client(served: Running) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{served.url}/v1", api_key="none", max_retries=0)


def test_models_are_the_strategies_and_the_bare_models(client: openai.OpenAI) -> None:
    names = [model.id for model in client.models.list()]
    assert {"self-consistency", "self-consistency@8", "direct", "tiny", "scripted"} <= {*names}
    assert client.models.retrieve("self-consistency@3").id == "self-consistency@3"


def test_a_strategy_answers_with_its_votes_as_reasoning(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(
        model="scripted/self-consistency@4", messages=ASKED, seed=3
    )
    ChatCompletion.model_validate(done.model_dump(), strict=True)
    message: Any = done.choices[0].message
    assert message.content.endswith("The answer is 12.")
    assert "Votes: 12 ×" in message.reasoning_content == message.reasoning
    assert done.usage and done.usage.completion_tokens_details
    assert 0 < done.usage.completion_tokens_details.reasoning_tokens < done.usage.completion_tokens


def test_a_stream_thinks_first_and_then_answers(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="scripted/self-consistency@4",
            messages=ASKED,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    deltas: list[Any] = [choice.delta for chunk in chunks for choice in chunk.choices]
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk.model_dump(), strict=True)
    thinks = [bool(getattr(delta, "reasoning", None)) for delta in deltas]
    answers = [bool(delta.content) for delta in deltas]
    assert thinks.index(True) < answers.index(True)
    assert len({chunk.id for chunk in chunks}) == 1
    assert chunks[-1].usage and not chunks[-1].choices
    assert [c.finish_reason for chunk in chunks for c in chunk.choices if c.finish_reason] == [
        "stop"
    ]


@pytest.mark.parametrize("model", ["tiny", "scripted/self-consistency@2"])
@pytest.mark.parametrize("n", [1, 2])
def test_every_chunk_has_choices_unless_the_usage_is_asked_for(
    client: openai.OpenAI, model: str, n: int
) -> None:
    asked: Any = {"model": model, "messages": ASKED, "n": n, "stream": True, "max_tokens": 3}
    chunks: list[Any] = list(client.chat.completions.create(**asked))
    assert all(len(chunk.choices) == 1 for chunk in chunks)
    assert [chunk.choices[0].finish_reason for chunk in chunks].count(None) == len(chunks) - n
    assert [bool(chunk.model_extra) for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
    assert chunks[-1].thinkgraph["usage"]["model_calls"] > 0


def test_a_bare_model_streams_its_text_token_by_token(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="tiny", messages=ASKED, stream=True, max_tokens=12, seed=1
        )
    )
    assert sum(bool(c.choices and c.choices[0].delta.content) for c in chunks) > 3


def test_choices_of_a_model_and_of_a_strategy(client: openai.OpenAI) -> None:
    bare = client.chat.completions.create(model="tiny", messages=ASKED, n=3, max_tokens=6, seed=5)
    assert [choice.index for choice in bare.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in bare.choices}) == 3
    again = client.chat.completions.create(model="tiny", messages=ASKED, n=3, max_tokens=6, seed=5)
    assert [c.message.content for c in again.choices] == [c.message.content for c in bare.choices]
    voted = client.chat.completions.create(
        model="scripted/self-consistency@2", messages=ASKED, n=2, seed=5
    )
    assert len(voted.choices) == 2
    told: Any = voted.model_extra
    assert [run["of"] for run in told["thinkgraph"]["choices"]] == [2, 2]


def test_log_probabilities_are_of_the_tokens_of_the_text(client: openai.OpenAI) -> None:
    for stream in (False, True):
        asked: Any = {"stream": stream}
        given = client.chat.completions.create(
            model="tiny",
            messages=ASKED,
            max_tokens=5,
            logprobs=True,
            top_logprobs=2,
            temperature=0,
            **asked,
        )
        parts: Any = list(given) if stream else [given]
        for part in parts:
            kind = ChatCompletionChunk if stream else ChatCompletion
            kind.model_validate(part.model_dump(), strict=True)
        choices = [choice for part in parts for choice in part.choices]
        found = [entry for c in choices if c.logprobs for entry in c.logprobs.content]
        assert len(found) == 5
        assert all(entry.logprob <= 0 and len(entry.top_logprobs) == 2 for entry in found)
        # Greedy decoding takes the likeliest token.
        assert all(entry.bytes == entry.top_logprobs[0].bytes for entry in found)


def assert_alike(found: Sequence[Any], expected: Sequence[Any]) -> None:
    """Compare log-probabilities of two requests; a cached prompt rounds differently."""
    for one, other in zip(found, expected, strict=True):
        assert (one.token, one.bytes) == (other.token, other.bytes)
        mine, others = ([t.logprob for t in (p, *p.top_logprobs)] for p in (one, other))
        assert mine == pytest.approx(others, abs=0.05)


def test_a_proxy_passes_log_probabilities_through(
    client: openai.OpenAI, served: Running, serve: Serve
) -> None:
    proxy = serve({"remote": f"openai:tiny@{served.url}/v1"})
    proxied = openai.OpenAI(base_url=f"{proxy.url}/v1", api_key="none", max_retries=0)
    asked: Any = {"messages": ASKED, "max_tokens": 5, "temperature": 0, "logprobs": True}
    for top in (0, 2):
        (own,) = client.chat.completions.create(model="tiny", top_logprobs=top, **asked).choices
        (told,) = proxied.chat.completions.create(model="remote", top_logprobs=top, **asked).choices
        assert told.message.content == own.message.content
        assert told.logprobs and own.logprobs and len(own.logprobs.content or ()) == 5
        assert_alike(told.logprobs.content or [], own.logprobs.content or [])
    chunks = proxied.chat.completions.create(model="remote", top_logprobs=2, stream=True, **asked)
    (found,) = (c.logprobs for chunk in chunks for c in chunk.choices if c.logprobs)
    assert_alike(found.content or [], told.logprobs.content or [])
    asked["logprobs"] = False
    (plain,) = proxied.chat.completions.create(model="remote", **asked).choices
    assert plain.logprobs is None


def test_an_answer_is_of_the_schema_that_was_asked_for(client: openai.OpenAI) -> None:
    schema = {
        "type": "object",
        "properties": {"sum": {"type": "integer", "minimum": 0, "maximum": 99}},
        "required": ["sum"],
        "additionalProperties": False,
    }
    form: Any = {"type": "json_schema", "json_schema": {"name": "sum", "schema": schema}}
    for model in ("tiny", "tiny/self-consistency@2"):
        done = client.chat.completions.create(
            model=model, messages=ASKED, response_format=form, seed=1
        )
        assert {*json.loads(done.choices[0].message.content or "")} == {"sum"}


def test_an_empty_schema_is_any_json(serve: Serve) -> None:
    model = ScriptedModel(lambda messages, seed: "[1, 2]")
    client = openai.OpenAI(base_url=f"{serve(model).url}/v1", api_key="none", max_retries=0)
    form: Any = {"type": "json_schema", "json_schema": {"name": "anything", "schema": {}}}
    for name in ("scripted", "direct"):
        done = client.chat.completions.create(model=name, messages=ASKED, response_format=form)
        assert done.choices[0].message.content == "[1, 2]"
    assert model.calls[0].sampling.json_schema == {}
    assert not any("anything" in m.content for call in model.calls for m in call.messages)


def test_an_empty_schema_is_enforced(client: openai.OpenAI) -> None:
    form: Any = {"type": "json_schema", "json_schema": {"name": "anything", "schema": {}}}
    (choice,) = client.chat.completions.create(
        model="tiny", messages=ASKED, response_format=form, seed=1
    ).choices
    assert choice.message.content and choice.message.content[0] in '{["-0123456789tfn'


def test_a_model_calls_the_tool_that_it_must(client: openai.OpenAI) -> None:
    digit = {"type": "integer", "minimum": 0, "maximum": 9}
    parameters = {"type": "object", "properties": {"a": digit}, "required": ["a"]}
    tools: Any = [{"type": "function", "function": {"name": "double", "parameters": parameters}}]
    asked: Any = {"model": "tiny", "messages": ASKED, "tools": tools, "tool_choice": "required"}
    asked["max_tokens"] = 900
    whole = client.chat.completions.create(**asked, seed=2, parallel_tool_calls=False)
    assert whole.choices[0].finish_reason == "tool_calls"
    calls: Any = whole.choices[0].message.tool_calls
    assert calls[0].function.name == "double" and "a" in json.loads(calls[0].function.arguments)
    ChatCompletion.model_validate(whole.model_dump(), strict=True)
    chunks = list(client.chat.completions.create(**asked, seed=2, stream=True))
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk.model_dump(), strict=True)
    deltas = [c.delta for chunk in chunks for c in chunk.choices]
    assert [call.index for d in deltas for call in d.tool_calls or ()][:1] == [0]
    answered: Any = [
        *ASKED,
        {"role": "assistant", "content": None, "tool_calls": [calls[0].model_dump()]},
        {"role": "tool", "tool_call_id": calls[0].id, "content": "24"},
    ]
    done = client.chat.completions.create(model="tiny", messages=answered, max_tokens=3)
    assert done.choices[0].message.role == "assistant"


def test_an_answers_schema_goes_with_tools(client: openai.OpenAI) -> None:
    digit = {"type": "integer", "minimum": 0, "maximum": 9}
    shape: Any = {
        "type": "object",
        "properties": {"a": digit},
        "required": ["a"],
        "additionalProperties": False,
    }
    asked: Any = {
        "model": "tiny",
        "messages": ASKED,
        "tools": [{"type": "function", "function": {"name": "double", "parameters": shape}}],
        "response_format": {"type": "json_schema", "json_schema": {"name": "it", "schema": shape}},
        "max_tokens": 900,
    }

    def held(choice: Any) -> bool:
        """Whether it is a call of the tool; else it is an answer of the schema."""
        if calls := choice.message.tool_calls:
            assert choice.finish_reason == "tool_calls"
            assert {*json.loads(calls[0].function.arguments)} == {"a"}
            return True
        assert {*json.loads(choice.message.content)} == {"a"}
        return False

    def asked_with(**more: Any) -> list[bool]:
        done = client.chat.completions.create(**asked, seed=1, **more)
        return [held(choice) for choice in done.choices]

    assert len(asked_with(n=4)) == 4
    assert asked_with(tool_choice="required") == [True]
    assert asked_with(tool_choice="none") == [False]


def test_a_strategys_answer_is_held_to_a_pattern(client: openai.OpenAI) -> None:
    schema = {"type": "string", "pattern": "^(a+)+b$", "maxLength": 9}
    form: Any = {"type": "json_schema", "json_schema": {"name": "letters", "schema": schema}}
    done = client.chat.completions.create(model="direct", messages=ASKED, response_format=form)
    assert re.fullmatch("a+b", json.loads(done.choices[0].message.content or ""))


def test_what_a_strategy_takes_comes_beside_openais_fields(client: openai.OpenAI) -> None:
    def votes(**options: Any) -> int:
        done = client.chat.completions.create(
            model="self-consistency", messages=ASKED, extra_body={"thinkgraph": options}
        )
        told: Any = done.model_extra
        return int(told["thinkgraph"]["of"])

    assert votes(model="scripted", samples=3) == 3
    assert votes(model="scripted", params={"samples": 2}) == 2


def test_a_budget_gives_the_best_answer_so_far(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(
        model="scripted/self-consistency@8", messages=ASKED, max_completion_tokens=20
    )
    told: Any = done.model_extra
    assert "20 tokens" in told["thinkgraph"]["cut"]
    assert done.choices[0].finish_reason == "length"


def test_a_request_is_read_in_a_thread_of_its_own(
    serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: list[threading.Thread] = []

    def noted(service: Service, messages: Any) -> bool:
        threads.append(threading.current_thread())
        return False

    monkeypatch.setattr(ask, "is_chore", noted)
    running = serve()
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)
    client.chat.completions.create(model="direct", messages=ASKED)
    client.responses.create(model="direct", input="What is 3 times 4?")
    assert len(threads) == 2 and running.thread not in threads


def test_fields_without_effect_are_told(client: openai.OpenAI) -> None:
    done = client.chat.completions.create(
        model="scripted/self-refine", messages=ASKED, extra_body={"mirostat": 2}, user="me"
    )
    told: Any = done.model_extra
    assert told["thinkgraph"]["ignored"] == ["mirostat"]
    done = client.chat.completions.create(
        model="scripted", messages=ASKED, top_logprobs=2, verbosity="low", modalities=["text"]
    )
    told = done.model_extra
    assert told["thinkgraph"]["ignored"] == ["top_logprobs", "verbosity"]


@pytest.mark.parametrize(
    "asked",
    [
        {"model": "self-consistancy"},
        {"model": "self-consistency@many"},
        {"model": "direct@4"},
        {"n": 99},
        {"messages": []},
        {"messages": [{"role": "narrator", "content": "So."}]},
        {"temperature": 9},
        {"stop": ["x"] * 99},
        {"stop": "x"},
        {"logprobs": True},
        {"tools": [{"type": "function", "function": {"name": "f"}}]},
        {"tools": [{"type": "web_search"}]},
        {"model": "tiny", "tool_choice": "f", "tools": [{"function": {"name": "g"}}]},
        {"model": "tiny", "tool_choice": "required"},
        {"model": "tiny", "functions": [{"name": "f"}]},
        {"model": "tiny", "modalities": ["text", "audio"]},
        {"model": "tiny", "guided_json": {"type": "object"}},
        {"model": "tiny", "grammar": 'root ::= "a"'},
        {"model": "tiny", "json_schema": {"type": "object"}},
        {"model": "tiny", "stop_token_ids": [2]},
        {"model": "tiny", "ignore_eos": True},
        {"model": "tiny", "text": {"format": {"type": "json_object"}}},
        {"model": "tiny", "max_output_tokens": 3},
        {"model": "tiny", "logit_bias": {"5": 101}},
        {"response_format": {"type": "xml"}},
        {"response_format": {"type": "json_schema"}},
        {"response_format": {"type": "json_schema", "json_schema": {"name": "it"}}},
        {"response_format": {"type": "json_object", "schema": 3}},
        {"response_format": {"type": "json_schema", "json_schema": {"schema": {"$ref": "/a"}}}},
        {"response_format": {"type": "json_schema", "schema": {"pattern": "(?=a)"}}},
        {"thinkgraph": {"sample": 3}},
        {"thinkgraph": {"models": {"judge": "/etc/passwd"}}},
        {"thinkgraph": {"model": "/etc/passwd"}},
        {"thinkgraph": {"spec": "thinkgraph: 1"}},
        {"model": "tiny", "thinkgraph": {"samples": 3}},
        {"model": "tiny", "messages": [{"role": "user", "content": "long " * 3000}]},
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
    ],
)
def test_what_cant_be_answered_is_refused_in_openais_form(
    client: openai.OpenAI, asked: dict[str, Any]
) -> None:
    body = {"model": "scripted/self-consistency@2", "messages": ASKED, **asked}
    for stream in (False, True):
        with pytest.raises(openai.APIStatusError) as caught:
            client.post("/chat/completions", body={**body, "stream": stream}, cast_to=object)
        assert 400 <= caught.value.status_code < 500
        told: Any = caught.value.body
        assert told["message"] and {*told} == {"message", "type", "param", "code"}
        assert "Traceback" not in told["message"]


def test_a_body_that_isnt_json_is_told_as_such(served: Running) -> None:
    header = {"Content-Type": "application/json"}
    for path in ("chat/completions", "responses"):
        refused = httpx.post(f"{served.url}/v1/{path}", content=b"{", headers=header)
        told = refused.json()["error"]
        assert refused.status_code == 400 and told["param"] is None
        assert told["message"].startswith("the body isn't JSON: ")


@pytest.mark.parametrize(
    ("method", "path", "right"),
    [
        ("GET", "chat/completions", "POST"),
        ("GET", "responses", "POST"),
        ("POST", "models", "GET"),
        ("DELETE", "chat/completions", "POST"),
    ],
)
def test_a_wrong_method_is_told_with_the_right_one(
    served: Running, method: str, path: str, right: str
) -> None:
    refused = httpx.request(method, f"{served.url}/v1/{path}")
    assert refused.status_code == 405 and right in refused.headers["allow"]
    assert refused.json()["error"]["type"] == "invalid_request_error"
    if method != "DELETE":
        assert refused.json()["error"]["message"] == f"use {right} for /v1/{path}"


def test_titles_and_tags_of_chat_programs_go_to_the_strategy_for_chores(
    client: openai.OpenAI, serve: Serve
) -> None:
    chore: Any = [{"role": "user", "content": "### Task:\nGenerate a concise, 3-5 word title"}]
    asked: Any = {"model": "scripted/self-consistency@4", "messages": chore}
    told: Any = client.chat.completions.create(**asked).model_extra
    assert told["thinkgraph"]["strategy"] == "direct"
    more = {"samples": 8, "models": {"judge": "nobody"}, "spec": "none", "tokens": 50}
    told = client.chat.completions.create(**asked, extra_body={"thinkgraph": more}).model_extra
    assert told["thinkgraph"]["strategy"] == "direct"
    other = openai.OpenAI(base_url=f"{serve(chores='').url}/v1", api_key="none")
    told = other.chat.completions.create(**asked).model_extra
    assert told["thinkgraph"]["strategy"] == "self-consistency"


def test_a_strategy_for_chores_that_there_is_not_is_told_at_the_start() -> None:
    def service(**settings: Any) -> Service:
        models = Models({"scripted": ScriptedModel()})
        return Service(models, Strategies({}), None, ServeSettings(**settings))

    with pytest.raises(ThinkgraphError, match=r"--chores-by drect: .*'direct'"):
        service(chores_by="drect")
    service(chores_by="drect", chores="")


def test_a_failure_in_the_middle_of_a_stream_is_an_error_and_no_end(serve: Serve) -> None:
    running = serve(ScriptedModel(["fine", ModelError("the disk is on fire")]))
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)
    refine: Any = {"model": "self-refine", "messages": ASKED}
    with pytest.raises(openai.APIError, match="disk is on fire"):
        list(client.chat.completions.create(**refine, stream=True))
    assert httpx.get(f"{running.url}/health").json() == {"status": "ok"}


def test_a_fault_of_the_server_in_a_stream_is_logged_with_its_traceback(
    serve: Serve, caplog: pytest.LogCaptureFixture
) -> None:
    for fault, is_logged in ((ModelError("no disk"), False), (KeyError("a slip"), True)):
        running = serve(ScriptedModel(["fine", fault]))
        client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)
        with pytest.raises(openai.APIError):
            list(client.chat.completions.create(model="self-refine", messages=ASKED, stream=True))
        assert ("a slip" in caplog.text and "Traceback" in caplog.text) == is_logged


@pytest.mark.parametrize("is_stream", [False, True])
def test_a_strategy_that_asks_a_person_is_refused_before_it_costs_anything(
    serve: Serve, is_stream: bool
) -> None:
    graph = tg.Graph("reviewed")
    graph.add(draft=tg.Generate(), look=tg.Review())
    graph.edge(tg.START, "draft", "look", tg.END)
    model = ScriptedModel(["It is 12."])
    running = serve(model, offered=Strategies({"reviewed": graph}))
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)
    with pytest.raises(openai.BadRequestError, match="waits for a person at its node 'look'"):
        client.chat.completions.create(model="reviewed", messages=ASKED, stream=is_stream)
    with pytest.raises(openai.BadRequestError, match="the server's page"):
        client.responses.create(model="reviewed", input="What is 3 times 4?", stream=is_stream)
    assert not model.calls


def test_a_strategy_whose_last_node_writes_the_answer_streams_it(client: openai.OpenAI) -> None:
    chunks = list(
        client.chat.completions.create(
            model="tiny/direct", messages=ASKED, stream=True, max_tokens=20, seed=3
        )
    )
    deltas: list[Any] = [choice.delta for chunk in chunks for choice in chunk.choices]
    assert sum(bool(delta.content) for delta in deltas) > 5
    assert not any(getattr(delta, "reasoning", None) for delta in deltas)


def test_roles_are_models_of_the_server(serve: Serve) -> None:
    graph = tg.Graph("edited")
    graph.add(draft=tg.Generate(), again=tg.Synthesize(model="editor"))
    graph.edge(tg.START, "draft", "again", tg.END)
    models = {name: ScriptedModel(answer, name=name) for name in ("one", "two", "three")}
    more = {"roles": {"editor": "two"}}
    running = serve(models, offered=Strategies({"edited": graph}), more=more)
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)
    for roles in ({}, {"models": {"editor": "three"}}):
        options = {"thinkgraph": roles}
        client.chat.completions.create(model="edited", messages=ASKED, extra_body=options)
    assert [len(model.calls) for model in models.values()] == [2, 1, 1]


@pytest.mark.slow
def test_a_spec_of_a_request_is_checked_and_reads_no_file(serve: Serve, tmp_path: Path) -> None:
    running = serve(specs=True)
    client = openai.OpenAI(base_url=f"{running.url}/v1", api_key="none", max_retries=0)
    (tmp_path / "other.yaml").write_text(tg.load("direct").yaml)

    def ask(spec: str) -> Any:
        options = {"thinkgraph": {"spec": spec}}
        return client.chat.completions.create(model="scripted", messages=ASKED, extra_body=options)

    mine = "thinkgraph: 1\nname: mine\nnodes: {a: {NODE}}\nedges: START -> a -> END\n"
    told = ask(mine.replace("NODE", "use: self-consistency, params: {samples: 3}")).model_extra
    assert told["thinkgraph"]["of"] == 3
    for node in (f"use: {tmp_path}/other.yaml", "use: ./other.yaml", "kind: nothing", "kind: &"):
        with pytest.raises(openai.BadRequestError, match=r"spec|kind|graph|YAML"):
            ask(mine.replace("NODE", node))
