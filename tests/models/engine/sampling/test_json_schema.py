"""JSON Schema: what is enforced, what is refused by its name, and that samples keep to it."""

import enum
import json
from typing import Annotated, Literal

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, Field

from thinkgraph.models.engine.sampling.grammar import allows, check_constraint
from thinkgraph.models.engine.sampling.json_schema import enforceable
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Message, ModelRequest, Sampling

ASK = [Message(role="user", content="Tell me of a person.")]


def allowed(schema, value):
    return allows(Sampling(json_schema=schema), json.dumps(value, ensure_ascii=False).encode())


def refusal(schema):
    try:
        check_constraint(Sampling(json_schema=schema))
    except ModelError as error:
        return str(error)
    return None


def named(**properties):
    return {"type": "object", "properties": properties, "required": list(properties)}


NEXT = {"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]}
NODE = {"type": "object", "properties": {"v": {"type": "integer"}, "next": NEXT}, "required": ["v"]}


@pytest.mark.parametrize(
    ("schema", "good", "bad"),
    [
        (named(n={"type": "integer", "minimum": 1, "maximum": 3}), [{"n": 2}], [{"n": 8}]),
        ({"type": "number", "exclusiveMinimum": 0}, [0.5, 7], [0, -1]),
        ({"type": "integer", "multipleOf": 3}, [-6, 0, 9], [4]),
        (
            {"$ref": "#/$defs/N", "$defs": {"N": NODE}},
            [{"v": 1}, {"v": 1, "next": {"v": 2, "next": None}}],
            [{"next": None}, {"v": 1, "next": {}}],
        ),
        (
            {"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}$"},
            ["2026-11-25"],
            ["25.11.2026", "2026-11-25x"],
        ),
        ({"enum": ['a"b', 1, None]}, ['a"b', 1, None], ["ab", 2]),
        ({"const": {"a": ["\\", "\n"]}}, [{"a": ["\\", "\n"]}], [{"a": []}]),
        ({"type": "string", "minLength": 2, "maxLength": 3}, ["ab", "éé", "😀😀😀"], ["a", "abcd"]),
        (
            {"type": "array", "items": {"type": "boolean"}, "minItems": 1, "maxItems": 2},
            [[True], [True, False]],
            [[], [1], [True, True, True]],
        ),
        (
            {"type": "object", "patternProperties": {"^x": {"type": "integer"}}},
            [{"x1": 1}, {"y": "any"}],
            [{"x1": "one"}],
        ),
        (
            {"allOf": [named(a={"type": "integer"}), named(b={"type": "string"})]},
            [{"a": 1, "b": "x"}],
            [{"a": 1}],
        ),
        ({"type": ["string", "null"], "format": "date"}, ["2026-11-25", None], ["soon"]),
        ({"type": "string", "format": "password", "deprecated": True}, ["secret"], [1]),
        ({"type": "array", "uniqueItems": False}, [[1, 1]], [{}]),
        ({}, [None, 1, "x", [{}]], []),
    ],
)
def test_what_a_schema_says_is_enforced(schema, good, bad):
    assert [value for value in good if not allowed(schema, value)] == []
    assert [value for value in bad if allowed(schema, value)] == []


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


class Cat(BaseModel):
    kind: Literal["cat"] = "cat"
    lives: Annotated[int, Field(ge=1, le=9)]


class Dog(BaseModel):
    kind: Literal["dog"] = "dog"
    tricks: list[str] = []


class Home(BaseModel):
    pet: Annotated[Cat | Dog, Field(discriminator="kind")]
    colour: Colour | None = None
    inner: "Home | None" = None


def test_what_pydantic_writes_is_enforced():
    schema = Home.model_json_schema()
    assert allowed(schema, {"pet": {"kind": "cat", "lives": 9}, "colour": "red"})
    assert allowed(schema, {"pet": {"kind": "dog"}, "inner": {"pet": {"kind": "cat", "lives": 1}}})
    assert not allowed(schema, {"pet": {"kind": "cat", "lives": 10}})
    assert not allowed(schema, {"pet": {"kind": "dog", "lives": 3, "tricks": 1}})
    assert not allowed(schema, {"pet": {"lives": 3}})  # both could be meant


def test_alternatives_that_a_property_tells_apart_are_enforced():
    options = [named(to={"const": "a"}, x={"type": "integer"}), named(to={"enum": ["b", "c"]})]
    assert allowed({"oneOf": options}, {"to": "c"})
    assert not allowed({"oneOf": options}, {"to": "a"})


@pytest.mark.parametrize(
    ("schema", "reason"),
    [
        ({"type": "array", "uniqueItems": True}, "uniqueItems (at #)"),
        (named(tags={"type": "array", "uniqueItems": True}), "at #/properties/tags"),
        ({"type": "array", "contains": {"const": 1}}, "contains"),
        ({"not": {"type": "null"}}, "not (at #)"),
        ({"if": {"const": 1}, "then": {"const": 2}}, "if (at #)"),
        ({"type": "object", "propertyNames": {"maxLength": 3}}, "propertyNames"),
        ({"type": "object", "dependentRequired": {"a": ["b"]}}, "dependentRequired"),
        ({"type": "object", "dependencies": {"a": ["b"]}}, "dependencies"),
        ({"type": "object", "unevaluatedProperties": False}, "unevaluatedProperties"),
        ({"type": "object", "minProperties": 2}, "minProperties"),
        ({"oneOf": [{"type": "integer"}, {"minimum": 2}]}, "oneOf"),
        ({"type": "strnig"}, "strnig"),
        ({"type": "string", "format": "uri-template"}, "uri-template"),
        ({"$ref": "https://example.org/schema.json"}, "example.org"),
        ({"$ref": "#/$defs/none"}, "none"),
        ({"$ref": "#/$defs/a", "$defs": {"a": {"$ref": "#/$defs/a"}}}, "no text at all"),
        ({"type": "integer", "minimum": 3, "maximum": 2}, "minimum"),
        ({"type": "string", "maxLength": 10**12}, "maxLength"),
        ({"type": "string", "pattern": "^(?=a)b$"}, "look-around"),
        ({"type": "string", "pattern": "("}, "regex"),
        ({"x-guidance": {"lenient": True}, "not": {}}, "not"),
        ({"x-guidance": {"lenient": True}}, "x-guidance"),
        ({"anyOf": [{}] * 6000}, "more than"),
        ({"type": {1, 2}}, "not JSON"),
        ({"const": float("nan")}, "not JSON"),
    ],
)
def test_what_cannot_be_enforced_is_refused_by_its_name(schema, reason):
    assert reason in (refusal(schema) or "")


def deep(depth, wrap):
    schema = {"type": "string"}
    for _ in range(depth):
        schema = wrap(schema)
    return schema


@pytest.mark.parametrize("depth", [50, 400, 3000])
@pytest.mark.parametrize(
    "wrap",
    [
        lambda inner: {"type": "array", "items": inner},
        lambda inner: {"anyOf": [inner, {"type": "null"}]},
        lambda inner: {"allOf": [inner]},
        lambda inner: {"default": inner},
    ],
)
def test_a_deep_schema_ends_no_process(depth, wrap):
    assert refusal(deep(depth, wrap)) is None or depth > 50


@pytest.mark.parametrize(
    "schema",
    [
        {"multipleOf": 661986470},
        {"multipleOf": 0.00661986473},
        {"allOf": [{"multipleOf": 997}, {"multipleOf": 991}]},
    ],
)
def test_multiples_that_take_too_many_states_are_refused(schema):
    assert "multipleOf" in refusal(schema)


@pytest.mark.slow
@pytest.mark.parametrize("multiple", [7, 0.01, 1e-9, 10**6, 2**20, 997])
def test_other_multiples_are_enforced(multiple):
    assert refusal({"multipleOf": multiple}) is None


@pytest.mark.parametrize("count", [100, 4000])
def test_a_long_chain_of_references_ends_no_process(count):
    chain = {f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}]} for i in range(count)}
    refusal({"$ref": "#/$defs/d0", "$defs": chain | {f"d{count}": {"type": "null"}}})


