"""Calls are held to their schemas in every format, and what is held is what the models write."""

import json
import re

import jsonschema
import pytest

from thinkgraph.models.engine.sampling.grammar import _bytes, compiled, in_lark, tagged_to_lark
from thinkgraph.models.engine.sampling.properties import loose
from thinkgraph.models.errors import ModelError
from thinkgraph.models.formats.format import CALLS, CHANNELS, HERMES, ChatFormat
from thinkgraph.models.formats.parser import ResponseParser
from thinkgraph.models.formats.tools import held
from thinkgraph.models.model import Tool

from .test_families import CASES, FAMILIES, TOOL, format_named

SCHEMA = {
    "type": "object",
    "properties": {
        "text": {"type": "string"},
        "code": {"type": "string", "pattern": "^[A-Z]{2}$"},
        "color": {"$ref": "#/$defs/Color"},
        "count": {"type": "integer", "minimum": 1},
        "flag": {"anyOf": [{"type": "boolean"}, {"type": "null"}]},
        "inner": {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]},
    },
    "required": ["text", "count"],
    "$defs": {"Color": {"enum": ["red", "light blue"], "type": "string"}},
}
PAINT = Tool(name="paint", parameters=SCHEMA)
VALID = [
    {"text": "a", "count": 1},
    {"text": "", "code": "AB", "count": 12},
    {"text": 'x < "y" {b: 1}\n\nz', "color": "light blue", "count": 3, "flag": True},
    {"text": "1", "count": 3, "flag": None, "inner": {"a": "{b: 1, c: 2}"}},
]
INVALID = [
    {"text": "a"},
    {"count": 1},
    {"text": "a", "count": 0},
    {"text": "a", "code": "abc", "count": 1},
    {"text": "a", "color": "green", "count": 1},
    {"text": "a", "count": 1, "flag": "maybe"},
    {"text": "a", "count": 1, "inner": {}},
    {"text": "a", "count": 1, "other": 1},
]
ROWS = [
    pytest.param(ChatFormat(calls=calls), id=f"{calls.name} {calls.begin.strip()}")
    for calls in [*CALLS, HERMES]
] + [pytest.param(ChatFormat(channels=row), id=row.answer.strip()) for _, row in CHANNELS]
PROPERTIES = [
    row
    for row in ROWS
    if (calls := row.values[0].calls)
    and type(calls.body).__name__ in ("Tags", "BareKeys", "PythonCalls")
] + ROWS[-len(CHANNELS) : -len(CHANNELS) + 1]


def constraints(form, tools, **how):
    return held(form, tools, knows_tools=True, parallel=True, **how)


def grammar(tag):
    inside, rules = tagged_to_lark(tag, json.dumps)
    spell = (lambda text: loose(text, json.dumps)) if tag.written else json.dumps
    return in_lark(
        "start", f"{spell(tag.begin)} {inside} {spell(tag.end) if tag.end else ''}", rules
    )


def allows(tag, text):
    matcher = compiled(_bytes(), grammar(tag))
    data = list(text.encode())
    return matcher.try_consume_tokens(data) == len(data) and matcher.is_accepting()


def written(tag, arguments):
    """A call as a model would write it that follows the tag."""
    if tag.written is None:
        return None
    parts = []
    for key, value in arguments.items():
        how = tag.written
        schema = SCHEMA["properties"].get(key, {})
        if isinstance(value, str) and how.text_begin is not None and "pattern" not in schema:
            part = f"{how.text_begin}{value}{how.text_end}"
        else:
            part = f"{how.begin}{json.dumps(value)}{how.end}"
        parts.append(part.replace("KEY", key))
    return tag.begin + tag.written.separator.join(parts) + tag.end


def read(form, text):
    parser = ResponseParser(form, [PAINT], place="header" if form.channels else "answer")
    for char in text:
        parser.feed(char)
    parser.close()
    return [(call.name, call.arguments) for call in parser.tool_calls]


@pytest.mark.parametrize("form", ROWS)
def test_every_format_holds_calls(form):
    tags = constraints(form, [TOOL, PAINT])
    assert tags
    for tag in tags:
        grammar(tag)  # which can be compiled
        assert tag.begin.startswith(tag.trigger)


@pytest.mark.parametrize("form", PROPERTIES)
@pytest.mark.parametrize("arguments", VALID)
def test_a_valid_call_is_allowed_and_read_back(form, arguments):
    (tag,) = constraints(form, [PAINT])
    text = written(tag, arguments)
    assert allows(tag, text)
    assert read(form, text) == [("paint", arguments)]


