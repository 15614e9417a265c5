"""Conditions: what is true of a state, and what is wrong with an expression."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.graphs.language.condition import Condition, ConditionError
from thinkgraph.nodes.population import State

TYPES = {
    "accepted": "boolean",
    "agreement": "number",
    "live": "integer",
    "round": "integer",
    "rounds": "integer",
    "name": "string",
    "facts": "object",
    "notes": "list",
}


def fault(text: str):
    with pytest.raises(ConditionError) as error:
        Condition(text, TYPES)
    return error.value.issues[0]


@pytest.mark.parametrize(
    ("text", "truth"),
    [
        ("round < rounds", True),
        ("round + 2 > rounds", False),
        ("!accepted && live == 0", True),
        ('name == "Ann" || name.startsWith("B")', True),
        ("size(notes) > 1", True),
        ('notes.exists(n, n == "b")', True),
        ('facts.age > 3 && has(facts.age) && !("x" in facts)', True),
        ("double(live) / 2.0 < 0.5", True),
    ],
)
def test_a_condition_is_true_or_false_of_a_state(text: str, truth: bool):
    fields = {"name": "Ann", "notes": ["a", "b"], "facts": {"age": 4}}
    state = State(question="q", fields=fields)
    assert Condition(text, TYPES).holds(state, 1, {"rounds": 3}) is truth


@pytest.mark.parametrize(
    ("text", "kind", "column", "hint"),
    [
        ("not accepted", "syntax", 1, "write `!x`"),
        ("accepted and live > 1", "syntax", 10, "write `x && y`"),
        ("accepted or live > 1", "syntax", 10, "write `x || y`"),
        ("live = 1", "syntax", 6, "write `x == y`"),
        ("live is 1", "syntax", 6, "write `x == y`"),
        ("live < $rounds", "syntax", 8, "write the param's name alone"),
        ("acepted", "name", 1, "did you mean `accepted`?"),
        ("accepted == True", "name", 13, "write `true`"),
        ("agreement >= 1", "type", 11, "write `1.0`"),
        ("1 < agreement", "type", 3, "write `1.0`"),
        ("agreement > rounds", "type", 11, "write `double(rounds)`"),
        ("live", "truth", 1, "compare it: `live > 0`"),
        ("name", "truth", 1, 'compare it: `name != ""`'),
    ],
)
def test_what_is_wrong_is_told_with_its_column_and_a_way_out(
    text: str, kind: str, column: int, hint: str
):
    found = fault(text)
    assert (found.kind, found.column) == (kind, column)
    assert found.hint.startswith(hint)


def test_every_unknown_name_is_told():
    with pytest.raises(ConditionError) as error:
        Condition("acepted && agrement > 0.5", TYPES)
    assert [(each.line, each.column) for each in error.value.issues] == [(1, 1), (1, 12)]


def test_lines_are_counted_in_a_condition_of_several():
    assert fault("accepted &&\n  agrement > 0.5")[2:4] == (2, 3)


@pytest.mark.parametrize("text", ["(" * 4000, "1" * 400, "", "a.b.c.d", "'", "\x00", "!" * 900])
def test_odd_expressions_are_refused_and_nothing_else_happens(text: str):
    assert fault(text).message


def test_loops_over_lists_are_few():
    nested = "notes.all(a, notes.all(b, notes.all(c, a == b && b == c)))"
    assert "at most 2" in fault(nested).message


@given(st.text(max_size=60))
def test_any_text_is_a_condition_or_refused(text: str):
    try:
        Condition(text, TYPES)
    except ConditionError as error:
        assert error.issues
