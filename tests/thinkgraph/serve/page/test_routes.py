"""The page's routes, as its scripts call them."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from typing import Any

import httpx
import pytest

from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.serve.offer import specs
from thinkgraph.serve.page import routes

QUESTION = "What is 3 + 4?"


@pytest.fixture(scope="module")
def client(serving: Callable[..., Any], tiny: Callable[[str], Any]) -> Iterator[httpx.Client]:
    models = {
        "scripted": ScriptedModel(lambda messages, seed: "It is 7."),
        "tiny": str(tiny("llama")),
    }
    with (
        serving(models, token="secret") as served,
        httpx.Client(
            base_url=served.url, headers={"authorization": "Bearer secret"}, timeout=30
        ) as client,
    ):
        yield client


def begin(client: httpx.Client, **asked: Any) -> str:
    answer = client.post("/page/runs", json={"question": QUESTION, "strategy": "direct", **asked})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def batches(client: httpx.Client, id: str, **headers: str) -> list[tuple[int, list[Any]]]:
    """The numbered batches of a run's events, to its end."""
    found, number = [], -1
    with client.stream("GET", f"/page/runs/{id}/events", headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            if name == "id":
                number = int(value)
            if name == "event" and value == "over":
                break
            if name == "data" and value != "{}":
                found.append((number, json.loads(value)))
    return found


def events(client: httpx.Client, id: str) -> list[Any]:
    return [event for _, batch in batches(client, id) for event in batch]


def test_a_run_tells_all_that_happens(client: httpx.Client) -> None:
    told = events(client, begin(client, strategy="self-consistency", params={"samples": 3}))
    names = [event["event"] for event in told]
    assert told[0]["graph"]["name"] == "self-consistency"
    assert {"sent", "node", "delta", "candidate", "vote", "answer", "end"} <= {*names}
    assert names[-1] == "end"
    assert told[-1]["status"] == "done"
    assert told[-1]["output"] == "7"
    (sent,) = [event for event in told if event["event"] == "sent"]
    assert sent["ids"] == ["sample.0.0", "sample.0.1", "sample.0.2"]
    assert QUESTION in sent["messages"][-1]["content"]
    (vote,) = [event for event in told if event["event"] == "vote" and event["final"]]
    assert vote["classes"][0]["members"] == sent["ids"]


def test_the_text_of_a_candidate_is_the_sum_of_its_news(client: httpx.Client) -> None:
    told = events(client, begin(client, model="tiny", params={"max_tokens": 40}))
    text = "".join(event["text"] for event in told if event["event"] == "delta")
    whole = [event for event in told if event["event"] == "candidate"]
    assert text.strip() == whole[0]["text"].strip()


def test_who_comes_back_is_told_the_rest(client: httpx.Client) -> None:
    id = begin(client)
    everything = batches(client, id)
    number = everything[0][0]
    assert batches(client, id, **{"Last-Event-ID": str(number)}) == everything[1:]


def test_a_stopped_run_gives_what_it_has(client: httpx.Client) -> None:
    id = begin(client, model="tiny", params={"max_tokens": 1900})
    time.sleep(0.5)
    assert client.delete(f"/page/runs/{id}").status_code == 409
    assert client.post(f"/page/runs/{id}/stop").status_code == 202
    end = events(client, id)[-1]
    assert (end["status"], end["cut"]) == ("stopped", "it was stopped")
    assert client.get(f"/page/runs/{id}").json()["status"] == "stopped"


def test_a_finished_run_has_a_report_and_can_be_deleted(client: httpx.Client) -> None:
    id = begin(client, seed=5)
    events(client, id)
    report = client.get(f"/page/runs/{id}/report?download")
    assert "attachment" in report.headers["content-disposition"]
    assert "script-src" not in report.headers["content-security-policy"]
    assert QUESTION in report.text
    assert client.get(f"/page/runs/{id}").json()["seed"] == 5
    assert client.delete(f"/page/runs/{id}").status_code == 204
    assert client.get(f"/page/runs/{id}").status_code == 404


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"question": "  "}, 400, "the question is empty"),
        ({"strategy": "directt"}, 404, "there is no strategy 'directt'"),
        ({"model": "/etc/passwd"}, 404, "there is no model '/etc/passwd'"),
        ({"params": {"max_token": 5}}, 400, "did you mean 'max_tokens'"),
        ({"params": {"max_tokens": 0}}, 400, "0 is less than 1"),
        ({"tokens": 0}, 400, "tokens: Input should be greater than"),
        ({"yaml": "name: x"}, 400, "TG1"),
        (
            {
                "yaml": "thinkgraph: 1\nname: x\nnodes: {a: {use: ./mine.yaml}}\n"
                "edges: START -> a -> END"
            },
            400,
            "there is no file './mine.yaml'",
        ),
        ({"nonsense": 1}, 400, "nonsense: Extra inputs"),
    ],
)
def test_what_cannot_be_asked_is_refused_in_words(
    client: httpx.Client, asked: dict[str, Any], status: int, said: str
) -> None:
    answer = client.post("/page/runs", json={"question": QUESTION, "strategy": "direct", **asked})
    assert answer.status_code == status
    assert said in answer.json()["error"]["message"]


