"""Plans: what a run costs is told before it runs, and no run costs more."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import thinkgraph
from thinkgraph import END, START, Graph, use
from thinkgraph.forecast import forecast
from thinkgraph.graphs.catalogue import builtin_names
from thinkgraph.graphs.graph import load
from thinkgraph.graphs.language.condition import Condition, variable_types
from thinkgraph.graphs.language.spec import Limits, NodeSpec, StateField
from thinkgraph.graphs.planning.dry_run import decided
from thinkgraph.graphs.planning.plan import Plan, TooLarge, plan
from thinkgraph.graphs.runtime.result import Result
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.catalogue import load as load_model
from thinkgraph.models.errors import ModelError, PromptTooLong
from thinkgraph.models.model import Message, Model, ModelRequest, Usage
from thinkgraph.models.tuning import measure as measuring
from thinkgraph.models.tuning.speed import MANY, Speed, speed
from thinkgraph.nodes import registry as room
from thinkgraph.nodes.base.cost import PopulationBounds
from thinkgraph.nodes.function_node import node_kind
from thinkgraph.nodes.kinds.ask import Ask
from thinkgraph.nodes.kinds.choose import Choose
from thinkgraph.nodes.kinds.critique import Critique
from thinkgraph.nodes.kinds.expand import Expand
from thinkgraph.nodes.kinds.generate import Generate
from thinkgraph.nodes.kinds.revise import Revise
from thinkgraph.nodes.kinds.score import Score
from thinkgraph.nodes.kinds.select import Select
from thinkgraph.nodes.kinds.synthesize import Synthesize
from thinkgraph.nodes.kinds.vote import Vote
from thinkgraph.nodes.population import State, Update
from thinkgraph.nodes.prompts.prompt import Prompt
from thinkgraph.nodes.step import Step

QUESTION = "Tom has 8 apples. He buys 5 more apples. How many apples does Tom have now?"


class Erratic(ScriptedModel):
    """Says anything, of any length, and finds any option likely; the same for the same seed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        super().__init__(self._words)

    def _words(self, messages: Sequence[Message], seed: int) -> str:
        draw = self._random
        lines = [
            " ".join(draw.choice(["so", "2 + 3", "Question?", "n = 4", "Wait"]) for _ in range(6))
            for _ in range(draw.choice([0, 1, 2, 9]))
        ]
        return "\n".join([*lines, draw.choice(["", f"The answer is {draw.randint(1, 3)}."])])

    async def choose(
        self, request: ModelRequest, options: Sequence[str]
    ) -> tuple[list[float], Usage]:
        self._choices = [[self._random.random() + 0.01 for _ in options]]
        self._used["choices"] = 0
        return await super().choose(request, options)


def spent(model: ScriptedModel, usage: Usage) -> dict[str, int]:
    return {
        "calls": usage.model_calls,
        "samples": sum(len(call.seeds) for call in model.calls),
        "tokens": usage.completion_tokens,
        "prompt_tokens": usage.prompt_tokens,
    }


def held(found: Plan, model: ScriptedModel, result: Result) -> None:
    """The plan covers what was spent, by the run and by each of its nodes."""
    for name, amount in spent(model, result.usage).items():
        assert amount <= getattr(found.total, name), name
        if found.total.exact and name in ("calls", "samples"):
            assert amount == getattr(found.total, name), name
    for name, bound in found.nodes.items():
        runs = [usage for key, usage in result.nodes.items() if key.partition(".")[0] == name]
        assert sum(usage.model_calls for usage in runs) <= bound.calls, name
        assert sum(usage.completion_tokens for usage in runs) <= bound.tokens, name
        assert sum(usage.prompt_tokens for usage in runs) <= bound.prompt_tokens, name
        if bound.exact:
            assert sum(usage.model_calls for usage in runs) == bound.calls, name


def run_within(graph: Graph, seed: int = 0, **params: Any) -> tuple[Plan, Result]:
    """A run of erratic answers, and its plan, which holds."""
    model = Erratic(seed)
    found = plan(graph, params, model, QUESTION)
    result = graph.run(QUESTION, model=model, seed=seed, **params)
    held(found, model, result)
    return found, result


