"""JSON Schema as a grammar: what llguidance enforces, and what is refused by its name.

llguidance compiles a schema as JSON Schema's draft 2020-12 (or the draft that ``$schema`` names)
and refuses most of what it can't enforce. What it would silently ignore is refused here, so that
completions satisfy the whole schema. ``docs/constrained.md`` has the list.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from fractions import Fraction
from functools import lru_cache
from itertools import combinations
from typing import Any

from llguidance import LLMatcher

from thinkgraph.models.errors import ModelError

MAX_DEPTH = 60  # of schemas within schemas
MAX_SCHEMAS = 5_000
MAX_REMAINDERS = 10_000  # of all multipleOf together: some hundred MiB at a million
MAX_COUNT = 100_000  # characters or items that a schema may count

# A space after a comma or colon, or a line break with its indentation. Without a bound, a model
# may write blanks for ever.
WHITESPACE = r" |\n[ \t]{0,40}"

_MAPS = ("properties", "patternProperties", "$defs", "definitions", "dependentSchemas")
_LISTS = ("allOf", "anyOf", "oneOf", "prefixItems", "items")
_SINGLE = (
    "items", "additionalItems", "additionalProperties", "contains", "contentSchema", "else", "if",
    "not", "propertyNames", "then", "unevaluatedItems", "unevaluatedProperties",
)  # fmt: skip

_UNENFORCEABLE = frozenset(
    {
        "$dynamicRef", "$recursiveRef", "contains", "dependencies", "dependentRequired",
        "dependentSchemas", "disallow", "divisibleBy", "else", "extends", "if", "maxContains",
        "minContains", "not", "propertyNames", "then", "unevaluatedItems",
        "unevaluatedProperties", "uniqueItems", "x-guidance",
    }
)  # fmt: skip
_COUNTS = frozenset(
    {"maxItems", "maxLength", "maxProperties", "minItems", "minLength", "minProperties"}
)
_TYPES = frozenset({"array", "boolean", "integer", "null", "number", "object", "string"})
_HARMLESS = {"uniqueItems": False, "unevaluatedItems": True, "unevaluatedProperties": True}

_ANNOTATIONS = frozenset({"$dynamicAnchor", "$vocabulary", "contentSchema", "deprecated"})
"""Keywords that assert nothing, and that llguidance refuses."""

_FORMATS = frozenset(
    {
        "date", "date-time", "duration", "email", "hostname", "idn-email", "idn-hostname", "ipv4",
        "ipv6", "iri", "iri-reference", "json-pointer", "regex", "relative-json-pointer", "time",
        "uri", "uri-reference", "uri-template", "uuid",
    }
)  # fmt: skip
"""Formats that a draft of JSON Schema defines. Any other asserts nothing."""

Schema = dict[str, Any]


def schema_to_lark(schema: Schema) -> str:
    """A Lark expression of the JSON texts that ``schema`` allows.

    Raises:
        ModelError: the schema has a part that can't be enforced (reported with its place), is not
            JSON, or is too large.
    """
    try:
        return _schema_to_lark(json.dumps(schema, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"the JSON schema is not JSON: {error}") from None


def enforceable(schema: Schema) -> Schema:
    """The schema without what can't be enforced: it allows the same values, and more.

    It is for tools, whose schemas often come from third parties, and which check their arguments
    anyway.

    Raises:
        ModelError: the schema is not JSON, or is too large.
    """
    try:
        root: Schema = json.loads(json.dumps(schema, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"the JSON schema is not JSON: {error}") from None
    for place, each in _counted(root):
        if isinstance(each, dict):
            _loosen(place, each, root)
    return root


def _loosen(place: str, schema: Schema, root: Schema) -> None:
    large = {n for n in _COUNTS & schema.keys() if not _is_count(schema[n])}
    for name in _UNENFORCEABLE & schema.keys() | large:
        del schema[name]
    if "minProperties" in schema and schema["minProperties"] > _least(schema):
        del schema["minProperties"]
    if place != "#" or "$ref" in schema:
        schema.pop("$id", None)
    if "type" in schema and not _TYPES.issuperset(_listed(schema["type"])):
        del schema["type"]
    if "pattern" in schema and not _is_pattern(schema["pattern"]):
        del schema["pattern"]
    options = schema.get("oneOf")
    if isinstance(options, list) and not _exclusive(options, _tag(schema), root):
        del schema["oneOf"]
        schema.setdefault("anyOf", options)


def _listed(value: Any) -> list[str]:
    return [str(each) for each in (value if isinstance(value, list) else [value])]


def _is_count(value: Any) -> bool:
    return isinstance(value, int | float) and value <= MAX_COUNT


def _is_pattern(pattern: Any) -> bool:
    """Whether llguidance can enforce a regular expression: not one with look-ahead, for example."""
    lark = f"start: %json {json.dumps({'type': 'string', 'pattern': pattern})}"
    return isinstance(pattern, str) and not LLMatcher.validate_grammar(lark)


@lru_cache(maxsize=64)
def _schema_to_lark(text: str) -> str:
    root, remainders = json.loads(text), 1
    for place, schema in _counted(root):
        if isinstance(schema, dict):
            _check(place, schema)
            remainders *= _remainders(schema.get("multipleOf"))
            if remainders > MAX_REMAINDERS:
                raise ModelError(
                    f"the JSON schema's multipleOf (at {place}) can't be enforced: it takes more "
                    f"than {MAX_REMAINDERS} states, those of others multiplied; leave it out"
                )
            _simplify(schema, root)
    options = {"whitespace_flexible": True, "whitespace_pattern": WHITESPACE}
    return "%json " + json.dumps(root | {"x-guidance": options})


def _counted(root: Schema) -> Iterator[tuple[str, Any]]:
    """Every schema in a schema, up to :data:`MAX_SCHEMAS` of them."""
    for count, found in enumerate(_schemas(root)):
        if count > MAX_SCHEMAS:
            raise ModelError(f"the JSON schema has more than {MAX_SCHEMAS} schemas in it")
        yield found


def _schemas(root: Schema) -> Iterator[tuple[str, Any]]:
    """Every schema in a schema, with its place as a JSON pointer."""
    todo: list[tuple[str, Any, int]] = [("#", root, 0)]
    while todo:
        place, schema, depth = todo.pop()
        if depth > MAX_DEPTH:
            raise ModelError(f"the JSON schema is nested more than {MAX_DEPTH} deep")
        yield place, schema
        if not isinstance(schema, dict):
            continue
        for name in _MAPS:
            if isinstance(found := schema.get(name), dict):
                todo += [
                    (f"{place}/{name}/{key}", inner, depth + 1) for key, inner in found.items()
                ]
        for name in _LISTS:
            if isinstance(found := schema.get(name), list):
                todo += [(f"{place}/{name}/{i}", part, depth + 1) for i, part in enumerate(found)]
        for name in _SINGLE:
            if isinstance(found := schema.get(name), dict):
                todo.append((f"{place}/{name}", found, depth + 1))


def _check(place: str, schema: Schema) -> None:
    """Refuse, by their names, keywords that llguidance would ignore or can't enforce."""
    for name in sorted(_UNENFORCEABLE & schema.keys()):
        if name in _HARMLESS and schema[name] is _HARMLESS[name]:
            continue
        raise ModelError(f"the JSON schema's {name} (at {place}) can't be enforced; leave it out")
    if "$id" in schema and ("$ref" in schema or place != "#"):
        raise ModelError(f"the JSON schema has a second $id (at {place}); leave it out")
    for name in sorted(_COUNTS & schema.keys()):
        if isinstance(count := schema[name], int | float) and count > MAX_COUNT:
            raise ModelError(f"the JSON schema's {name} (at {place}) is more than {MAX_COUNT}")
    least = schema.get("minProperties")
    if isinstance(least, int) and least > _least(schema):
        raise ModelError(
            f"the JSON schema's minProperties {least} (at {place}) can't be enforced; name the "
            "properties that are required"
        )


