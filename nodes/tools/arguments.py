"""The arguments of a call against the tool's JSON schema, which may be a stranger's."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

MOST_REFERENCES = 1000
"""References that one check follows: a schema can make their number exponential."""
_UNCHECKED = (
    "pattern",
    "patternProperties",
    "$dynamicRef",
    "unevaluatedItems",
    "unevaluatedProperties",
)
"""Keywords that search by a regular expression, which may take exponential time, or that follow
references in a way of their own."""


class TooManyReferences(Exception):
    """A schema's references lead on and on."""


def fault(schema: Mapping[str, Any], arguments: Mapping[str, Any]) -> str:
    """What is wrong with the arguments, in words for the model; empty if nothing is.

    Nothing is fetched, and no regular expression of the schema is run.

    Raises:
        Exception: whatever an invalid schema makes ``jsonschema`` raise.
    """
    from jsonschema import Draft202012Validator  # noqa: PLC0415 (slow to import)
    from jsonschema.exceptions import best_match  # noqa: PLC0415
    from jsonschema.validators import extend  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415

    standard = Draft202012Validator.VALIDATORS
    followed = 0

    def reference(*given: Any) -> Iterator[Any]:
        nonlocal followed
        followed += 1
        if followed > MOST_REFERENCES:
            raise TooManyReferences
        yield from standard["$ref"](*given) or ()

    def additional(validator: Any, value: Any, instance: Any, inner: Any) -> Iterator[Any]:
        if "patternProperties" not in inner:
            yield from standard["additionalProperties"](validator, value, instance, inner) or ()

    own: dict[str, Any] = dict.fromkeys(_UNCHECKED, _unchecked)
    own |= {"$ref": reference, "additionalProperties": additional}
    checking = extend(Draft202012Validator, own)(schema, registry=Registry())
    found = best_match(checking.iter_errors(arguments))
    if found is None:
        return ""
    place = ".".join(map(str, found.absolute_path))
    return f"error in the arguments: {place and f'{place}: '}{found.message}"


def _unchecked(*_: Any) -> tuple[()]:
    return ()