@pytest.mark.slow
@pytest.mark.parametrize("name", builtin_names())
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_no_run_of_a_strategy_spends_more_than_its_plan(name: str, data: st.DataObject) -> None:
    graph = load(name)
    params: dict[str, Any] = {}
    for key, param in graph.spec.params.items():
        if param.choices:
            params[key] = data.draw(st.sampled_from(param.choices), key)
        elif param.kind == "integer":
            low = int(param.minimum or 0)
            high = min(low + 4, int(param.maximum or low + 4))
            params[key] = data.draw(st.integers(low, high), key)
    found, _ = run_within(graph, data.draw(st.integers(0, 10_000), "seed"), **params)
    assert not found.unknown


def test_a_knockout_whose_preferences_can_not_be_read_costs_what_its_plan_says() -> None:
    graph, params = load("best-of-n"), {"samples": 4, "scorer": "pairwise", "verdict": "text"}
    model = ScriptedModel(lambda messages, seed: f"Both are fine, says {seed}.")
    found = plan(graph, params, model, QUESTION)
    result = graph.run(QUESTION, model=model, **params)
    held(found, model, result)
    assert result.usage.model_calls == found.total.calls


def test_thoughts_that_say_nothing_are_calls_all_the_same() -> None:
    graph, params = load("budget-forcing"), {"thinking": 1, "waits": 2, "samples": 1}
    model = ScriptedModel(lambda messages, seed: "")
    found = plan(graph, params, model, QUESTION)
    held(found, model, graph.run(QUESTION, model=model, **params))
    assert len(model.calls) == 5


REAL = {
    "self-refine": {"rounds": 1, "max_tokens": 24},
    "tree-of-thoughts": {"depth": 2, "max_tokens": 16},
    "debate": {"rounds": 1, "agents": 2, "max_tokens": 24},
}


@pytest.fixture(scope="module")
def real() -> Model:
    return load_model("smollm2", sequences=32, gpu_layers=0)


@pytest.mark.parametrize("name", REAL)
def test_no_run_of_a_real_model_spends_more_than_its_plan(name: str, real: Model) -> None:
    graph, params = load(name), REAL[name]
    found = plan(graph, params, real, QUESTION)
    result = graph.run(QUESTION, model=real, seed=3, **params)
    assert result.usage.model_calls <= found.total.calls
    assert result.usage.completion_tokens <= found.total.tokens
    assert result.usage.prompt_tokens <= found.total.prompt_tokens
    for name, bound in found.nodes.items():
        runs = [usage for key, usage in result.nodes.items() if key.partition(".")[0] == name]
        assert sum(usage.model_calls for usage in runs) <= bound.calls


def test_the_cells_of_a_real_run_are_within_the_plan(real: Model) -> None:
    model = load_model("smollm2", sequences=32, gpu_layers=0, idle_cells=0)
    graph = load("self-consistency")
    found = plan(graph, {"samples": 6, "max_tokens": 16}, model, QUESTION)
    graph.run(QUESTION, model=model, seed=1, samples=6, max_tokens=16)
    assert 0 < model.engine.stats.cells_peak <= found.total.cells <= found.cells
    model.close()


def test_a_chain_without_conditions_is_known_exactly() -> None:
    found = plan(load("parallel-think"), {"lines": 5, "max_tokens": 10})
    assert (found.total.calls, found.total.samples, found.total.tokens) == (2, 6, 60)
    assert found.total.exact


def test_a_tournament_is_bounded_by_its_matches_which_are_fewer_where_texts_are_empty() -> None:
    graph, params = load("best-of-n"), {"samples": 5, "scorer": "pairwise", "max_tokens": 10}
    model = ScriptedModel(["It is 1", "", "It is 3", "It is 4", ""], choices=[[1, 1]] * 4)
    found = plan(graph, params, model, QUESTION)
    assert (found.total.calls, found.total.samples, found.total.tokens) == (9, 5, 50)
    assert not found.total.exact
    assert found.nodes["score"].calls == 8
    held(found, model, graph.run(QUESTION, model=model, **params))


