"""Other people's programs against the running server."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from langchain_core.messages import HumanMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from tests.thinkgraph.serve.conftest import Running, Serve, answer
from thinkgraph.models.backends import endpoint
from thinkgraph.models.backends.scripted import ScriptedModel

QUESTION = "What is 3 times 4?"


class Sum(BaseModel):
    """The answer."""

    value: int


def test_langchain_asks_a_strategy(served: Running) -> None:
    chat = ChatOpenAI(
        model="scripted/self-consistency@4", base_url=f"{served.url}/v1", api_key="none"
    )
    done = chat.invoke(QUESTION)
    assert str(done.content).startswith("Three times four")
    assert done.usage_metadata and done.usage_metadata["output_tokens"] > 0
    pieces = [chunk.content for chunk in chat.stream([HumanMessage(QUESTION)])]
    assert "".join(map(str, pieces)).startswith("Three times four")


def test_langchain_reads_the_thoughts_of_the_responses_api(served: Running) -> None:
    chat = ChatOpenAI(
        model="scripted/self-consistency@2",
        base_url=f"{served.url}/v1",
        api_key="none",
        use_responses_api=True,
        output_version="responses/v1",
    )
    done = chat.invoke(QUESTION)
    kinds = [block["type"] for block in done.content_blocks]
    assert kinds == ["reasoning", "text"]


def test_langchains_tools_and_structured_answers_work_on_a_bare_model(served: Running) -> None:
    chat = ChatOpenAI(model="tiny", base_url=f"{served.url}/v1", api_key="none", max_tokens=900)
    answered: Any = chat.with_structured_output(Sum, method="json_schema").invoke(QUESTION)
    assert isinstance(answered, Sum)
    calls: Any = chat.bind_tools([Sum], tool_choice="Sum").invoke(QUESTION)
    assert calls.tool_calls[0]["name"] == "Sum"


def test_a_server_adds_strategies_to_another_one(served: Running, serve: Serve) -> None:
    proxy = serve({"far": f"openai:scripted@{served.url}/v1"})
    body = {"model": "self-consistency@4", "messages": [{"role": "user", "content": QUESTION}]}
    done = httpx.post(f"{proxy.url}/v1/chat/completions", json=body).raise_for_status().json()
    assert done["thinkgraph"]["of"] == 4
    bare = {**body, "model": "far", "stream": True, "seed": 1}
    text = httpx.post(f"{proxy.url}/v1/chat/completions", json=bare).text
    assert "[DONE]" in text and '"error"' not in text


def test_tools_go_through_to_the_other_server(served: Running, serve: Serve) -> None:
    proxy = serve({"far": f"openai:tiny@{served.url}/v1"})
    chat = ChatOpenAI(model="far", base_url=f"{proxy.url}/v1", api_key="none", max_tokens=900)
    calls: Any = chat.bind_tools([Sum], tool_choice="Sum").invoke(QUESTION)
    assert calls.tool_calls[0]["name"] == "Sum"


@pytest.mark.parametrize("model", ["far", "far/direct"])
def test_a_proxy_keeps_the_status_of_a_prompt_that_is_too_long(serve: Serve, model: str) -> None:
    upstream = serve(ScriptedModel(answer, name="scripted", context_length=5))
    proxy = serve({"far": f"openai:scripted@{upstream.url}/v1"})
    body = {"model": model, "messages": [{"role": "user", "content": "word " * 50}]}
    for stream in (False, True):
        asked = {**body, "stream": stream}
        refused = httpx.post(f"{proxy.url}/v1/chat/completions", json=asked, timeout=60)
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == "context_length_exceeded"


@pytest.mark.parametrize("model", ["far", "far/direct"])
def test_a_proxy_keeps_the_status_of_a_busy_server(
    serve: Serve, monkeypatch: pytest.MonkeyPatch, model: str
) -> None:
    monkeypatch.setattr(endpoint, "RETRIES", 0)
    upstream = serve(running=1, waiting=0)
    proxy = serve({"far": f"openai:scripted@{upstream.url}/v1"})
    upstream.service.admission._free._value = 0  # as if another request ran
    body = {"model": model, "messages": [{"role": "user", "content": QUESTION}]}
    refused = httpx.post(f"{proxy.url}/v1/chat/completions", json=body, timeout=60)
    assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 1
    assert refused.json()["error"]["type"] == "rate_limit_error"


def test_the_first_thought_comes_before_the_last_sample_ends(serve: Serve, tiny: Any) -> None:
    running = serve({"tiny": str(tiny())})
    model: Any = running.service.models.opened["tiny"]
    body = {"model": "self-consistency@8", "max_tokens": 400, "stream": True}
    asked = {**body, "messages": [{"role": "user", "content": QUESTION}]}
    with httpx.stream("POST", f"{running.url}/v1/chat/completions", json=asked) as answer:
        for line in answer.iter_lines():
            if '"reasoning"' in line:
                assert model.engine.stats.running > 0
                return
    pytest.fail("no thought came")


def test_a_silent_stream_is_kept_open_by_comments(serve: Serve, tiny: Any) -> None:
    running = serve({"tiny": str(tiny())}, ping_s=0.05, running=1)
    asked = {"messages": [{"role": "user", "content": "?"}], "stream": True, "max_tokens": 1900}
    body, path = {**asked, "model": "tiny", "n": 16}, f"{running.url}/v1/chat/completions"
    with (
        httpx.stream("POST", path, json=body) as first,
        httpx.stream("POST", path, json=body) as waits,
    ):
        lines = first.iter_lines()  # kept: the end of an iterator closes its stream
        assert next(lines) and next(waits.iter_lines()).startswith(": ")


def test_no_request_that_its_description_allows_fails_the_server(served: Running) -> None:
    schemathesis = pytest.importorskip("schemathesis")
    schema = schemathesis.openapi.from_url(f"{served.url}/openapi.json")
    quiet = settings(
        max_examples=15, deadline=None, suppress_health_check=list(HealthCheck), database=None
    )
    for found in schema.get_all_operations():
        quiet(given(case=found.ok().as_strategy())(_holds))()


def _holds(case: Any) -> None:
    """As it was generated, and with names of models that there are."""
    for model in (None, "scripted", "scripted/self-consistency@2"):
        if model and not isinstance(case.body, dict):
            return
        if model:
            case.body["model"] = model
        answer = case.call(timeout=30)
        assert answer.status_code < 500, (json.dumps(case.body, default=repr), answer.text)
