"""Spelling and reading values of a JSON schema in formats with unquoted strings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Literal

Schema = Mapping[str, Any]
Spelling = Literal["text", "json"] | tuple[str, ...]

MAX_REFERENCES = 8
_ASSERTIONS = {"pattern", "minLength", "maxLength", "format", "allOf", "not"}
"""Keywords that restrict a string further than its type."""


def spelling(schema: Any, root: Schema) -> Spelling:
    """How a value is written: as any text, as one of several texts, or as JSON.

    A string that the schema restricts further is written as JSON, in quotes, since only JSON can
    be constrained to a whole schema. If a schema allows a string among other types, every value
    is written and read as a text.

    Args:
        schema: the value's schema.
        root: the schema in which its references are resolved.
    """
    choices: list[str] = []
    is_text = False
    for alternative in _alternatives(schema, root, MAX_REFERENCES):
        values = _values(alternative)
        told = alternative.get("type")
        types = {told} if isinstance(told, str) else set(told or ())
        if values is not None:
            choices += [value for value in values if isinstance(value, str)]
        elif "string" in types or not types:
            if _ASSERTIONS & alternative.keys():
                return "json"
            is_text = True
    if is_text:
        return "text"
    return tuple(dict.fromkeys(choices)) or "json"


def read_value(text: str, schema: Any, root: Schema) -> Any:
    """The value that a text represents under its schema; the text itself if it is not JSON."""
    text = text.removeprefix("\n").removesuffix("\n")
    spelled = spelling(schema, root)
    if spelled == "text" and not _is_free(schema, root):
        return text
    if isinstance(spelled, tuple):
        return text.strip() if text.strip() in spelled else text
    try:
        return json.loads(text, strict=False) if text.strip() else text
    except (ValueError, RecursionError):
        return {"True": True, "False": False, "None": None}.get(text.strip(), text)


def _is_free(schema: Any, root: Schema) -> bool:
    """Whether a schema names no type at all, so that a text is read as JSON if possible."""
    return all(
        "type" not in alternative and _values(alternative) is None
        for alternative in _alternatives(schema, root, MAX_REFERENCES)
    )


def _alternatives(schema: Any, root: Schema, left: int) -> Iterator[dict[str, Any]]:
    """The alternatives of a schema (``anyOf``, ``oneOf``), with references resolved."""
    if not isinstance(schema, dict) or not left:
        yield {}
        return
    if isinstance(reference := schema.get("$ref"), str):
        yield from _alternatives(_resolved(reference, root), root, left - 1)
        return
    for name in ("anyOf", "oneOf"):
        if isinstance(options := schema.get(name), list):
            for option in options:
                yield from _alternatives(option, root, left - 1)
            return
    yield schema


def _resolved(reference: str, root: Schema) -> Any:
    found: Any = root
    for key in reference.removeprefix("#").strip("/").split("/"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _values(schema: dict[str, Any]) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    found = schema.get("enum")
    return found if isinstance(found, list) else None