@pytest.mark.parametrize("value", ["NaN", "Infinity", '"nan"', '"-inf"'])
def test_a_number_that_json_cannot_keep_is_refused(client: httpx.Client, value: str) -> None:
    body = f'{{"question": "q", "strategy": "direct", "params": {{"temperature": {value}}}}}'
    answer = client.post("/page/runs", content=body)
    assert answer.status_code == 400
    assert "finite number" in answer.json()["error"]["message"]
    assert client.get("/page/runs").status_code == 200


def test_the_pages_files_are_of_one_version(client: httpx.Client) -> None:
    for path in ("/", "/page/static/main.js"):
        assert client.get(path).headers["cache-control"] == "no-cache"


def test_a_body_that_is_no_json_is_refused(client: httpx.Client) -> None:
    assert client.post("/page/runs", content=b"\xff{").status_code == 400


SPEC = """
thinkgraph: 1
name: told
inputs: {hint: {about: what helps}}
nodes: {a: {kind: generate, prompt: {user: "{{ question }} ({{ hint }})"}}}
edges: START -> a -> END
"""


def test_an_input_is_given_as_a_param_is(client: httpx.Client) -> None:
    graph = client.post("/page/check", json={"text": SPEC}).json()["graph"]
    assert graph["params"]["hint"]["about"] == "what helps"
    told = events(client, begin(client, yaml=SPEC, params={"hint": "count them"}))
    (sent,) = [event for event in told if event["event"] == "sent"]
    assert sent["messages"][-1]["content"] == f"{QUESTION} (count them)"


REVIEWED = """
thinkgraph: 1
name: reviewed
nodes:
  draft: {kind: generate, samples: 2}
  look: {kind: review, ask: Which is right?}
edges: START -> draft -> look -> END
"""


def waiting(client: httpx.Client, id: str, times: int = 1) -> dict[str, Any]:
    """The last of so many questions that a run asks."""
    with client.stream("GET", f"/page/runs/{id}/events") as answer:
        for line in answer.iter_lines():
            name, _, value = line.partition(": ")
            for event in json.loads(value) if name == "data" and value != "{}" else []:
                if event["event"] == "waiting":
                    times -= 1
                    if not times:
                        return dict(event)
    raise AssertionError("the run ended")