def test_a_loop_that_a_critic_may_end_is_bounded_by_its_rounds() -> None:
    found = plan(load("self-refine"), {"rounds": 3, "max_tokens": 10})
    assert not found.total.exact
    assert found.total.calls == 3 + 3 * 3
    assert (found.nodes["draft"].runs, found.nodes["critic"].runs) == (1, 4)
    assert found.nodes["draft"].exact
    assert not found.nodes["revise"].exact


@pytest.mark.parametrize(("rounds", "best"), [(0, 2), (1, 2), (3, 4)])
def test_a_pool_is_planned_by_the_candidates_that_are_new(rounds: int, best: int) -> None:
    """Whoever is in the pool again, after a round without a place in it, was checked before."""
    params = {"rounds": rounds, "best": best, "drafts": 8, "checks": 3, "pairs": 2}
    rewrites = best * 2 * rounds
    found, _ = run_within(load("self-verify-pool"), **params)
    assert found.total.calls == 1 + (1 + 2 * 3) * (8 + rewrites) + rewrites


def test_what_a_used_graph_adds_is_judged_in_the_plan() -> None:
    graph = Graph("added")
    more = use("self-consistency", inputs={}, into={"candidates": "candidates"}, samples=3)
    graph.add(draft=Generate(samples=2), check=Critique(), more=more, vote=Vote())
    graph.edge(START, "draft", "check").edge("check", "more", repeat=1).edge("check", "vote")
    graph.edge("more", "check").edge("vote", END)
    found, _ = run_within(graph)
    assert found.nodes["check"].calls == 2 * (2 + 3)


@pytest.mark.parametrize("reply", ["", "It is 2."])
def test_candidates_that_nothing_replaced_are_judged_in_the_plan(reply: str) -> None:
    graph = Graph("merged")
    graph.add(draft=Generate(samples=3), merge=Synthesize(), check=Critique(), vote=Vote())
    graph.edge(START, "draft", "merge", "check", "vote", END)
    drafts, checks = ["It is 1."] * 3, ["It holds."] * 3
    model = ScriptedModel([*drafts, reply, *checks], choices=[[1, 1]] * 3)
    found = plan(graph, {}, model, QUESTION)
    held(found, model, graph.run(QUESTION, model=model))
    assert found.nodes["check"].calls == 2 * 3


def test_the_greater_of_two_branches_counts_and_not_their_sum() -> None:
    graph = Graph("fork", params={"many": 8})
    graph.add(
        first=Generate(),
        some=Generate(samples=3),
        all=Generate(samples="$many"),
        vote=Vote(),
    )
    graph.edge(START, "first")
    graph.edge("first", "some", when="answered > 0").edge("first", "all")
    graph.edge("some", "vote").edge("all", "vote").edge("vote", END)
    found = plan(graph)
    assert (found.total.calls, found.total.samples) == (2, 1 + 8)
    assert not found.total.exact
    assert {name: node.samples for name, node in found.nodes.items()} == {
        "first": 1,
        "some": 3,
        "all": 8,
        "vote": 0,
    }


def test_a_condition_on_round_and_params_is_decided() -> None:
    graph = Graph("rounds", params={"n": 3})
    graph.add(draft=Generate(), again=Generate(), vote=Vote())
    graph.edge(START, "draft", "again")
    graph.edge("again", "again", when="round + 1 < n", at_most=50).edge("again", "vote")
    graph.edge("vote", END)
    found, _ = run_within(graph)
    assert found.total.exact
    assert found.nodes["again"].runs == 3


def test_a_loop_that_repeats_a_node_is_decided() -> None:
    graph = Graph("rounds", params={"n": 3})
    graph.add(draft=Generate(), again=Generate(), vote=Vote())
    graph.edge(START, "draft", "again")
    graph.edge("again", "again", repeat="$n").edge("again", "vote")
    graph.edge("vote", END)
    for n in (0, 1, 3, 5):
        found, result = run_within(graph, n=n)
        assert found.total.exact
        assert found.nodes["again"].runs == result.counts["again"] == max(n, 1)


