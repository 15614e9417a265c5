"""Budgets of a node and of a used graph, beside those of the run."""

import pytest

from thinkgraph.graphs.graph import Graph, load
from thinkgraph.graphs.language.spec import Limits, NodeSpec
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.nodes.kinds.generate import Generate

OUTER = """\
thinkgraph: 1
name: outer
nodes:
  first: {use: ./inner.yaml}
  then: {kind: revise}
edges: START -> first -> then -> END
"""


def chained(**nodes):
    graph = Graph("chained")
    graph.add(**nodes)
    graph.edge("START", *nodes, "END")
    return graph


def test_a_nodes_budget_ends_that_node_alone():
    draft = NodeSpec(kind="generate", budget=Limits(tokens=2))
    graph = chained(draft=draft, again=Generate())
    result = graph.run("How many?", model=ScriptedModel(["a b c d", "It is surely 4"]), seed=1)
    first, second = result.candidates
    assert (first.tokens, first.finish_reason) == (2, "budget")
    assert second.finish_reason == "stop"
    assert result.answer.value == "4"
    assert result.cut == "the budget of 2 tokens is spent"


def test_a_used_graphs_budget_holds_within_the_runs(tmp_path):
    inner = Graph("inner", budget=Limits(tokens=3))
    inner.add(draft=Generate())
    inner.edge("START", "draft", "END")
    inner.save(tmp_path / "inner.yaml")
    (tmp_path / "outer.yaml").write_text(OUTER)
    model = ScriptedModel(["a b c d e f", "It is 4 now"])
    graph = load(tmp_path / "outer.yaml")
    result = graph.run("How many?", model=model, seed=1, budget={"tokens": 6})
    assert [c.tokens for c in result.candidates] == [3, 3]
    assert result.usage.completion_tokens == 6


@pytest.mark.parametrize("tokens", range(1, 9))
def test_the_run_ends_on_the_very_token(tokens):
    model = ScriptedModel(["a b 4"] * 3)
    result = chained(draft=Generate(samples=3)).run(
        "How many?", model=model, seed=1, budget={"tokens": tokens}
    )
    assert result.usage.completion_tokens == tokens
    assert result.usage.completion_tokens == sum(c.tokens for c in result.candidates)
