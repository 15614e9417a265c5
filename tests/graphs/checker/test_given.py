"""The values that a run is given: what the graph can't use is told before its first node."""

from __future__ import annotations

from typing import Any, NoReturn

import pytest

import thinkgraph as tg
from thinkgraph.graphs.language.spec import FieldType, Limits, Param
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


def asked(type: FieldType, **fields: Any) -> tg.Graph:
    made = tg.Graph("asked", inputs={"given": tg.Input(type=type, **fields)})
    made.add(draft=tg.Generate(prompt={"user": "{{ question }} {{ given }}"}))
    return made.edge(tg.START, "draft", tg.END)


@pytest.mark.parametrize(
    ("type", "value", "message"),
    [
        ("integer", "x", "'x' is not an integer"),
        ("integer", 1.5, "1.5 is not an integer"),
        ("integer", True, "True is not an integer"),
        ("number", "hot", "'hot' is not a number"),
        ("boolean", 1, "1 is not a boolean"),
        ("string", ["a"], "['a'] is not a string"),
        ("list", "abc", "'abc' is not a list"),
        ("list", {"a": 1}, "{'a': 1} is not a list"),
        ("object", "[1]", "'[1]' is not an object"),
    ],
)
def test_an_input_of_another_type_is_told_before_the_first_node(
    type: FieldType, value: Any, message: str
):
    made = asked(type)
    assert refusal(made, given=value) == f"graph 'asked', input given: {message}"
    with pytest.raises(tg.ThinkgraphError, match="graph 'asked', input given: "):
        made.compile(model=Unasked()).invoke({"question": "?", "given": value})


@pytest.mark.parametrize(
    ("type", "text", "value"),
    [
        ("integer", "3", 3),
        ("number", "0.5", 0.5),
        ("boolean", "true", True),
        ("list", '["a", "b"]', ["a", "b"]),
        ("object", '{"a": 1}', {"a": 1}),
        ("string", "3", "3"),
    ],
)
def test_text_from_a_command_line_becomes_an_input_of_its_type(
    type: FieldType, text: str, value: Any
):
    result = asked(type).run("?", model=ScriptedModel(["4"]), given=text)
    assert result.inputs == {"given": value}


def test_an_input_that_declares_no_type_takes_any_value():
    made = tg.Graph("free", inputs={"given": tg.Input()})
    made.add(draft=tg.Generate(prompt={"user": "{{ question }} {{ given }}"}))
    made.edge(tg.START, "draft", tg.END)
    assert made.run("?", model=ScriptedModel(["4"]), given=2024).inputs == {"given": 2024}