def test_a_loop_does_not_count_a_run_beside_the_node_that_chooses() -> None:
    graph = Graph("beside")
    graph.add(a=Generate(max_tokens=4), b=Vote(), c=Generate(max_tokens=4))
    graph.add(e=Generate(max_tokens=4))
    graph.edge(START, "a", ["b", "c"]).edge("b", "c").edge("c", "e")
    graph.edge("e", "c", repeat=3).edge("e", END)
    found, result = run_within(graph)
    assert found.total.exact
    assert (found.nodes["c"].runs, found.nodes["e"].runs) == (4, 4)
    assert (result.counts["c"], result.counts["e"]) == (4, 4)


@pytest.mark.parametrize("rounds", range(4))
def test_loops_within_loops_side_by_side_end_within_their_plan(rounds: int) -> None:
    graph = Graph("beside")
    graph.add(c=Generate(max_tokens=4), d=Generate(max_tokens=4), e=Generate(max_tokens=4))
    graph.edge(START, "c", ["d", "e"]).edge("d", "d", at_most=2).edge("d", "e")
    graph.edge("e", "c", repeat=rounds).edge("e", END)
    found, result = run_within(graph)
    assert found.total.exact
    assert {name: found.nodes[name].runs for name in "cde"} == {n: result.counts[n] for n in "cde"}


@pytest.mark.slow
@settings(max_examples=30, deadline=None)
@given(st.integers(0, 4), st.integers(0, 4), st.integers(0, 1000))
def test_loops_within_loops_end_within_their_plan(inner: int, outer: int, seed: int) -> None:
    graph = Graph("nested")
    graph.add(draft=Generate(), more=Generate(), vote=Vote())
    graph.edge(START, "draft")
    graph.edge("draft", "draft", when="not agreement == 1.0", repeat=inner)
    graph.edge("draft", "more").edge("more", "draft", when="live < 9", repeat=outer)
    graph.edge("more", "vote").edge("vote", END)
    _, result = run_within(graph, seed)
    assert result.counts["draft"] <= max(inner, outer, 1)


def test_fan_out_runs_a_node_for_each_candidate() -> None:
    graph = Graph("each")
    graph.add(draft=Generate(samples=4), critic=Critique(max_tokens=9), vote=Vote())
    graph.edge(START, "draft").edge("draft", "critic", each="candidates")
    graph.edge("critic", "vote").edge("vote", END)
    found, _ = run_within(graph)
    assert found.nodes["critic"].runs == 4
    assert found.nodes["critic"].calls == 8
    assert found.nodes["critic"].tokens == 36


def test_nodes_side_by_side_add_up_and_join_once() -> None:
    graph = Graph("join")
    graph.add(a=Generate(samples=2), b=Generate(samples=3), pick=Choose(), vote=Vote())
    graph.edge(START, ["a", "b"], "pick", "vote", END)
    found, _ = run_within(graph)
    assert found.total.samples == 5
    assert found.nodes["pick"].calls == 1


def test_a_used_graph_counts_as_its_node() -> None:
    graph = Graph("outer")
    graph.add(inner=use("self-consistency", samples=3, max_tokens=7), last=Generate(), vote=Vote())
    graph.edge(START, "inner", "last", "vote", END)
    found, _ = run_within(graph)
    assert found.nodes["inner"].samples == 3
    assert found.nodes["inner"].tokens == 21
    assert found.total.exact


DOWN = ModelError("the endpoint answered with status 500")


def failing(**settings: Any) -> Graph:
    """A draft by the model ``big``, with settings of failures, and ``small`` as any fallback."""
    graph = Graph("failing")
    draft = {"kind": "generate", "model": "big", "max_tokens": 5, **settings}
    graph.add(draft=NodeSpec.model_validate(draft), vote=Vote())
    if "fallback" in settings:
        graph.add(small=Generate(samples=8, max_tokens=5))
    return graph.edge(START, "draft", "vote", END)