KEYWORDS = [
    "type", "properties", "items", "anyOf", "allOf", "oneOf", "required", "pattern", "minimum",
    "maximum", "multipleOf", "minLength", "maxItems", "enum", "const", "$ref", "$defs", "$id",
    "additionalProperties", "patternProperties", "format", "not", "prefixItems", "minProperties",
]  # fmt: skip
VALUES = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(2**70), 2**70),
        st.floats(allow_nan=False),
        st.sampled_from(["string", "integer", "object", "array", "#", "#/$defs/a", "^a+$", "("]),
        st.text(max_size=8),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.dictionaries(st.sampled_from(KEYWORDS) | st.text(max_size=4), inner, max_size=5),
    ),
    max_leaves=20,
)


@pytest.mark.slow
@given(st.dictionaries(st.sampled_from(KEYWORDS), VALUES, max_size=5))
@settings(max_examples=400, deadline=None)
def test_any_schema_is_taken_or_refused(schema):
    refusal(schema)


SCHEMAS = st.recursive(
    st.one_of(
        st.fixed_dictionaries(
            {"type": st.just("integer")},
            optional={"minimum": st.integers(-50, 5), "maximum": st.integers(5, 999)},
        ),
        st.fixed_dictionaries(
            {"enum": st.lists(st.sampled_from(["a", 'q"', 1, None]), min_size=1)}
        ),
        st.fixed_dictionaries(
            {"type": st.just("string")},
            optional={"minLength": st.integers(0, 2), "maxLength": st.integers(2, 4)},
        ),
    ),
    lambda inner: st.one_of(
        st.fixed_dictionaries(
            {"type": st.just("array"), "items": inner, "maxItems": st.integers(0, 3)}
        ),
        st.dictionaries(st.sampled_from("abc"), inner, min_size=1).map(
            lambda found: named(**found) | {"additionalProperties": False}
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda options: {"anyOf": options}),
    ),
    max_leaves=6,
)
INSTANCES = st.recursive(
    st.sampled_from([None, True, 1, 7, -3, 1000, "", "a", 'q"', "abcd", "abcde"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner),
    max_leaves=5,
)


@pytest.mark.slow
@given(SCHEMAS, INSTANCES)
@settings(max_examples=400, deadline=None)
def test_what_is_allowed_is_valid(schema, value):
    if allowed(schema, value):
        jsonschema.validate(value, schema)


PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "maxLength": 12},
        "age": {"type": "integer", "minimum": 0, "maximum": 120},
        "tags": {"type": "array", "items": {"enum": ["old", "new"]}, "maxItems": 2},
    },
    "required": ["name", "age", "tags"],
    "additionalProperties": False,
}


async def test_samples_are_json_of_the_schema(smollm2):
    sampling = Sampling(json_schema=PERSON, max_tokens=100, temperature=1.5, top_k=0, min_p=0)
    for sample in await smollm2.generate(ModelRequest(ASK, sampling, range(4))).completions():
        assert sample.finish_reason == "stop"
        jsonschema.validate(json.loads(sample.text), PERSON)


def test_texts_in_json_have_no_raw_control_characters():
    assert not allows(Sampling(json_schema={"type": "string"}), b'"a\nb"')
    assert allows(Sampling(json_schema={"type": "string"}), b'"a\\nb"')


def test_what_cannot_be_enforced_can_be_left_out_and_properties_keep_their_names():
    schema = {
        "type": "object",
        "properties": {"not": {"type": "array", "uniqueItems": True, "maxItems": 3}},
        "propertyNames": {"pattern": "^n"},
    }
    assert enforceable(schema) == {
        "type": "object",
        "properties": {"not": {"type": "array", "maxItems": 3}},
    }
    assert "propertyNames" in schema
