"""Conditions: what is true of a state, and what is wrong with an expression."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.graphs.language.condition import Condition, ConditionError
from thinkgraph.graphs.language.words import Translation
from thinkgraph.nodes.population import Candidate, Criticism, State

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
        ("round < rounds and not accepted", True),
        ("accepted or live > 0", False),
        ("not live > 1 and not (accepted or round == 0)", True),
        ('name != "this and not that" and has(facts.age)', True),
        ("not facts.age == 3", True),
    ],
)
def test_a_condition_is_true_or_false_of_a_state(text: str, truth: bool):
    fields = {"name": "Ann", "notes": ["a", "b"], "facts": {"age": 4}}
    state = State(question="q", fields=fields)
    assert Condition(text, TYPES).holds(state, 1, {"rounds": 3}) is truth


@pytest.mark.parametrize(
    ("verdicts", "accepted", "passed"),
    [
        ([], False, False),
        ([[True, True, True]], True, True),
        ([[True, True, False]], True, False),
        ([[True, True, True], [False, False, True]], False, True),
        ([[True, False], [False, True]], False, False),
    ],
)
def test_most_critics_accept_all_candidates_and_all_pass_one(verdicts, accepted, passed):
    made = {"round": 0, "seed": 0, "tokens": 1}
    draft = Candidate(id="c", node="draft", text="4", finish_reason="stop", **made)
    check = Criticism(id="k", node="check", candidate="c", text="", accepted=True, **made)
    candidates = {
        f"c{i}": draft.model_copy(update={"id": f"c{i}"}) for i in range(max(len(verdicts), 1))
    }
    critiques = {
        f"{i}.{j}": check.model_copy(
            update={"id": f"{i}.{j}", "candidate": f"c{i}", "accepted": verdict}
        )
        for i, found in enumerate(verdicts)
        for j, verdict in enumerate(found)
    }
    state = State(question="q", candidates=candidates, critiques=critiques)
    types = {"accepted": "boolean", "passed": "boolean"}
    assert Condition("accepted", types).holds(state, 0, {}) is accepted
    assert Condition("passed", types).holds(state, 0, {}) is passed


@pytest.mark.parametrize(
    ("text", "kind", "column", "hint"),
    [
        ("NOT accepted", "syntax", 1, "write `not`"),
        ("accepted AND live > 1", "syntax", 10, "write `and`"),
        ("accepted and", "syntax", 13, ""),
        ("not accepted and acepted", "name", 18, "did you mean `accepted`?"),
        ("not live > 1 and agreement >= 1", "type", 28, "write `1.0`"),
        ("not live", "type", 1, ""),
        ('name not in ["b"]', "syntax", 6, "write `not (x in y)`"),
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


def test_an_operator_is_named_as_it_was_written():
    assert fault("accepted and live").message == "`and` is not defined for (bool, int)"
    assert fault("accepted && live").message == "`&&` is not defined for (bool, int)"
    assert fault("accepted\n  or not live")[1:4] == ("`not` is not defined for (int)", 2, 6)


COMPARISONS = st.sampled_from(
    ["live > 1", "round == 0", 'name == "and"', "accepted", 'name in ["not", "or"]', "facts.or"]
)
LOGIC = st.recursive(
    COMPARISONS,
    lambda parts: st.one_of(
        parts.map(lambda part: ("not", part)),
        st.tuples(st.sampled_from(["and", "or"]), parts, parts),
    ),
    max_leaves=8,
)


def written(logic, words: dict[str, str]) -> str:
    """A condition with every operation in brackets; the operand of `not` only where it has some."""
    if isinstance(logic, str):
        return logic
    if logic[0] == "not":
        inner = written(logic[1], words)
        return f"{words['not']}{inner if words['not'] == 'not ' else f'({inner})'}"
    left, right = (written(part, words) for part in logic[1:])
    return f"({left} {words[logic[0]]} {right})"


@given(LOGIC, st.integers(0, 2), st.booleans(), st.sampled_from(["and", "not", "b"]))
def test_a_condition_in_words_says_what_it_says_in_signs(logic, round: int, flag: bool, name: str):
    state = State(question="q", fields={"name": name, "facts": {"or": flag}})
    in_words = written(logic, {"not": "not ", "and": "and", "or": "or"})
    in_signs = written(logic, {"not": "!", "and": "&&", "or": "||"})
    one, other = Condition(in_words, TYPES), Condition(in_signs, TYPES)
    assert one.holds(state, round, {}) is other.holds(state, round, {})
    assert one.names == other.names


UNCHANGED = ['"not and"', "'or'", "// not", "x", " ", "a.or", "&&", "!", 'r"and"', "b'not'"]


@given(st.lists(st.sampled_from(UNCHANGED)))
def test_strings_comments_and_fields_keep_their_words(parts: list[str]):
    text = "\n".join(parts)
    assert Translation(text).text == text
