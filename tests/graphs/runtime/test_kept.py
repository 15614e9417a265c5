"""The compiled graph that a graph keeps between runs: what it serves, and what it must not."""

import asyncio
import copy
import gc
import pickle
import weakref

import pytest

import thinkgraph as tg
from thinkgraph.graphs.graph import KEPT
from thinkgraph.graphs.runtime import run
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.nodes.population import Answer, Update
from thinkgraph.nodes.prompts.prompt import Prompt
from thinkgraph.nodes.registry import _registered


@pytest.fixture(autouse=True)
def no_other_model(monkeypatch):
    monkeypatch.setenv("THINKGRAPH_MODEL", "none")


@pytest.fixture
def builds(monkeypatch):
    """The specs that were compiled for runs, by name."""
    made = []

    def build(spec, binding, **rest):
        made.append(spec.name)
        return original(spec, binding, **rest)

    original = run.build
    monkeypatch.setattr(run, "build", build)
    return made


@pytest.fixture
def votes():
    graph = tg.Graph("votes", params={"samples": 2})
    graph.add(sample=tg.Generate(samples="$samples"), vote=tg.Vote())
    graph.edge(tg.START, "sample", "vote", tg.END)
    return graph


def says(text):
    return ScriptedModel(lambda messages, seed: text)


def asked(model):
    return [message.content for message in model.calls[-1].messages]


def test_a_run_with_the_same_params_and_prompts_compiles_nothing(votes, builds):
    for seed, text in enumerate("456"):
        result = votes.run("?", model=says(text), seed=seed, budget={"tokens": 10 + seed})
        assert (result.answer.value, result.seed) == (text, seed)
    assert builds == ["votes"]


def test_each_run_has_its_own_params(votes, builds):
    for samples in (1, 3, 1):
        assert votes.run("?", model=says("4"), samples=samples).answer.of == samples
    assert len(builds) == 2
    for samples in range(1, KEPT + 3):
        assert votes.run("?", model=says("4"), samples=samples).answer.of == samples


def test_each_run_has_its_own_prompts(votes):
    loud, quiet = Prompt(user="{{ question }}!"), Prompt(user="{{ question }}.")
    model, given = says("4"), {"question": loud}
    for prompts, text in [(given, "Why!"), ({}, "Why"), ({"question": quiet}, "Why.")] * 2:
        votes.run("Why", model=model, prompts=prompts)
        assert asked(model) == [text]
    given["question"] = quiet
    for prompt, text in [(loud, "Why!"), (quiet, "Why.")]:
        votes.run("Why", model=model, prompts={"question": prompt})
        assert asked(model) == [text]


async def test_runs_side_by_side_have_their_own_models_and_roles():
    graph = tg.Graph("reviewed")
    graph.add(draft=tg.Generate(), critic=tg.Critique(model="critic"))
    graph.edge(tg.START, "draft", "critic", tg.END)

    async def one(number):
        critic = ScriptedModel([f"review {number}"], choices=[[1, 0]])
        return await graph.arun("?", model=says(f"{number}"), models={"critic": critic})

    for number, result in enumerate(await asyncio.gather(*map(one, range(8)))):
        assert result.answer.value == str(number)
        assert result.critiques[0].text == f"review {number}"


def test_runs_in_threads_with_loops_of_their_own(votes):
    async def all_at_once():
        work = (asyncio.to_thread(votes.run, "?", model=says(f"{n}")) for n in range(8))
        return await asyncio.gather(*work)

    values = [result.answer.value for result in asyncio.run(all_at_once())]
    assert values == [str(n) for n in range(8)]


def test_a_graph_that_was_changed_runs_as_it_is_now(votes):
    assert len(votes.run("?", model=says("4")).candidates) == 2
    votes.add(sample=tg.Generate(samples=5))
    assert len(votes.run("?", model=says("4")).candidates) == 5


def test_a_kind_that_was_defined_again_runs_as_it_is_now():
    def define(value):
        @tg.node_kind("fixed", output_channels={"answer"})
        def fixed(state, step):
            "question → a fixed answer"
            return Update(answer=Answer(value=value, text=value, candidate=None, votes=1, of=1))

        return fixed

    try:
        graph = tg.Graph("fixed")
        graph.add(reply=define("4")())
        graph.edge(tg.START, "reply", tg.END)
        assert graph.run("?", model=says("")).answer.value == "4"
        define("5")
        assert graph.run("?", model=says("")).answer.value == "5"
    finally:
        _registered.pop("fixed", None)


def test_the_graphs_that_it_uses_are_read_once(tmp_path, votes):
    votes.save(tmp_path / "votes.yaml")
    path = tmp_path / "outer.yaml"
    path.write_text(
        "thinkgraph: 1\nname: outer\nnodes: {all: {use: ./votes.yaml}}\n"
        "edges: START -> all -> END\n"
    )
    graph = tg.load(path)
    assert graph.run("?", model=says("4")).answer.of == 2
    votes.add(sample=tg.Generate(samples=3))
    votes.save(tmp_path / "votes.yaml")
    assert graph.run("?", model=says("4")).answer.of == 2
    assert tg.load(path).run("?", model=says("4")).answer.of == 3


@pytest.mark.slow
def test_no_model_is_kept(votes):
    model = says("4")
    seen = weakref.ref(model)
    votes.run("?", model=model)
    del model
    gc.collect()
    assert seen() is None


def test_a_graph_that_has_run_can_still_be_copied_and_sent(votes):
    votes.run("?", model=says("4"))
    for other in (copy.deepcopy(votes), pickle.loads(pickle.dumps(votes))):
        other.add(sample=tg.Generate(samples=3))
        assert other.run("?", model=says("4")).answer.of == 3
    assert votes.run("?", model=says("4")).answer.of == 2
