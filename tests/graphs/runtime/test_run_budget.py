"""One budget for a whole run of a compiled graph, whatever its nodes do and however it ends."""

import time
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.types import Command

import thinkgraph as tg
from thinkgraph.graphs.language.spec import Limits
from thinkgraph.graphs.runtime.budget import RunBudget
from thinkgraph.graphs.runtime.state import total_usage
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.errors import ModelError
from thinkgraph.nodes.registry import _registered

QUESTION = {"question": "What is 2 + 3?"}
THREAD = {"configurable": {"thread_id": "1"}}


def panel(budget: Limits) -> tg.Graph:
    """Three nodes side by side, and one after them."""
    graph = tg.Graph("panel", budget=budget)
    graph.add(a=tg.Generate(), b=tg.Generate(), c=tg.Generate(), last=tg.Generate())
    graph.edge(tg.START, ["a", "b", "c"], "last", tg.END)
    return graph


def cut(values: Any) -> str | None:
    return values["messages"][-1].response_metadata["cut"]


def says(*texts: str | Exception) -> ScriptedModel:
    return ScriptedModel(texts or (lambda messages, seed: "a b 5"))


@pytest.mark.parametrize("is_async", [True, False])
@pytest.mark.parametrize("calls", [1, 2, 3])
async def test_nodes_side_by_side_share_the_calls(calls: int, is_async: bool) -> None:
    app = panel(Limits(calls=calls)).compile(model=(model := says()))
    values = await app.ainvoke(QUESTION) if is_async else app.invoke(QUESTION)
    assert len(model.calls) == total_usage(values).model_calls == calls
    assert cut(values) == f"the budget of {calls} model calls is spent"
    assert values["answer"]["value"] == "5"


def test_tokens_are_of_the_run_and_not_of_a_node() -> None:
    app = panel(Limits(tokens=7)).compile(model=says())
    values = app.invoke(QUESTION)
    assert total_usage(values).completion_tokens == 7
    assert cut(values) == "the budget of 7 tokens is spent"


def test_seconds_fire() -> None:
    @tg.node_kind("slow", output_channels={"candidates"})
    def slow(state: tg.State, step: Any) -> tg.Update:
        "question → nothing, slowly"
        time.sleep(0.05)
        return tg.Update()

    try:
        graph = tg.Graph("slow", budget=Limits(seconds=0.04))
        graph.add(wait=slow(), draft=tg.Generate())
        graph.edge(tg.START, "wait", "draft", tg.END)
        values = graph.compile(model=(model := says())).invoke(QUESTION)
    finally:
        _registered.pop("slow", None)
    assert not model.calls
    assert cut(values) == "the budget of 0.04 seconds is spent"


@pytest.mark.slow
def test_time_stands_still_while_a_run_waits() -> None:
    graph = tg.Graph("waits", budget=Limits(seconds=0.5))
    graph.add(draft=tg.Generate(), more=tg.Generate())
    graph.edge(tg.START, "draft", "more", tg.END)
    app = graph.compile(InMemorySaver(), model=says(), interrupt_before=["more"])
    app.invoke(QUESTION, THREAD)
    time.sleep(0.6)
    assert cut(app.invoke(None, THREAD)) is None


def test_a_resumed_run_has_what_was_left(tmp_path: Any) -> None:
    graph = tg.Graph("two", budget=Limits(tokens=4))
    graph.add(draft=tg.Generate(), more=tg.Generate())
    graph.edge(tg.START, "draft", "more", tg.END)
    saver = InMemorySaver()
    broken = says("a b 5", ModelError("power cut"))
    with pytest.raises(ModelError):
        graph.compile(saver, model=broken).invoke(QUESTION, THREAD)
    values = graph.compile(saver, model=says()).invoke(None, THREAD)
    assert [c["tokens"] for c in values["candidates"].values()] == [3, 1]
    assert cut(values) == "the budget of 4 tokens is spent"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def using_one_that_waits(folder: Path, place: str) -> tg.Graph:
    """A graph that uses another, which asks a person between two drafts; together 4 tokens."""
    limits = {place: Limits(tokens=4)}
    inner = tg.Graph("inner", budget=limits.get("inner"))
    inner.add(draft=tg.Generate(), look=tg.Review(), more=tg.Generate())
    inner.edge(tg.START, "draft", "look", "more", tg.END)
    inner.save(folder / "inner.yaml")
    outer = tg.Graph("outer", budget=limits.get("outer"))
    outer.add(all=tg.NodeSpec(use="inner.yaml", budget=limits.get("node")))
    outer.edge(tg.START, "all", tg.END)
    return outer


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("place", ["inner", "node", "outer"])
def test_a_resumed_run_has_what_a_used_graph_had_left(
    folder: Path, place: str, restarted: bool
) -> None:
    graph, saver = using_one_that_waits(folder, place), InMemorySaver()
    app = graph.compile(saver, model=says())
    app.invoke(QUESTION, THREAD)
    if restarted:
        app = graph.compile(saver, model=says())
    values = app.invoke(Command(resume=True), THREAD)
    assert total_usage(values).completion_tokens == 4
    assert cut(values) == "the budget of 4 tokens is spent"


