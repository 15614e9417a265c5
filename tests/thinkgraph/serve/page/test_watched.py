"""A run under way: its end is told whatever happens, and nobody's run is stopped."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from thinkgraph.graphs.graph import Graph, load
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.model import Model
from thinkgraph.nodes.kinds.generate import Generate
from thinkgraph.nodes.kinds.review import Review
from thinkgraph.serve.offer.models import Models
from thinkgraph.serve.offer.strategies import Strategies
from thinkgraph.serve.page import watched
from thinkgraph.serve.page.history import Asked
from thinkgraph.serve.page.watched import WatchedRun
from thinkgraph.serve.service import Service
from thinkgraph.serve.settings import ServeSettings


async def kept(run: WatchedRun) -> None:
    """Nothing goes wrong."""


async def run_of(model: str | Model, on_end: Any = kept, **asked: Any) -> WatchedRun:
    graph = load("direct")
    service = Service(Models({"m": model}), Strategies({"direct": graph}))
    run = WatchedRun(graph, Asked(question="What is 3 + 4?", **asked), on_end)
    await run.run(service)
    return run


def reviewed() -> Graph:
    graph = Graph("reviewed")
    graph.add(draft=Generate(), look=Review())
    graph.edge("START", "draft", "look", "END")
    return graph


async def last(run: WatchedRun) -> dict[str, Any]:
    return [event async for _, batch in run.batches() for event in batch][-1]


async def test_an_answer_that_cannot_be_kept_is_told_all_the_same() -> None:
    async def fails(run: WatchedRun) -> None:
        raise OSError("the disk is full")

    end = await last(await run_of(ScriptedModel(["It is 7."]), fails))
    assert (end["status"], end["output"]) == ("done", "7")
    assert end["unkept"] == "the disk is full"


async def test_a_fault_of_a_model_is_told(tmp_path: Path) -> None:
    end = await last(await run_of(ScriptedModel([ValueError("out of order")])))
    assert end["status"] == "failed"
    assert "out of order" in end["error"]
    assert "there is no file" in (await last(await run_of(str(tmp_path / "no.gguf"))))["error"]


async def test_a_run_that_nobody_watches_is_stopped(
    tiny: Callable[[str], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    graph = load("direct")
    service = Service(Models({"m": str(tiny("llama"))}), Strategies({"direct": graph}))
    run = WatchedRun(graph, Asked(question="What?", params={"max_tokens": 1900}), kept)
    running = asyncio.create_task(run.run(service))
    async with aclosing(run.batches()) as batches:
        async for _, batch in batches:  # leaves it once it writes
            if any(event["event"] == "delta" for event in batch):
                break
    monkeypatch.setattr(watched, "UNWATCHED_S", 0.0)
    await running
    assert run.status == "stopped"
    assert run.result is not None
    assert run.result.cut == watched.LEFT


async def test_a_run_that_waits_for_a_person_may_be_left(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = reviewed()
    service = Service(Models({"m": ScriptedModel(["It is 7."])}), Strategies({"reviewed": graph}))
    run = WatchedRun(graph, Asked(question="What is 3 + 4?"), kept)
    running = asyncio.create_task(run.run(service))
    async with aclosing(run.batches()) as batches:
        async for _, batch in batches:  # leaves it after the question
            if any(event["event"] == "waiting" for event in batch):
                break
    monkeypatch.setattr(watched, "UNWATCHED_S", 0.2)
    await asyncio.sleep(0.5)
    assert not running.done()
    run.reply(0, True)
    await running
    assert run.status == "done"
    assert run.result is not None and run.result.accepted


async def test_the_final_vote_names_its_voters_in_whatever_order_they_ended() -> None:
    texts = ["word " * 60 + "It is 8.", "word " * 30 + "It is 7.", "It is 7."]
    graph = load("self-consistency")
    service = Service(Models({"m": ScriptedModel(texts)}), Strategies({"s": graph}))
    run = WatchedRun(graph, Asked(question="What is 3 + 4?", params={"samples": 3}), kept)
    await run.run(service)
    told = [event async for _, batch in run.batches() for event in batch]
    ended = [each["id"] for each in told if each["event"] == "candidate"]
    assert ended == ["sample.0.2", "sample.0.1", "sample.0.0"]
    (vote,) = [each for each in told if each["event"] == "vote" and each["final"]]
    assert {each["value"]: set(each["members"]) for each in vote["classes"]} == {
        "7": {"sample.0.1", "sample.0.2"},
        "8": {"sample.0.0"},
    }


async def test_a_run_that_waits_for_its_turn_can_be_stopped() -> None:
    graph = reviewed()
    models = Models({"m": ScriptedModel(["It is 7."])})
    service = Service(models, Strategies({"r": graph}), None, ServeSettings(running=1))
    first, second = (WatchedRun(graph, Asked(question="3 + 4?"), kept) for _ in range(2))
    running = asyncio.create_task(first.run(service))
    async with aclosing(first.batches()) as batches:
        async for _, batch in batches:
            if any(event["event"] == "waiting" for event in batch):
                break
    queued = asyncio.create_task(second.run(service))
    while not service.admission.waiting:
        await asyncio.sleep(0)
    second.stop()
    await queued
    assert (second.status, second.error) == ("stopped", "it was stopped; it hadn't begun")
    assert (await last(second))["event"] == "end"
    assert service.admission.waiting == 0
    assert not running.done()
    first.reply(0, True)
    await running
    assert first.status == "done"
