"""What of a value isn't as a JSON schema says, where the schema may be a stranger's."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

MOST_REFERENCES = 10_000
"""References that are followed for one value: a few that name each other can be without end."""
REFERENCES = {"$ref", "$dynamicRef", "$recursiveRef"}


def mismatch(value: Any, schema: dict[str, Any]) -> ValidationError | None:
    """How a value isn't as its schema says; None if it is.

    No other document is fetched, and what can take exponential time is passed over: Python's
    regular expressions, ``unevaluatedItems`` and ``unevaluatedProperties``, and of a schema with
    ``patternProperties`` all of it.

    Raises:
        Exception: any, of a schema that is none, or that refers to another document.
    """
    from jsonschema import Draft202012Validator, validators  # noqa: PLC0415 (slow to import)
    from jsonschema.exceptions import best_match  # noqa: PLC0415
    from referencing import Registry  # noqa: PLC0415

    if "patternProperties" in json.dumps(schema):
        return None
    known = validators.validator_for(schema, default=Draft202012Validator)
    followed = 0

    def counted(follow: Any) -> Any:
        def reference(*given: Any) -> Iterator[ValidationError]:
            nonlocal followed
            followed += 1
            if followed > MOST_REFERENCES:
                raise RecursionError("the schema's references have no end")
            yield from follow(*given) or ()

        return reference

    changed = {
        **dict.fromkeys(("pattern", "unevaluatedItems", "unevaluatedProperties")),
        **{key: counted(known.VALIDATORS[key]) for key in REFERENCES & known.VALIDATORS.keys()},
    }
    checked = validators.extend(known, changed)
    return best_match(checked(schema, registry=Registry()).iter_errors(value))