def _least(schema: Schema) -> int:
    """How many distinct properties are certain: one that the schema doesn't name may repeat."""
    required = schema.get("required")
    return max(1, len(required) if isinstance(required, list) else 0)


def _tag(schema: Schema) -> str | None:
    """The property that a schema names as the discriminator of its alternatives."""
    discriminator = schema.get("discriminator")
    return discriminator.get("propertyName") if isinstance(discriminator, dict) else None


def _remainders(multiple: Any) -> int:
    """Number of states of an automaton of the multiples: the number without factors 2 and 5."""
    if isinstance(multiple, bool) or not isinstance(multiple, int | float) or not multiple:
        return 1
    states = abs(Fraction(str(multiple)).numerator)
    for factor in (2, 5):
        while states % factor == 0:
            states //= factor
    return states


def _simplify(schema: Schema, root: Schema) -> None:
    """Remove what asserts nothing, and rewrite exclusive alternatives for llguidance."""
    for name in _ANNOTATIONS | _HARMLESS.keys():
        schema.pop(name, None)
    if isinstance(format_ := schema.get("format"), str) and format_ not in _FORMATS:
        del schema["format"]
    for name in _COUNTS & schema.keys():
        if isinstance(count := schema[name], float) and count.is_integer():
            schema[name] = int(count)
    options = schema.get("oneOf")
    if not isinstance(options, list) or "anyOf" in schema:
        return
    if tagged := _exclusive(options, _tag(schema), root):
        del schema["oneOf"]
        schema["anyOf"] = tagged


def _exclusive(options: list[Any], tag: str | None, root: Schema) -> list[Any] | None:
    """The alternatives for ``anyOf`` if a property makes them exclusive, else None.

    Pydantic writes such alternatives for a discriminated union. The property is required in each.
    """
    found = [_resolved(option, root) for option in options]
    if not all(isinstance(option, dict) for option in found):
        return None
    names = set.intersection(*(set(option.get("properties") or {}) for option in found))
    for name in sorted(names):
        values = [_values(option["properties"][name]) for option in found]
        told = name == tag or all(name in option.get("required", ()) for option in found)
        objects = all(option.get("type") == "object" for option in found)
        if told and objects and all(values) and not any(a & b for a, b in combinations(values, 2)):
            return [
                {"allOf": [option, {"type": "object", "required": [name]}]} for option in options
            ]
    return None


def _resolved(schema: Any, root: Schema) -> Any:
    for _ in range(8):
        reference = schema.get("$ref") if isinstance(schema, dict) else None
        if not isinstance(reference, str) or not reference.startswith("#/"):
            break
        schema = root
        for key in reference[2:].split("/"):
            schema = schema.get(key, {}) if isinstance(schema, dict) else {}
    return schema


def _values(schema: Any) -> set[str]:
    """The texts that an enumeration of texts allows; empty for any other schema."""
    if not isinstance(schema, dict):
        return set()
    values = [schema["const"]] if "const" in schema else schema.get("enum")
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        return set()
    return set(values)