def test_a_run_waits_for_a_person_and_goes_on_with_the_reply(client: httpx.Client) -> None:
    id = begin(client, yaml=REVIEWED)
    first = waiting(client, id)
    assert first["request"]["ask"] == "Which is right?"
    assert [each["answer"] for each in first["request"]["candidates"]] == ["7", "7"]
    path = f"/page/runs/{id}/replies"
    assert client.post(f"{path}/{first['number'] + 1}", json={"reply": 1}).status_code == 404
    assert client.post(f"{path}/{first['number']}", json={"answer": 1}).status_code == 400
    assert client.post(f"{path}/{first['number']}", json={"reply": 3}).status_code == 202
    second = waiting(client, id, times=2)
    assert "there is no candidate 3" in second["request"]["error"]
    reply = {"reply": {"choose": 2, "edit": "It is 12."}}
    assert client.post(f"{path}/{second['number']}", json=reply).status_code == 202
    assert client.post(f"{path}/{second['number']}", json=reply).status_code == 409
    end = events(client, id)[-1]
    assert (end["status"], end["output"], end["accepted"]) == ("done", "12", True)


def test_a_stopped_run_asks_nobody_and_says_nothing_in_a_persons_name(
    client: httpx.Client,
) -> None:
    id = begin(client, yaml=REVIEWED)
    waiting(client, id)
    client.post(f"/page/runs/{id}/stop")
    told = events(client, id)
    assert (told[-1]["status"], told[-1]["output"]) == ("stopped", "7")
    assert told[-1]["cut"] == "it was stopped"
    assert not [event for event in told if event["event"] == "critique"]


def test_a_time_limit_ends_the_wait_for_a_person(client: httpx.Client) -> None:
    end = events(client, begin(client, yaml=REVIEWED, seconds=0.5))[-1]
    assert (end["status"], end["output"]) == ("stopped", "7")


def test_a_run_that_fails_says_why(client: httpx.Client) -> None:
    id = begin(client, model="tiny", question="word " * 20_000)
    end = events(client, id)[-1]
    assert end["status"] == "failed"
    assert "tokens" in end["error"]
    assert client.get(f"/page/runs/{id}").json()["error"] == end["error"]


def test_a_spec_is_checked_and_drawn(client: httpx.Client) -> None:
    text = client.get("/page/strategies/self-refine").json()["yaml"]
    found = client.post("/page/check", json={"text": text}).json()
    assert found["problems"] == []
    assert found["graph"]["name"] == "self-refine"
    assert 'data-node="draft"' in found["graph"]["svg"]
    wrong = client.post("/page/check", json={"text": text.replace("critique", "critic", 1)}).json()
    assert wrong["problems"]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/page/check", {"text": SPEC}),
        ("/page/complete", {"text": SPEC, "position": 5}),
        ("/page/runs", {"question": QUESTION, "yaml": SPEC, "params": {"hint": "count"}}),
    ],
)
def test_a_spec_is_read_off_the_event_loop(
    client: httpx.Client, monkeypatch: pytest.MonkeyPatch, path: str, body: dict[str, Any]
) -> None:
    """A long one would stop all other runs and requests."""
    readers = []

    def noted(of: Callable[..., Any], *given: Any, **more: Any) -> Any:
        with suppress(RuntimeError):
            readers.append(asyncio.get_running_loop())
        return of(*given, **more)

    for module, name in ((specs.Document, "parse"), (routes, "svg"), (routes, "complete")):
        monkeypatch.setattr(module, name, partial(noted, getattr(module, name)))
    assert client.post(path, json=body).status_code in (200, 201)
    assert not readers


def test_the_metrics_count_the_pages_runs(client: httpx.Client) -> None:
    events(client, begin(client, strategy="direct"))
    counted = client.get("/metrics").text
    assert 'thinkgraph_requests_total{api="page",end="done",strategy="direct"}' in counted
    assert 'thinkgraph_tokens_total{kind="completion",strategy="direct"}' in counted


def test_the_api_needs_no_token_of_the_page(client: httpx.Client) -> None:
    plain = httpx.Client(base_url=client.base_url)
    assert plain.get("/v1/models").status_code == 200
    assert plain.get("/page/runs").status_code == 401
    assert plain.get("/page/static/main.js").status_code == 401
