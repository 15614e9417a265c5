"""A value against a stranger's JSON schema: nothing is fetched, and nothing takes for ever."""

from __future__ import annotations

from contextlib import suppress

import pytest

from thinkgraph.models.formats.calls import fault
from thinkgraph.models.model import Tool
from thinkgraph.models.schemas import TooManyReferences, mismatch

FORKED = {f"d{n}": {"allOf": [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(40)} | {"d40": {}}


def test_a_schemas_references_are_followed_up_to_a_limit():
    with pytest.raises(TooManyReferences):
        mismatch({"q": 1}, {"$defs": FORKED, "$ref": "#/$defs/d0"})


@pytest.mark.parametrize("keyword", ["$ref", "$dynamicRef", "$recursiveRef"])
@pytest.mark.parametrize("draft", ["2019-09", "2020-12"])
def test_a_schema_makes_nothing_be_fetched(keyword, draft, monkeypatch):
    fetched = []
    monkeypatch.setattr("urllib.request.urlopen", lambda *given, **_: fetched.append(given))
    schema = {
        "$schema": f"https://json-schema.org/draft/{draft}/schema",
        "properties": {"q": {keyword: "http://127.0.0.1:9/secret"}},
    }
    with suppress(Exception):
        mismatch({"q": 1}, schema)
    fault({"q": 1}, Tool(name="look", parameters=schema))
    assert fetched == []


SLOW = "^(a+)+$"  # exponential in Python's own matcher
DRAFT_7 = "http://json-schema.org/draft-07/schema#"
LOOKS_AHEAD = "^(?!x)"


@pytest.mark.parametrize(
    ("schema", "wrong"),
    [
        ({"properties": {"q": {"pattern": SLOW}}}, "does not match"),
        ({"properties": {"q": {"pattern": "!$"}}}, None),
        ({"properties": {"q": {"pattern": "a", "maxLength": 9}}}, "is too long"),
        ({"properties": {"q": {"pattern": LOOKS_AHEAD}}}, None),
        ({"patternProperties": {"^(q+)+$": {"type": "integer"}}}, "not of type 'integer'"),
        ({"patternProperties": {"^(q+)+$": {}}, "additionalProperties": False}, None),
        ({"patternProperties": {SLOW: {}}, "additionalProperties": False}, "was unexpected"),
        ({"patternProperties": {SLOW: {}}, "additionalProperties": {"type": "null"}}, "'null'"),
        ({"patternProperties": {LOOKS_AHEAD: {}}, "additionalProperties": False}, None),
        ({"patternProperties": {SLOW: {}}, "unevaluatedProperties": False}, None),
        ({"properties": {"q": {"$schema": DRAFT_7, "pattern": SLOW}}}, "does not match"),
        (
            {"$schema": DRAFT_7, "properties": {"q": {"pattern": SLOW}, "c": {"$ref": "#"}}},
            "does not match",
        ),
        ({"properties": {"q": {"pattern": "(" * 2000}}}, None),
    ],
)
def test_patterns_are_matched_in_linear_time_and_unknown_ones_are_not_checked(schema, wrong):
    text = "a" * 5000 + "!"
    found = mismatch(
        {"q": text, "c": {"q": text}} if "$ref" in str(schema) else {"q": text}, schema
    )
    assert (found is None) == (wrong is None)
    assert wrong is None or wrong in found.message


def test_a_text_or_a_pattern_that_is_no_unicode_is_no_fault_of_the_check():
    assert mismatch("\ud800", {"pattern": "^[a-z]$"}).validator == "pattern"
    assert mismatch("\ud800", {"pattern": "^[^?]$"}) is None
    assert mismatch("a", {"pattern": "\ud800"}) is None


@pytest.mark.parametrize("space", " \t\v\u00a0\u3000\ufeff\u2028")
def test_white_space_is_that_of_json_schemas_expressions(space):
    for pattern in (r"^\s$", r"^[\sx]$"):
        assert mismatch(space, {"pattern": pattern}) is None
    assert mismatch(space, {"pattern": r"^\S$"}).validator == "pattern"
    assert mismatch("a\\s", {"pattern": r"^a\\s$"}) is None


def test_an_inner_schemas_draft_does_not_free_its_references_from_the_limit():
    with pytest.raises(TooManyReferences):
        marked = {name: {"$schema": DRAFT_7} | inner for name, inner in FORKED.items()}
        mismatch({"q": 1}, {"$defs": marked, "$ref": "#/$defs/d0"})


def test_a_value_is_held_to_the_draft_that_its_schema_names():
    old = {"$schema": "http://json-schema.org/draft-04/schema#", "minimum": 1}
    assert mismatch(1, old | {"exclusiveMinimum": True}).validator == "minimum"
    assert mismatch(2, old | {"exclusiveMinimum": True}) is None
