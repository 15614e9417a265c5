"""Checks of the JSON schemas in requests, before they are used."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from thinkgraph.models.schemas import compiled
from thinkgraph.serve.errors import RequestError

MOST_PARTS = 5000
DEEPEST = 64


def check_schema(schema: Mapping[str, Any], param: str) -> None:
    """Refuse a schema that is too large, has external references, or patterns that aren't RE2's.

    A validator would fetch an external reference, be it a URL or a file on this machine.

    Args:
        schema: a schema from a request.
        param: the request's field with the schema, for the error.

    Raises:
        RequestError: the schema is refused.
    """
    for number, (key, value) in enumerate(_parts(schema, param)):
        if number > MOST_PARTS:
            raise RequestError(f"{param}: the schema has too many parts", param=param)
        if key in ("$ref", "$dynamicRef", "$recursiveRef") and not _is_inner(value):
            raise RequestError(
                f"{param}: {key} {value!r} leads out of the schema; only #/... is allowed",
                param=param,
            )
        found = [value] if key == "pattern" and isinstance(value, str) else []
        if key == "patternProperties" and isinstance(value, Mapping):
            found = list(value)
        for pattern in found:
            if isinstance(pattern, str) and compiled(pattern) is None:
                raise RequestError(
                    f"{param}: {pattern!r} is not a regular expression of RE2", param=param
                )


def _parts(value: Any, param: str, depth: int = 0) -> Iterator[tuple[str, Any]]:
    if depth > DEEPEST:
        raise RequestError(f"{param}: the schema is nested too deeply", param=param)
    items = value.items() if isinstance(value, Mapping) else ()
    for key, inner in items:
        yield str(key), inner
        yield from _parts(inner, param, depth + 1)
    if isinstance(value, list):
        for inner in value:
            yield "", inner
            yield from _parts(inner, param, depth + 1)


def _is_inner(reference: Any) -> bool:
    return not isinstance(reference, str) or reference.startswith("#")