@pytest.mark.parametrize("place", ["inner", "node", "outer"])
def test_an_interrupted_run_resumes_with_what_a_used_graph_had_left(
    folder: Path, place: str
) -> None:
    with pytest.raises(tg.Interrupted) as waiting:
        using_one_that_waits(folder, place).run("?", model=says())
    result = waiting.value.resume(True)
    assert result.usage.completion_tokens == 4
    assert result.cut == "the budget of 4 tokens is spent"


def test_the_time_of_a_used_graph_is_charged_once_to_the_budgets_above() -> None:
    outer = RunBudget(Limits())
    inner = RunBudget(Limits(), outer)
    outer.resume({"turn": {"id": "outer", "elapsed_s": 1.0}})
    for _ in range(2):
        inner.resume({"turn": {"id": "inner", "elapsed_s": 2.0}})
    assert (outer.elapsed, inner.elapsed) == (3.0, 2.0)


def test_who_goes_back_to_a_checkpoint_has_what_was_left_there() -> None:
    graph = tg.Graph("two", budget=Limits(tokens=6))
    graph.add(draft=tg.Generate(), more=tg.Generate())
    graph.edge(tg.START, "draft", "more", tg.END)
    app = graph.compile(InMemorySaver(), model=says())
    first = app.invoke(QUESTION, THREAD)
    before = next(s for s in app.get_state_history(THREAD) if s.next == ("more",))
    again = app.invoke(None, before.config)
    assert [c["tokens"] for c in again["candidates"].values()] == [3, 3]
    assert cut(first) == cut(again)


@pytest.mark.parametrize("restarted", [False, True])
def test_who_goes_back_within_an_unfinished_turn_has_what_was_left_there(restarted: bool) -> None:
    graph, saver = tg.load("self-consistency"), InMemorySaver()
    given = {"samples": 4, "budget": {"tokens": 12}, "interrupt_before": ["vote"]}
    app = graph.compile(saver, model=says(), **given)
    app.invoke(QUESTION, THREAD)
    before = next(s for s in app.get_state_history(THREAD) if s.next == ("sample",))
    if restarted:
        app = graph.compile(saver, model=says(), **given)
    again = app.invoke(None, before.config)
    assert [c["tokens"] for c in again["candidates"].values()] == [3, 3, 3, 3]
    assert [c["finish_reason"] for c in again["candidates"].values()] == ["stop"] * 4


def test_a_step_that_is_resumed_has_spent_what_finished_nodes_of_it_spent() -> None:
    graph = tg.Graph("aside", budget=Limits(tokens=7))
    graph.add(draft=tg.Generate(), aside=tg.Generate(), look=tg.Review(), more=tg.Generate())
    graph.edge(tg.START, "draft", ["aside", "look"], "more", tg.END)
    app = graph.compile(InMemorySaver(), model=says())
    app.invoke(QUESTION, THREAD)
    values = app.invoke(Command(resume=True), THREAD)
    assert total_usage(values).completion_tokens == 7
    assert cut(values) == "the budget of 7 tokens is spent"


async def test_a_node_that_is_not_cut_leaves_what_cut_another() -> None:
    graph = tg.Graph("aside", budget=Limits(tokens=4))
    graph.add(a=tg.Generate(), b=tg.Generate(), vote=tg.Vote())
    graph.edge(tg.START, ["a", "b"], "vote", tg.END)
    saver, model = InMemorySaver(), says("a b c d e f", "5")
    await graph.compile(saver, model=model, interrupt_before=["vote"]).ainvoke(QUESTION, THREAD)
    values = await graph.compile(saver, model=model).ainvoke(None, THREAD)
    assert cut(values) == "the budget of 4 tokens is spent"


def test_each_turn_of_a_thread_has_the_whole_budget() -> None:
    graph = tg.load("direct")
    app = graph.compile(InMemorySaver(), model=says(), budget={"calls": 1})
    for _ in range(2):
        values = app.invoke(QUESTION, THREAD)
        assert (values["answer"]["value"], cut(values)) == ("5", None)


def test_what_was_cut_reaches_the_vote() -> None:
    """Retired candidates vote where the budget has left no live one with an answer."""
    graph = tg.Graph("rewritten", budget=Limits(tokens=4))
    graph.add(draft=tg.Generate(), vote=tg.Vote())
    graph.add(again=tg.Revise(keep="always"))
    graph.edge(tg.START, "draft", "again", "vote", tg.END)
    result = graph.run("?", model=says("so it's 5", "well, I"), seed=1)
    app = graph.compile(model=says("so it's 5", "well, I"), seed=1)
    assert app.invoke(QUESTION)["answer"]["value"] == result.answer.value == "5"


def test_only_a_graphs_own_budget_may_refer_to_its_params() -> None:
    graph, budget = tg.load("direct"), {"tokens": "$max_tokens"}
    told = "the budget's tokens is '\\$max_tokens', which is no number"
    with pytest.raises(tg.ThinkgraphError, match=told):
        graph.compile(model=says(), budget=budget)
    with pytest.raises(tg.ThinkgraphError, match=told):
        graph.run("?", model=says(), budget=budget)
    with pytest.raises(tg.ThinkgraphError, match=told):
        graph.compile(model=says()).invoke(QUESTION, context={"budget": budget})


def test_the_lesser_of_two_budgets_holds() -> None:
    app = panel(Limits(calls=3)).compile(model=(model := says()), budget={"calls": 2})
    app.invoke(QUESTION)
    app.invoke(QUESTION, context={"budget": {"calls": 1}})
    assert len(model.calls) == 3
