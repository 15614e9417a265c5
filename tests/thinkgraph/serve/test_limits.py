"""Keys, limits, metrics, and a server that is told to stop."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.thinkgraph.serve.conftest import Serve
from thinkgraph.graphs.graph import load
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.errors import ModelError, ThinkgraphError
from thinkgraph.serve.access.keys import Key, Keys, read_keys
from thinkgraph.serve.offer.models import Models, named
from thinkgraph.serve.offer.strategies import Strategies
from thinkgraph.serve.server import check_access
from thinkgraph.serve.service import Service
from thinkgraph.serve.settings import ServeSettings, settings_of

BODY: dict[str, Any] = {"model": "scripted", "messages": [{"role": "user", "content": "Hello?"}]}
LONG = {**BODY, "model": "tiny", "max_tokens": 1800, "n": 16, "stream": True}
"""Samples of which one at least is long: a random model ends each at random."""
CHAT = "/v1/chat/completions"


def test_a_key_is_wanted_of_everybody(serve: Serve) -> None:
    running = serve(keys=Keys({"me": Key(key="a-secret-of-some-length")}))
    for header in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": "a-secret"}):
        refused = httpx.post(running.url + CHAT, json=BODY, headers=header)
        assert refused.status_code == 401 and refused.json()["error"]["code"] == "invalid_api_key"
    good = {"Authorization": "Bearer a-secret-of-some-length"}
    assert httpx.post(running.url + CHAT, json=BODY, headers=good).status_code == 200
    assert httpx.get(f"{running.url}/metrics").status_code == 401
    assert httpx.get(f"{running.url}/mcp").status_code == 401
    assert httpx.get(f"{running.url}/health").status_code == 200


def test_a_key_spends_no_more_than_its_budget(serve: Serve) -> None:
    keys = Keys({"me": Key(key="a-secret-of-some-length", tokens_per_hour=12)})
    header = {"Authorization": "Bearer a-secret-of-some-length"}
    running = serve(ScriptedModel(lambda messages, seed: "word " * 10), keys=keys)
    cut = [httpx.post(running.url + CHAT, json=BODY, headers=header) for _ in range(3)]
    assert [each.status_code for each in cut] == [200, 200, 429]
    assert cut[1].json()["choices"][0]["finish_reason"] == "length"
    assert cut[2].json()["error"]["code"] == "insufficient_quota"
    assert 3000 < int(cut[2].headers["retry-after"]) <= 3600


def test_an_address_that_others_reach_needs_a_key() -> None:
    def service(keys: Keys, host: str, **settings: Any) -> Service:
        models = Models({"scripted": ScriptedModel()})
        return Service(models, Strategies({}), keys, ServeSettings(host=host, **settings))

    with pytest.raises(ThinkgraphError, match="needs an API key"):
        check_access(service(Keys(), "0.0.0.0"))
    check_access(service(Keys(), "127.0.0.1", token=""))
    keys = Keys({"a": Key(key="x" * 16)})
    check_access(service(keys, "0.0.0.0"))
    for token in ("", "short"):
        with pytest.raises(ThinkgraphError, match="page needs a token of 16 characters"):
            check_access(service(keys, "0.0.0.0", token=token))
        check_access(service(keys, "0.0.0.0", token=token, page=False))


def test_keys_come_from_a_file_or_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "keys.yaml"
    file.write_text(f"ann: {'a' * 20}\nben: {{key: {'b' * 20}, tokens_per_hour: 5}}\n")
    keys = read_keys(file)
    assert keys.client(f"Bearer {'a' * 20}").name == "ann"
    assert keys.client(f"bearer {'b' * 20}").budget.tokens == 5
    file.write_text("ann: short")
    with pytest.raises(ThinkgraphError) as caught:
        read_keys(file)
    assert "ann" in str(caught.value) and "short" not in str(caught.value).partition("ann")[2][2:8]
    for value in ("12345678901234567890", "{key: 0x11223344556677889900}", "2026-11-26 00:00:00"):
        file.write_text(f"ann: {value}\n")
        with pytest.raises(ThinkgraphError, match="ann: YAML doesn't read the key as text"):
            read_keys(file)
    file.write_text("ann: '12345678901234567890'\n")
    assert read_keys(file).client("Bearer 12345678901234567890").name == "ann"
    monkeypatch.setenv("THINKGRAPH_API_KEY", f"{'c' * 20}, {'d' * 20}")
    assert read_keys(None).client(f"Bearer {'d' * 20}").name == "key-2"


def test_more_requests_than_may_wait_are_sent_away(serve: Serve, tiny: Any) -> None:
    running = serve({"tiny": str(tiny())}, running=1, waiting=0)
    with httpx.stream("POST", running.url + CHAT, json=LONG) as first:
        lines = first.iter_lines()  # kept: the end of an iterator closes its stream
        assert next(lines)
        refused = httpx.post(running.url + CHAT, json=LONG)
    assert refused.status_code == 429 and refused.json()["error"]["type"] == "rate_limit_error"
    assert int(refused.headers["retry-after"]) >= 1


def test_a_body_has_a_limit_with_and_without_its_length(serve: Serve) -> None:
    running = serve(body=2000)
    large = {**BODY, "messages": [{"role": "user", "content": "x" * 3000}]}
    assert httpx.post(running.url + CHAT, json=large).status_code == 413
    chunks = (part for part in (b'{"model": "', b"x" * 3000, b'"}'))
    header = {"content-type": "application/json"}
    assert httpx.post(running.url + CHAT, content=chunks, headers=header).status_code == 413


def test_a_request_has_a_time_limit_and_then_its_best_answer(serve: Serve, tiny: Any) -> None:
    running = serve({"tiny": str(tiny())}, seconds=0.3)
    done = httpx.post(running.url + CHAT, json={**LONG, "stream": False}).json()
    assert "length" in {choice["finish_reason"] for choice in done["choices"]}
    assert "0.3 seconds" in done["thinkgraph"]["cut"]


def test_a_page_of_another_origin_gets_nothing(serve: Serve) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    closed = serve()
    answer = httpx.options(closed.url + CHAT, headers=asked)
    assert "access-control-allow-origin" not in answer.headers
    # A name that resolves to this machine: the page of another host, after it rebound its DNS.
    rebound = httpx.post(closed.url + CHAT, json=BODY, headers={"Host": "evil.example"})
    assert rebound.status_code == 400
    for host in ("localhost", "127.0.0.1:8080", "[::1]:8080"):
        assert httpx.post(closed.url + CHAT, json=BODY, headers={"Host": host}).is_success
    # What a browser sends of another site's page without asking first: a Blob has no type.
    blob = httpx.post(closed.url + CHAT, content=json.dumps(BODY).encode())
    assert blob.status_code == 400 and "Content-Type: application/json" in blob.text
    opened = serve(origins=("https://good.example",))
    good = {**asked, "Origin": "https://good.example"}
    answer = httpx.options(opened.url + CHAT, headers=good)
    assert answer.headers["access-control-allow-origin"] == "https://good.example"


@pytest.mark.parametrize("opened", ["https://good.example", "*"])
def test_programs_of_an_allowed_origin_can_use_both_apis(serve: Serve, opened: str) -> None:
    running = serve(origins=(opened,))
    origin = {"Origin": "https://good.example"}
    for path, method, sent in (
        (CHAT, "POST", "authorization,content-type,x-stainless-lang,x-stainless-os"),
        ("/mcp", "POST", "content-type,mcp-protocol-version,mcp-session-id"),
        ("/mcp", "DELETE", "mcp-session-id"),
    ):
        wants = {"Access-Control-Request-Method": method, "Access-Control-Request-Headers": sent}
        allowed = httpx.options(running.url + path, headers={**origin, **wants})
        assert allowed.status_code == 200, allowed.text
    done = httpx.post(running.url + CHAT, json=BODY, headers=origin)
    told = done.headers["access-control-expose-headers"].lower()
    assert "mcp-session-id" in told and "retry-after" in told
    about = {"protocolVersion": "2025-06-18", "capabilities": {}}
    about["clientInfo"] = {"name": "a page", "version": "1"}
    call = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": about}
    accepts = {"Accept": "application/json, text/event-stream"}
    said = httpx.post(f"{running.url}/mcp", json=call, headers={**origin, **accepts})
    assert said.status_code == 200
    if opened != "*":
        evil = {"Origin": "https://evil.example", **accepts}
        assert httpx.post(f"{running.url}/mcp", json=call, headers=evil).status_code == 403


def test_metrics_tell_tokens_votes_and_the_engines_cells(serve: Serve, tiny: Any) -> None:
    running = serve({"tiny": str(tiny()), "scripted": ScriptedModel(lambda m, s: "It is 12.")})
    for model in ("tiny", "scripted/self-consistency@4"):
        httpx.post(running.url + CHAT, json={**BODY, "model": model, "max_tokens": 8})
    text = httpx.get(f"{running.url}/metrics").text
    one = 'thinkgraph_requests_total{api="chat",end="done",strategy="self-consistency"} 1.0'
    assert one in text
    assert 'thinkgraph_vote_share_sum{strategy="self-consistency"} 1.0' in text
    assert 'thinkgraph_engine_completion_tokens_total{model="tiny"}' in text
    assert 'thinkgraph_tokens_total{kind="completion",strategy="tiny"} 8.0' in text
    for counted in ("callers", "sampling", "native", "step"):
        assert f'thinkgraph_engine_{counted}_seconds_total{{model="tiny"}}' in text
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    for told in ("queue", "first_token", "total", "token"):
        name = f"thinkgraph_engine_{told}_latency_seconds"
        labels = {"model": "tiny"} if told == "token" else {"model": "tiny", "kind": "generate"}
        own = [s for s in samples if labels.items() <= s.labels.items()]
        buckets = [s.value for s in own if s.name == f"{name}_bucket"]
        (count,) = [s.value for s in own if s.name == f"{name}_count"]
        assert buckets == sorted(buckets)
        assert buckets[-1] == count > 0


def tokens_of(running: Any, strategy: str) -> float:
    text = httpx.get(f"{running.url}/metrics").text
    samples = [s for family in text_string_to_metric_families(text) for s in family.samples]
    labels = {"strategy": strategy, "kind": "completion"}
    found = [s.value for s in samples if s.name == "thinkgraph_tokens_total" and s.labels == labels]
    return sum(found)


def test_metrics_count_the_tokens_of_a_request_that_fails(serve: Serve) -> None:
    running = serve(ScriptedModel(["five words of a draft", ModelError("no disk")]))
    failed = httpx.post(running.url + CHAT, json={**BODY, "model": "self-refine"})
    assert failed.status_code == 502
    assert tokens_of(running, "self-refine") == 5


def test_metrics_count_the_tokens_of_a_client_that_leaves(serve: Serve, tiny: Any) -> None:
    running = serve({"tiny": str(tiny())})
    with httpx.stream("POST", running.url + CHAT, json=LONG) as left:
        lines = left.iter_lines()
        assert next(lines)
    limit = time.monotonic() + 20
    while not tokens_of(running, "tiny"):
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_a_stream_that_was_read_to_its_end_isnt_cancelled(serve: Serve) -> None:
    running = serve()
    httpx.post(running.url + CHAT, json={**BODY, "stream": True})
    text = httpx.get(f"{running.url}/metrics").text
    assert 'thinkgraph_requests_total{api="chat",end="done",strategy="scripted"} 1.0' in text


def test_models_are_opened_on_demand_within_the_memory_limit(serve: Serve, tiny: Any) -> None:
    paths = {name: str(tiny(name)) for name in ("llama", "gemma2")}
    limit = max(Path(path).stat().st_size for path in paths.values()) + 10
    running = serve(paths, more={"memory": limit})
    assert {*running.service.models.opened} == {"llama"}
    threads = [
        threading.Thread(
            target=lambda m=model: httpx.post(
                running.url + CHAT, json={**BODY, "model": m, "max_tokens": 30}, timeout=60
            ).raise_for_status()
        )
        for model in ("llama", "gemma2", "llama", "gemma2")
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(running.service.models.opened) == 1


def test_the_seconds_of_a_request_bound_its_wait_for_a_model(serve: Serve, tmp_path: Path) -> None:
    for name in "ab":
        (tmp_path / f"{name}.gguf").write_bytes(b"x" * 60)
    paths = {name: str(tmp_path / f"{name}.gguf") for name in "ab"}
    memory = {"memory": 100, "load": lambda source, **settings: ScriptedModel(["fine"])}
    running = serve(paths, more=memory)
    running.service.models._users["a"] += 1  # as if another request ran on it
    body = {**BODY, "thinkgraph": {"seconds": 0.2}}
    for model in ("b", "b/direct"):
        refused = httpx.post(running.url + CHAT, json={**body, "model": model})
        assert refused.status_code == 429 and int(refused.headers["retry-after"]) >= 1
    assert httpx.post(running.url + CHAT, json={**body, "model": "a"}).status_code == 200


def test_a_wrong_setting_is_told_as_its_option() -> None:
    with pytest.raises(ThinkgraphError, match=r"^--chores '\(': not a regular expression of RE2"):
        settings_of({"chores": "("})
    with pytest.raises(ThinkgraphError, match=r"^--max-tokens 0: "):
        settings_of({"max_tokens": 0})


def test_a_strategy_in_a_folder_with_an_at_sign_is_offered(tmp_path: Path) -> None:
    path = tmp_path / "me@corp" / "own.yaml"
    path.parent.mkdir()
    graph = load("self-consistency")
    path.write_text(graph.yaml.replace("name: self-consistency", "name: own"))
    assert Strategies.load([str(path)]).names == ["own"]
    assert Strategies.load([f"{path}@4"]).names == ["own", "own@4"]


@pytest.mark.parametrize(
    ("given", "name"),
    [
        ("smollm2", "smollm2"),
        ("/models/qwen.gguf", "qwen"),
        ("small=/models/a=b.gguf", "small"),
        ("/models/a=b.gguf", "a=b"),
        ("openai:Qwen/Qwen3@http://127.0.0.1:1/v1", "Qwen3"),
        ("hf:owner/repo/file.gguf", "file"),
    ],
)
def test_a_model_is_named_by_its_file_unless_it_is_given_a_name(given: str, name: str) -> None:
    assert named(given)[0] == name


def test_a_server_that_is_told_to_stop_gives_its_best_answers(tiny: Any) -> None:
    command = [sys.executable, "-m", "thinkgraph", "serve", "--port", "0", "--no-page"]
    process = subprocess.Popen(
        [*command, "-m", f"t={tiny()}", "self-consistency"], stderr=subprocess.PIPE, text=True
    )
    assert process.stderr
    url = process.stderr.readline().split()[-1]
    found: list[httpx.Response] = []
    body = {**BODY, "model": "self-consistency@16", "max_tokens": 1500}
    asking = threading.Thread(
        target=lambda: found.append(httpx.post(f"{url}/chat/completions", json=body, timeout=60))
    )
    asking.start()
    time.sleep(0.4)
    os.kill(process.pid, signal.SIGTERM)
    asking.join()
    assert process.wait(20) in (0, -signal.SIGTERM)
    assert found[0].status_code == 200
    assert "stopping" in found[0].json()["thinkgraph"]["cut"]
    assert "Traceback" not in process.stderr.read()
