"""A value against a JSON schema that may be a stranger's, such as that of a tool's arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

MOST_REFERENCES = 1000
"""References that one check follows: a schema can make their number exponential."""
_UNCHECKED = (
    "pattern",
    "patternProperties",
    "$dynamicRef",
    "$recursiveRef",
    "unevaluatedItems",
    "unevaluatedProperties",
)
"""Keywords that search by a regular expression, which may take exponential time, or that follow
references in a way of their own."""


class TooManyReferences(Exception):
    """A schema's references lead on and on."""


def mismatch(value: Any, schema: Mapping[str, Any]) -> ValidationError | None:
    """How a value isn't as its schema says; None if it is.

    Nothing is fetched, and no regular expression of the schema is run.

    Raises:
        Exception: whatever an invalid schema makes ``jsonschema`` raise.
    """
    from jsonschema import Draft202012Validator  # noqa: PLC0415 (slow to import)
    from jsonschema.exceptions import best_match  # noqa: PLC0415
    from jsonschema.validators import extend, validator_for  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415

    draft = validator_for(schema, default=Draft202012Validator)
    standard = draft.VALIDATORS
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
    return best_match(extend(draft, own)(schema, registry=Registry()).iter_errors(value))


def _unchecked(*_: Any) -> tuple[()]:
    return ()