def test_a_fallback_counts_beside_the_attempt_that_fails() -> None:
    graph = failing(fallback="small")
    found, model = plan(graph, {}, ScriptedModel(), QUESTION), Erratic(0)
    result = graph.run(QUESTION, model=model, models={"big": ScriptedModel([DOWN])})
    held(found, model, result)
    assert len(result.candidates) == 8
    assert found.total.samples == found.nodes["small"].samples == 1 + 8
    assert (found.nodes["draft"].runs, found.nodes["draft"].samples) == (1, 1)
    assert not found.total.exact
    assert not found.nodes["draft"].exact
    assert not found.nodes["small"].exact


def test_a_retry_counts_every_attempt() -> None:
    graph = failing(retry={"max_attempts": 3, "initial_interval": 0}, samples=2)
    big = ScriptedModel([*[DOWN] * 4, "5", "6"])
    graph.run(QUESTION, model=ScriptedModel(), models={"big": big})
    found = plan(graph)
    assert len(big.calls) == found.total.calls == 3
    assert found.total.samples == 6
    assert not found.total.exact


def test_a_fallback_that_fails_is_counted_as_often_as_its_node() -> None:
    graph = failing(retry={"max_attempts": 2, "initial_interval": 0}, fallback="small")
    big, small = (
        ScriptedModel([PromptTooLong(9, 8, 8)] * 2),
        ScriptedModel([*[DOWN] * 8, *"12345678"]),
    )
    graph.run(QUESTION, model=small, models={"big": big})
    assert len(big.calls) + len(small.calls) == plan(graph).total.calls == 4


def test_a_loop_in_which_a_fallback_runs_ends_within_its_plan() -> None:
    graph = Graph("loop")
    draft = {"kind": "generate", "model": "big", "fallback": "small", "max_tokens": 5}
    graph.add(draft=NodeSpec.model_validate(draft), small=Generate(max_tokens=5), vote=Vote())
    graph.edge(START, "small", "draft")
    graph.edge("draft", "draft", when="round < 3", repeat=4).edge("draft", "vote")
    graph.edge("vote", END)
    found = plan(graph)
    for works in range(6):
        big, small = ScriptedModel([*["5"] * works, *[DOWN] * 9]), ScriptedModel(["5"] * 9)
        result = graph.run(QUESTION, model=small, models={"big": big})
        assert result.usage.model_calls <= found.total.calls
        assert result.counts.get("small", 0) <= found.nodes["small"].runs


def growing(loops: int) -> Graph:
    """A graph whose candidates multiply, as far as a plan can tell."""
    graph = Graph("growing")
    graph.add(draft=Generate(samples=2), more=Generate(samples=3), check=Critique())
    graph.edge(START, "draft").edge("draft", "more", when="agreement < 0.5")
    graph.edge("draft", "check", "more")
    graph.edge("more", "more", when="repeated", each="candidates", at_most=1)
    graph.edge("more", "draft", when="not accepted", at_most=loops).edge("more", END)
    return graph


def test_a_plan_stops_where_it_has_no_useful_bound(capsys: pytest.CaptureFixture[str]) -> None:
    assert plan(growing(1)).total.bounded
    found = plan(growing(40))
    assert not any(spent.bounded or spent.exact for spent in (found.total, *found.nodes.values()))
    forecast(found)
    said = capsys.readouterr().out
    assert "no useful bound: a run could have more than 100,000 candidates" in said
    assert "≤" not in said


def test_a_graph_that_uses_one_without_a_useful_bound_has_none_either(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "growing.yaml").write_text(growing(40).yaml, "utf-8")
    graph = Graph("outer")
    graph.add(inner=use("growing.yaml"), vote=Vote())
    graph.edge(START, "inner", "vote", END)
    found = plan(graph)
    assert not found.total.bounded
    assert not found.nodes["inner"].bounded


def test_a_list_that_doubles_in_a_loop_has_no_useful_bound() -> None:
    graph = Graph(
        "doubling", params={"n": 3}, state={"notes": StateField(type="list", reducer="append")}
    )
    ask = Ask(prompt=Prompt(user="{{ question }}"), into="notes", lines=True, most=2)
    again = Ask(prompt=Prompt(user="{{ item }}"), each="notes", into="notes", max_tokens=2)
    graph.add(ask=ask, again=again, draft=Generate())
    graph.edge(START, "ask", "again").edge("again", "again", at_most="$n")
    graph.edge("again", "draft").edge("draft", END)
    assert plan(graph).total.bounded
    assert not plan(graph, {"n": 60}).total.bounded


