"""The JSON Schema: valid for every spec whose form is right, and for no other."""

from __future__ import annotations

from pathlib import Path

import jsonschema
import pytest

from thinkgraph.graphs.catalogue import builtin_names, find
from thinkgraph.graphs.language.document import Document
from thinkgraph.graphs.language.json_schema import schema
from thinkgraph.graphs.language.rules import RULES

BAD = Path(__file__).parents[1] / "checker" / "bad"
FORM = {"TG005", "TG101", "TG102", "TG103", "TG104", "TG105", "TG106", "TG108", "TG109"}
FORM |= {"TG201", "TG203", "TG204"}
"""Codes that are a matter of the form, which a schema can know."""
BEYOND = {"use-unknown.yaml"}
"""Specs with a mistake of another code that the schema also knows."""


@pytest.fixture(scope="module")
def validator() -> jsonschema.Draft202012Validator:
    found = schema()
    jsonschema.Draft202012Validator.check_schema(found)
    return jsonschema.Draft202012Validator(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", builtin_names())
def test_every_built_in_graph_is_valid(name: str, validator):
    assert list(validator.iter_errors(Document.read(find(name)).data)) == []


@pytest.mark.parametrize("name", sorted(path.name for path in BAD.glob("*.yaml")))
def test_a_bad_spec_is_invalid_where_its_form_is_wrong(name: str, validator):
    expected = {item.split()[0] for item in _first_line(name).split(", ")}
    document = Document.read(BAD / name)
    if document.broken or (document.problems and document.data is None):
        return  # the text itself can't be read
    assert validator.is_valid(document.data) == (not expected & FORM and name not in BEYOND)


def _first_line(name: str) -> str:
    return (BAD / name).read_text().splitlines()[0].removeprefix("# ")


@pytest.mark.parametrize("code", [code for code, rule in RULES.items() if rule.good])
def test_every_mended_example_is_valid(code: str, validator):
    data = Document.parse(RULES[code].file(RULES[code].good)).data
    assert list(validator.iter_errors(data)) == []


def test_every_setting_may_be_a_param_but_the_kind(validator):
    spec = {
        "thinkgraph": 1,
        "name": "x",
        "params": {"p": "question"},
        "nodes": {"a": {"kind": "generate", "prompt": "$p", "temperature": "$p", "extract": "$p"}},
        "edges": "START -> a -> END",
    }
    assert validator.is_valid(spec)
    spec["nodes"] = {"a": {"kind": "$p"}}
    assert not validator.is_valid(spec)


def test_an_edge_may_be_written_in_three_ways(validator):
    for edge in ("a -> b", {"a -> b": {"when": "accepted"}}, {"path": "a -> b", "at_most": 2}):
        spec = {"thinkgraph": 1, "name": "x", "nodes": {"a": {"kind": "vote"}}, "edges": [edge]}
        assert validator.is_valid(spec)
    for edge in ("a b", {"a -> b": {"wen": "accepted"}}, {"a -> b": {}, "b -> a": {}}, 3):
        spec = {"thinkgraph": 1, "name": "x", "nodes": {"a": {"kind": "vote"}}, "edges": [edge]}
        assert not validator.is_valid(spec)


def test_an_editor_learns_the_names_there_are():
    found = schema()
    prompt = str(found["$defs"]["Generate"]["properties"]["prompt"])
    assert "step-by-step" in prompt
    assert "self-consistency" in str(found["$defs"]["NodeSpec"])
