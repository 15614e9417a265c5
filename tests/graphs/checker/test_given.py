"""The values that a run is given: what the graph can't use is told before its first node."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

import thinkgraph as tg
from thinkgraph.graphs.language.spec import Limits, Param
from thinkgraph.graphs.planning.plan import plan
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.model import ModelRequest

OPEN = {"x": Param(type="integer", default=4)}


def graph(params: dict[str, Any] = OPEN, budget: Limits | None = None, **draft: Any) -> tg.Graph:
    made = tg.Graph("open", params=params, budget=budget)
    made.add(draft=tg.Generate(**draft))
    return made.edge(tg.START, "draft", tg.END)


def refusal(made: tg.Graph, **values: Any) -> str:
    """The message with which both a plan and a run refuse values, before a model is asked."""
    messages = set()
    for ask in (lambda: plan(made, values), lambda: made.run("?", model=Unasked(), **values)):
        with pytest.raises(tg.ThinkgraphError) as caught:
            ask()
        messages.add(str(caught.value))
    (message,) = messages
    return message


class Unasked(ScriptedModel):
    """A model that fails the test if it is asked."""

    def generate(self, request: ModelRequest) -> NoReturn:
        pytest.fail("the model was asked")


def test_a_param_that_its_node_refuses_is_told_with_its_value_and_the_reason():
    assert refusal(graph(samples="$x"), x=0) == (
        "graph 'open', param x = 0: node 'draft' refuses it: samples: 0 should be at least 1"
    )
    message = refusal(tg.load("self-consistency"), prompt="nope")
    assert message.startswith(
        "graph 'self-consistency', param prompt = 'nope': node 'sample' refuses it: "
        "prompt: there is no prompt 'nope'; expected one of "
    )


def test_a_param_that_a_budget_or_an_edge_refuses_is_told_too():
    assert "the budget refuses it: tokens: 0" in refusal(graph(budget=Limits(tokens="$x")), x=0)
    looped = tg.Graph("loop", params=OPEN)
    looped.add(draft=tg.Generate(), again=tg.Revise())
    looped.edge(tg.START, "draft").edge("draft", "again", repeat="$x")
    looped.edge("draft", tg.END).edge("again", "draft")
    assert "edge `draft -> again` refuses it: repeat: -1" in refusal(looped, x=-1)


def test_a_param_that_a_used_graph_refuses_is_told_with_the_node():
    outer = tg.Graph("outer", params=OPEN)
    outer.add(inner=tg.use("self-consistency", params={"samples": "$x"}))
    outer.edge(tg.START, "inner", tg.END)
    assert refusal(outer, x=0) == (
        "graph 'outer', node 'inner' uses 'self-consistency', param samples: 0 is less than 1"
    )