def test_lists_of_the_state_bound_what_is_asked_of_each_item() -> None:
    graph = Graph(
        "items", state={"plan": StateField(type="list"), "notes": StateField(type="list")}
    )
    graph.add(
        asker=Ask(prompt=Prompt(user="{{ question }}"), into="plan", lines=True, most=3),
        note=Ask(
            prompt=Prompt(user="{{ item }} of {% for p in plan %}{{ p }}{% endfor %}"),
            each="plan",
            into="notes",
            max_tokens=6,
        ),
        draft=Generate(prompt=Prompt(user="{{ question }} {{ notes | join(' ') }} {{ plan }}")),
    )
    graph.edge(START, "asker", "note", "draft", END)
    for seed in range(4):
        found, _ = run_within(graph, seed)
    assert found.nodes["note"].calls == 3


def test_a_tree_grows_within_its_plan() -> None:
    graph = Graph("tree", params={"depth": 3})
    graph.add(
        grow=Expand(samples=3, max_tokens=8),
        value=Score(by="judge"),
        keep=Select(best=2),
        again=Revise(keep="both", max_tokens=8),
        vote=Vote(),
    )
    graph.edge(START, "grow", "value", "keep")
    graph.edge("keep", "grow", when="round + 1 < depth", at_most="$depth")
    graph.edge("keep", "again").edge("again", "vote", END)
    for seed in range(5):
        found, _ = run_within(graph, seed)
    assert found.nodes["grow"].runs == 3
    assert found.nodes["again"].samples == 2


def test_a_budget_bounds_the_plan() -> None:
    graph = Graph("frugal", budget=Limits(tokens=40, calls=2))
    graph.add(draft=Generate(samples=4, wave=1, max_tokens=50), vote=Vote())
    graph.edge(START, "draft", "vote", END)
    found = plan(graph)
    assert (found.total.calls, found.total.tokens) == (2, 40)


def test_a_kind_that_does_not_tell_its_cost_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "_registered", {})

    @node_kind("muse", output_channels={"candidates"})
    def muse(state: State, step: Step) -> Update:
        """question → a thought"""
        return Update()

    graph = Graph("own")
    graph.add(draft=Generate(), idea=muse())
    graph.edge(START, "draft", "idea", END)
    found = plan(graph)
    assert found.unknown == ("idea",)
    assert not found.total.exact


def test_what_cannot_fit_is_refused_with_the_param_to_lower() -> None:
    model = ScriptedModel(context_length=100)
    asked = {"max_tokens": 300, "prompt": "question"}
    found = plan(load("self-consistency"), asked, model, QUESTION)
    assert not found.fits
    highest = 100 - model.count_tokens([Message(role="user", content=QUESTION)])
    assert found.remedies == {"max_tokens": highest}
    with pytest.raises(TooLarge, match=rf"'sample' can't fit.*lower max_tokens to {highest}$"):
        found.check()
    lowered = {**asked, **found.remedies}
    assert not plan(load("self-consistency"), lowered, model, QUESTION).overflows


def test_what_may_not_fit_is_told_and_not_refused() -> None:
    model = ScriptedModel(context_length=400)
    found = plan(load("debate"), {"agents": 12, "max_tokens": 60}, model, QUESTION)
    found.check()
    assert "'exchange' may not fit" in found.warning
    assert set(found.remedies) == {"agents", "max_tokens"}
    assert not plan(load("debate"), {**found.remedies, "agents": 12}, model, QUESTION).overflows


def test_a_long_question_is_refused_though_no_param_helps() -> None:
    model = ScriptedModel(context_length=60)
    with pytest.raises(TooLarge, match=r"can't fit.*open the model with a longer one"):
        plan(load("direct"), {"max_tokens": 4}, model, "why " * 80).check()


def test_a_wrong_param_is_refused_as_in_a_run() -> None:
    with pytest.raises(thinkgraph.ThinkgraphError, match="no param 'sampels'; did you mean"):
        plan(load("self-consistency"), {"sampels": 3})