@pytest.mark.parametrize("form", PROPERTIES)
@pytest.mark.parametrize("arguments", INVALID)
def test_an_invalid_call_is_not_allowed(form, arguments):
    assert not jsonschema.Draft202012Validator({**SCHEMA, "additionalProperties": False}).is_valid(
        arguments
    )
    (tag,) = constraints(form, [PAINT])
    assert not allows(tag, written(tag, arguments))


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param(case.values[0], case.values[2], id=case.values[0])
        for case in CASES
        if case.values[1] == "call"
        and "weather" in case.values[2]
        and constraints(format_named(FAMILIES[case.values[0]]["format"]), [TOOL])[0].written
    ],
)
def test_what_a_family_writes_is_what_it_is_held_to(name, text):
    form = format_named(FAMILIES[name]["format"])
    (tag,) = constraints(form, [TOOL])
    bare = re.sub(r"\s*\n\s*", "", text.replace("city='Paris'", 'city="Paris"'))
    at = bare.index(re.sub(r"\s*\n\s*", "", tag.begin))
    end = re.sub(r"\s*\n\s*", "", tag.end)
    assert allows(tag, bare[at : bare.rindex(end) + len(end) if end else None])


@pytest.mark.parametrize("name", ["a-b", "class", "a b"])
def test_names_that_python_can_not_write_are_refused(name):
    form = next(ChatFormat(calls=calls) for calls in CALLS if calls.name == "lfm2")
    with pytest.raises(ModelError, match=r"not a name in Python.*constrained=False"):
        constraints(form, [Tool(name=name)])


def test_what_tags_can_not_be_held_to_is_refused_by_its_name():
    form = next(ChatFormat(calls=calls) for calls in CALLS if calls.name == "qwen3-coder")
    schema = {"anyOf": [{"properties": {"a": {}}}, {"properties": {"b": {}}}]}
    (tag,) = constraints(form, [Tool(name="either", parameters=schema)])
    with pytest.raises(ModelError, match=r"anyOf \(at #\) can't be enforced.*constrained=False"):
        grammar(tag)


@pytest.mark.parametrize("indent", [None, 2, 4, "\t"])
def test_calls_without_delimiters_are_held_however_their_json_is_laid_out(indent):
    call = {"name": "weather", "arguments": {"city": "Paris", "days": 2}}
    tags = constraints(ChatFormat(calls=HERMES), [TOOL], bare=True)

    def is_held(arguments):
        text = json.dumps({**call, "arguments": arguments}, indent=indent)
        return any(text.startswith(tag.trigger) and allows(tag, text) for tag in tags)

    assert is_held(call["arguments"])
    assert not is_held({"city": "Paris", "days": "2"})


STRANGERS = {
    "uniqueItems": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True},
    "propertyNames": {"type": "object", "propertyNames": {"type": "string"}},
    "not": {"type": "string", "not": {"const": ""}},
    "if": {"type": "integer", "if": {"minimum": 3}, "then": {"maximum": 9}, "else": {}},
    "oneOf": {"oneOf": [{"type": "integer"}, {"minimum": 3, "type": "number"}]},
    "look-ahead": {"type": "string", "pattern": "^(?=.*a).+$"},
    "a type of its own": {"type": "text"},
    "large": {"type": "string", "maxLength": 10**9},
    "dynamic": {"$dynamicRef": "#node"},
    "properties": {"type": "object", "minProperties": 3},
    "id": {"$id": "https://example.org/q", "type": "string"},
}


@pytest.mark.parametrize("form", [ROWS[0], *PROPERTIES[:2]])
@pytest.mark.parametrize("value", STRANGERS.values(), ids=STRANGERS)
def test_what_of_a_tools_schema_cannot_be_enforced_is_left_out(form, value):
    schema = {"type": "object", "properties": {"q": value, "n": {"type": "integer"}}}
    tool = Tool(name="look", parameters=schema)
    for tag in constraints(form, [tool]):
        grammar_of = compiled(_bytes(), grammar(tag))
        assert not grammar_of.is_error(), grammar_of.get_error()


def test_a_schema_that_is_no_json_is_told_with_the_tools_name():
    with pytest.raises(ModelError, match="the tool 'look': the JSON schema is not JSON"):
        constraints(ChatFormat(calls=HERMES), [Tool(name="look", parameters={"default": {1}})])
