"""Validation against untrusted JSON schemas, such as those of a tool's arguments."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

MOST_REFERENCES = 1000
"""Maximum references that one check follows; a schema can make their number exponential."""
_SHOWN = 60  # characters of a text that an error shows
_MEMORY = 2**20  # memory limit of RE2 for one pattern, in bytes
_SPACES = r"\s\v\pZ\x{FEFF}"
_UNCHECKED = ("$dynamicRef", "$recursiveRef", "unevaluatedItems", "unevaluatedProperties")
"""Keywords that resolve references by rules of their own; they are not checked."""


class TooManyReferences(Exception):
    """A check follows more than :data:`MOST_REFERENCES` references."""

    def __init__(self) -> None:
        super().__init__(f"its references lead to more than {MOST_REFERENCES} others")


def mismatch(value: Any, schema: Mapping[str, Any]) -> ValidationError | None:
    """How a value violates its schema; None if it is valid.

    Remote references are not fetched. Patterns are matched by RE2, in linear time; a pattern that
    RE2 doesn't support (look-around, a back-reference or more than 1,000 repetitions) is not
    checked.

    Raises:
        TooManyReferences: the check follows more than :data:`MOST_REFERENCES` references.
        Exception: whatever an invalid schema makes ``jsonschema`` raise.
    """
    import attrs  # noqa: PLC0415
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
        patterns = inner.get("patternProperties", {})
        if isinstance(instance, Mapping) and patterns:
            if any(compiled(pattern) is None for pattern in patterns):
                return
            instance = {
                name: each
                for name, each in instance.items()
                if not any(_finds(pattern, name) for pattern in patterns)
            }
            inner = {name: each for name, each in inner.items() if name != "patternProperties"}
        yield from standard["additionalProperties"](validator, value, instance, inner) or ()

    own: dict[str, Any] = dict.fromkeys(_UNCHECKED, _unchecked)
    own |= {
        "$ref": reference,
        "additionalProperties": additional,
        "pattern": _pattern,
        "patternProperties": _pattern_properties,
    }
    checker = extend(draft, own)
    # jsonschema's own evolve() takes the standard validator for an inner schema with a $schema.
    checker.evolve = attrs.evolve
    return best_match(checker(schema, registry=Registry()).iter_errors(value))


@lru_cache(maxsize=64)
def compiled(pattern: str) -> Any:
    """A pattern of a JSON schema compiled by RE2; None if RE2 doesn't support it."""
    import re2  # type: ignore[import-untyped]  # noqa: PLC0415

    options = re2.Options()
    options.log_errors, options.max_mem = False, _MEMORY
    try:
        return re2.compile(_with_spaces(pattern), options)
    except (re2.error, UnicodeError):
        return None


def _with_spaces(pattern: str) -> str:
    r"""Expand ``\s`` (and ``\S`` outside classes) to ECMA-262's white space; RE2's is ASCII."""
    inside = False

    def put(found: re.Match[str]) -> str:
        nonlocal inside
        if (mark := found[0]) in "[]":
            inside = mark == "["
        elif mark == r"\s":
            return _SPACES if inside else f"[{_SPACES}]"
        elif mark == r"\S" and not inside:
            return f"[^{_SPACES}]"
        return mark

    return re.sub(r"\\.|[\[\]]", put, pattern, flags=re.DOTALL)


def _unchecked(*_: Any) -> tuple[()]:
    return ()


def _pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[ValidationError]:
    from jsonschema.exceptions import ValidationError  # noqa: PLC0415

    if isinstance(instance, str) and compiled(pattern) and not _finds(pattern, instance):
        shown = f"{instance[:_SHOWN]}…" if len(instance) > _SHOWN else instance
        yield ValidationError(f"{shown!r} does not match {pattern!r}")


def _pattern_properties(
    validator: Any, patterns: Mapping[str, Any], instance: Any, _: Any
) -> Iterator[ValidationError]:
    named = instance.items() if isinstance(instance, Mapping) else ()
    for pattern, schema in patterns.items():
        for name, value in named:
            if _finds(pattern, name):
                yield from validator.descend(value, schema, path=name, schema_path=pattern)


def _finds(pattern: str, text: str) -> bool:
    rule = compiled(pattern)
    # RE2 works on UTF-8, which can't encode lone surrogates.
    text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return bool(rule and rule.search(text))