@pytest.mark.slow
def test_long_loops_are_planned_quickly_and_still_covered() -> None:
    graph = Graph("long", params={"n": 900})
    graph.add(draft=Generate(max_tokens=3), back=Generate(max_tokens=3), vote=Vote())
    graph.edge(START, "draft")
    graph.edge("draft", "back", when="answered < 2", at_most="$n").edge("draft", "vote")
    graph.edge("back", "draft", when="answered > 7", at_most="$n").edge("back", "vote")
    graph.edge("vote", END)
    assert plan(graph).total.samples == 2 * 900 + 1


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("round < n", True),
        ("round + 2 < n", False),
        ("!accepted && round + 2 < n", False),
        ("!accepted && round < n", None),
        ("accepted || round < n", True),
        ("accepted || round + 2 < n", None),
        ("(accepted && live > 0) && round + 2 < n", False),
        ("answer == '&&' && round + 2 < n", False),
        ("accepted ? round < n : round + 2 < n", None),
        ("accepted && round < n // && round + 2 < n", None),
        ("size(plan) > 0", None),
        ("size(plan) > 4", False),
        ("size(plan) >= 0 && round == 1", True),
        ("size(plan) > 4 || 'x' in plan", None),
        ("1 / (round - 1) > 0", None),
    ],
)
def test_a_condition_is_decided_as_far_as_it_can_be(text: str, truth: bool | None) -> None:
    graph = Graph("g", params={"n": 3}, state={"plan": StateField(type="list")})
    graph.add(draft=Generate())
    condition = Condition(text, variable_types(graph.edge(START, "draft", END).spec))
    population = PopulationBounds(live=2, fields={"plan": ("",) * 4})
    assert decided(condition, {"n": 3}, range(1, 2), population)[0] is truth


@pytest.mark.parametrize(
    ("text", "live"),
    [("live == 0", 0), ("live < 3 && !accepted", 2), ("live > 3 || accepted", 5), ("n == 4", 5)],
)
def test_a_condition_tells_how_many_candidates_can_be_live(text: str, live: int) -> None:
    graph = Graph("g", params={"n": 3})
    graph.add(draft=Generate())
    condition = Condition(text, variable_types(graph.edge(START, "draft", END).spec))
    assert decided(condition, {"n": 3}, range(1), PopulationBounds(live=5))[1] == live


@pytest.mark.parametrize("text", ["answered > 0", "live > 3 || accepted"])
def test_a_condition_is_decided_without_listing_all_numbers_of_candidates(text: str) -> None:
    graph = Graph("g")
    graph.add(draft=Generate())
    condition = Condition(text, variable_types(graph.edge(START, "draft", END).spec))
    population = PopulationBounds(live=sys.maxsize - 1)  # no list can have as many items
    assert decided(condition, {}, range(1), population) == (None, population.live)


def test_a_speed_is_measured_once_and_kept(
    real: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    short = measuring.SAMPLING.model_copy(update={"max_tokens": 3})
    monkeypatch.setattr(measuring, "SAMPLING", short)
    file = tmp_path / "cache" / "speed.json"
    told: list[str] = []
    first = speed(real.engine, file, tell=lambda: told.append("measuring"))
    assert first.prefill > 0
    assert speed(real.engine, file, tell=lambda: told.append("again")) == first
    assert told == ["measuring"]
    file.write_text("[nothing", "utf-8")
    assert speed(real.engine, file).sequences == 32


def test_time_grows_with_the_tokens_and_sublinearly_with_the_samples() -> None:
    known = Speed(prefill=500, alone=0.01, many=0.04, sequences=32, measured="2026-01-01")
    assert known.seconds(1000, 0, 1) == pytest.approx(2)
    assert known.seconds(0, 100, 1) == pytest.approx(1)
    assert known.seconds(0, 100, MANY) == pytest.approx(4)
    assert known.seconds(0, 100, 64) == pytest.approx(2 * known.seconds(0, 100, 32))
    found = plan(load("self-consistency"), {"max_tokens": 100}, ScriptedModel(), "why?", known)
    assert found.total.seconds == pytest.approx(4, abs=0.1)
