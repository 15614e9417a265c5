"""The public names, and what a misspelt one is answered with."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

import thinkgraph as tg
import thinkgraph.train
from thinkgraph import END, START, Generate, Graph, ThinkgraphError, load
from thinkgraph.models.arguments import ArgumentError


def one_node(**node: object) -> Graph:
    graph = Graph("one", params={"rounds": 2})
    graph.add(draft=Generate(**node))
    return graph.edge(START, "draft", END)


def used(**params: object) -> Graph:
    graph = Graph("using")
    graph.add(vote=tg.use("self-consistency", **params))
    return graph.edge(START, "vote", END)


def misspelt_edge() -> Graph:
    graph = Graph("edge")
    graph.add(draft=Generate())
    return graph.edge(START, "drfat", END)


TYPOS: dict[str, tuple[Callable[[], object], str]] = {
    "a setting": (lambda: Generate(temperture=0.7), "temperature"),
    "a choice": (lambda: tg.Critique(verdict="logit"), "logits"),
    "a prompt": (lambda: Generate(prompt="step-by-stp"), "step-by-step"),
    "a field of a prompt": (lambda: Generate(prompt={"usr": "{{ question }}"}), "user"),
    "an extractor": (lambda: Generate(extract="nubmer"), "number"),
    "a field inside a setting": (lambda: Generate(thinking={"tokns": 3}), "tokens"),
    "a field of a param": (lambda: tg.Param(defualt=2), "default"),
    "a field of an input": (lambda: tg.Input(typ="list"), "type"),
    "a reducer": (lambda: tg.StateField(reducer="appnd"), "append"),
    "a field of a candidate": (lambda: tg.Candidate(txt="x"), "text"),
    "a field of an update": (lambda: tg.Update(candidtes=()), "candidates"),
    "a field of a message": (lambda: tg.Message(roel="user", content="x"), "role"),
    "a role of a message": (lambda: tg.Message(role="usr", content="x"), "user"),
    "a field of the sampling": (lambda: tg.Sampling(temprature=1), "temperature"),
    "a setting of the engine": (lambda: tg.EngineSettings(gpu_layer=1), "gpu_layers"),
    "a setting of an opened model": (lambda: tg.load_model("smollm2", gpu_layer=1), "gpu_layers"),
    "a model": (lambda: tg.load_model("smolm2"), "smollm2"),
    "a field of a chat model": (lambda: tg.ChatGGUF(model="x", temprature=1), "temperature"),
    "an argument of a graph": (lambda: Graph("g", parms={}), "params"),
    "an argument of an edge": (lambda: one_node().edge("draft", END, wen="true"), "when"),
    "an argument of a budget": (lambda: tg.Budget(tokns=3), "tokens"),
    "an argument of a kind": (lambda: tg.node_kind("x", variable=()), "variables"),
    "a node": (lambda: misspelt_edge().spec, "draft"),
    "a param": (lambda: one_node(samples=tg.param("round")).spec, "rounds"),
    "a graph": (lambda: load("self-consistncy"), "self-consistency"),
    "a param of a run": (lambda: load("self-consistency").run("x", sampels=3), "samples"),
    "an argument of a run": (lambda: load("self-consistency").run("x", modle="m"), "model"),
    "a limit of a run": (lambda: load("direct").run("x", budget={"tokns": 3}), "tokens"),
    "a role": (lambda: load("self-refine").run("x", models={"critc": "m"}), "critic"),
    "a replaced prompt": (
        lambda: load("direct").run("x", prompts={"questio": tg.Prompt(user="x")}),
        "question",
    ),
    "a param of a compiled graph": (lambda: load("self-consistency").compile(sampels=3), "samples"),
    "a param of a tool": (lambda: load("self-consistency").as_tool(params=["sampels"]), "samples"),
    "a param of a used graph": (lambda: used(sampels=3).spec, "samples"),
}


@pytest.mark.parametrize("typo", TYPOS)
def test_a_misspelt_name_is_answered_with_the_nearest(typo: str) -> None:
    make, meant = TYPOS[typo]
    with pytest.raises(ThinkgraphError, match=f"did you mean .?{meant}.?\\?") as raised:
        make()
    assert "pydantic" not in str(raised.value)


def test_a_misspelt_public_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(ImportError, match="did you mean 'Generate'"):
        exec("from thinkgraph import Genrate")
    with pytest.raises(AttributeError, match="did you mean 'Generate'"):
        tg.Genrate  # noqa: B018
    exec("from thinkgraph import models")  # a folder, though near to Model
    assert not hasattr(tg, "Genrate")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (
            lambda: Generate(samples="many"),
            "Generate.samples should be a valid integer, not 'many'",
        ),
        (
            lambda: Generate(samples=0),
            "Generate.samples should be greater than or equal to 1, not 0",
        ),
        (lambda: Generate("question"), "Generate takes its fields by name: FIELD=VALUE"),
        (tg.Ask, "Ask needs prompt, into"),
        (lambda: Graph("g").add(Generate()), "Graph.add() takes its arguments by name"),
        (lambda: Graph("g").add(draft=Generate), "node 'draft' should be a kind with its settings"),
        (lambda: Graph("g").edge(START, 3), "edge() takes the names of nodes, not 3"),
        (lambda: load(3), "load() takes the name of a graph or the path of a file, not 3"),
        (lambda: tg.use(3), "use() takes the name of a graph or the path of a file, not 3"),
        (
            lambda: load("direct").run("x", model=3),
            "a model is a name of the catalogue, an open model or a LangChain chat model, not 3",
        ),
        (lambda: load("direct").run("x", seed="one"), "a seed is an integer, not 'one'"),
        (lambda: load("direct").run("x", budget=3), 'a budget is such as {"tokens": 2000}, not 3'),
        (lambda: load("direct").run(3), "a question is a text or a list of messages, not 3"),
    ],
)
def test_a_wrong_argument_is_one_sentence(make: Callable[[], object], said: str) -> None:
    with pytest.raises(ArgumentError) as raised:
        make()
    assert said in str(raised.value)
    assert isinstance(raised.value, TypeError | ValueError)


def test_validating_data_raises_the_error_of_pydantic_that_a_checker_places() -> None:
    with pytest.raises(ValidationError):
        Generate.model_validate({"temperture": 1})


def test_a_graph_tells_what_it_is() -> None:
    graph = one_node()
    assert repr(graph) == "<Graph 'one'; nodes: draft=generate; params: rounds=2>"
    assert repr(used()) == "<Graph 'using'; nodes: vote=self-consistency>"
    assert repr(Graph("empty")) == "<Graph 'empty'; nodes: none>"


def test_every_public_name_is_there_and_documented() -> None:
    api = runpy.run_path(str(Path(__file__).parents[2] / "docs" / "api.py"))
    for name in tg.__all__:
        assert getattr(tg, name) is not None
    groups = dict(api["GROUPS"])
    assert sorted(groups.pop(api["TRAINING"])) == thinkgraph.train.__all__
    assert sorted(name for names in groups.values() for name in names) == tg.__all__
