"""Specs: params and their values, chains, edges, and the short forms that are saved."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from thinkgraph.graphs.language.spec import Edge, Input, Param, Spec, StateField, chain, stages


def spec(**parts: object) -> Spec:
    nodes = {"a": {"kind": "generate"}}
    base = {"thinkgraph": 1, "name": "x", "nodes": nodes, "edges": ["START -> a -> END"]}
    return Spec.model_validate({**base, **parts})


@pytest.mark.parametrize(
    ("short", "kind"), [(2, "integer"), (0.5, "number"), (True, "boolean"), ("a", "string")]
)
def test_a_default_alone_is_a_param_of_its_type(short: object, kind: str):
    assert Param.model_validate(short) == Param(default=short)
    assert Param.model_validate(short).kind == kind


@pytest.mark.parametrize(
    ("param", "text", "value"),
    [
        (Param(default=2), "3", 3),
        (Param(default=2), 3.0, 3),
        (Param(default=0.5), "1e-2", 0.01),
        (Param(default=0.5), 2, 2.0),
        (Param(default=False), "True", True),
        (Param(default="a"), "3", "3"),
        (Param(type="integer"), "-4", -4),
    ],
)
def test_text_from_a_command_line_becomes_a_value(param: Param, text: object, value: object):
    assert param.accept(text) == value
    assert type(param.accept(text)) is type(value)


@pytest.mark.parametrize(
    ("param", "value", "message"),
    [
        (Param(default=2), "2.5", "'2.5' is not an integer"),
        (Param(default=2), True, "True is not an integer"),
        (Param(default=2), "inf", "'inf' is not an integer"),
        (Param(default=2.0), "inf", "'inf' is not a finite number"),
        (Param(default=2.0), float("nan"), "nan is not a finite number"),
        (Param(default=0.5), "hot", "'hot' is not a number"),
        (Param(default=2, minimum=1), 0, "0 is less than 1"),
        (Param(default=2, maximum=8), 9, "9 is more than 8"),
        (Param(default="a", choices=("a", "b")), "c", "'c' is not one of a, b"),
        (Param(default=True), 1, "1 is not a boolean"),
        (Param(default="a"), "$n", r"'\$n' is a reference to a param"),
    ],
)
def test_a_value_that_a_param_cant_have_is_refused(param: Param, value: object, message: str):
    with pytest.raises(ValueError, match=message.replace(".", r"\.")):
        param.accept(value)


def test_a_param_at_odds_with_itself_is_refused():
    empty = {"type": "integer", "minimum": 5, "maximum": 3}
    for fields in ({}, {"default": 0, "minimum": 1}, {"default": "c", "choices": ["a"]}, empty):
        with pytest.raises(ValidationError):
            Param.model_validate(fields)


@pytest.mark.parametrize("kind", [Input, StateField])
def test_a_default_has_the_type_that_its_field_declares(kind: type[Input | StateField]):
    for fields in ({"type": "list", "default": "a"}, {"type": "integer", "default": True}):
        with pytest.raises(ValidationError, match=r"the default: .* is not an? "):
            kind.model_validate(fields)
    for fields in ({"type": "number", "default": 3}, {"default": 3}, {"type": "integer"}):
        assert kind.model_validate(fields).default == fields.get("default")


def test_binding_gives_every_param_its_value():
    found = spec(params={"n": {"default": 2, "minimum": 1}, "m": {"type": "number"}})
    assert found.bind({"m": "0.5"}) == {"n": 2, "m": 0.5}
    with pytest.raises(ValueError, match="m: required"):
        found.bind({})
    with pytest.raises(ValueError, match="n: 0 is less than 1"):
        found.bind({"m": 1, "n": 0})
    with pytest.raises(KeyError):
        found.bind({"m": 1, "nn": 0})


names = st.from_regex(r"[A-Za-z][A-Za-z0-9_-]{0,5}", fullmatch=True).filter(
    lambda name: not name.endswith("-")
)


@given(st.lists(st.lists(names, min_size=1, max_size=3), min_size=2, max_size=4))
def test_a_chain_is_written_and_read_back(given_stages: list[list[str]]):
    text = chain(*(stage[0] if len(stage) == 1 else stage for stage in given_stages))
    assert stages(text) == [tuple(stage) for stage in given_stages]


@pytest.mark.parametrize(
    "text", ["", "a", "a ->", "-> a", "[b -> a", "a => b", "a b -> c", "[] -> a"]
)
def test_what_is_no_chain_is_refused(text: str):
    with pytest.raises(ValueError, match=r"chain|arrow"):
        stages(text)


@pytest.mark.parametrize(
    "plain",
    [
        "a -> b",
        {"a -> b": {"when": "accepted"}},
        {"a -> b": {"when": "accepted", "at_most": "$n"}},
        {"a -> b": {"each": "candidates"}},
    ],
)
def test_an_edge_is_saved_in_its_short_form(plain: object):
    assert Edge.model_validate(plain).plain == plain


def test_one_edge_may_stand_without_a_list():
    assert spec(edges="START -> a -> END").edges == spec().edges


def test_a_spec_is_saved_with_what_was_given_and_no_more():
    found = spec(inputs={"hint": {"about": "a hint"}})
    assert found.plain == {
        "thinkgraph": 1,
        "name": "x",
        "inputs": {"hint": {"about": "a hint"}},
        "nodes": {"a": {"kind": "generate"}},
        "edges": ["START -> a -> END"],
    }
    assert found.inputs["hint"] == Input(about="a hint")
    assert Spec.model_validate(found.plain) == found
