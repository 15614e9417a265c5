"""Schema validation: pydantic's errors as violations with a code, a location and a hint."""

from __future__ import annotations

import json
import re
import types
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from thinkgraph.graphs.language.document import DataPath
from thinkgraph.graphs.language.problem import nearest, suggestion

MAX_VIOLATIONS = 100
"""Maximum number of reported violations of one value."""


class Violation(NamedTuple):
    """A value that violates the schema: its path in the data, and why."""

    code: str
    path: DataPath
    message: str
    hint: str = ""
    key: bool = False
    line: int = 0
    """The line within the text at the path, from 1; 0 is the whole text."""


def violations(model: type[BaseModel], data: Any) -> list[Violation]:
    """The violations of a model by plain data; empty if the data is valid."""
    try:
        model.model_validate(data)
    except ValidationError as error:
        details = [each for each in error.errors(include_url=False) if not _follows(each, data)]
        details = details[:MAX_VIOLATIONS]
        found = [_violation(detail, model, data) for detail in details]
        return list(_without_other_branches([each for each in found if each is not None]))
    return []


def _follows(detail: ErrorDetails, data: Any) -> bool:
    """Whether a value only seems too short because its items are invalid themselves."""
    return detail["type"] == "too_short" and bool(_at(data, _path(detail["loc"], data)))


_WANTED = {
    "int": "an integer",
    "float": "a number",
    "string": "a string",
    "bool": "a boolean",
    "dict": "a mapping",
    "model": "a mapping",
    "list": "a list",
    "tuple": "a list",
}
_TRUTHS = {"yes": "true", "on": "true", "1": "true", "no": "false", "off": "false", "0": "false"}
_LIMITS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_CUSTOM_ERRORS = {
    "param": "TG107",
    "field": "TG114",
    "node": "TG108",
    "chain": "TG109",
    "bounds": "TG113",
    "template": "TG110",
    "prompt": "TG203",
}


class _Detail(NamedTuple):
    """One of pydantic's errors, at its place in the data."""

    kind: str
    path: DataPath
    name: str
    value: Any
    message: str
    context: Mapping[str, Any]
    siblings: list[str]
    """The fields of the model in which the error is."""


def _violation(detail: ErrorDetails, model: type[BaseModel], data: Any) -> Violation | None:
    path, location = _path(detail["loc"], data), detail["loc"]
    found = _Detail(
        detail["type"],
        path,
        str(location[-1]) if location else "",
        _at(data, path),
        detail["msg"].removeprefix("Value error, "),
        detail.get("ctx", {}),
        _fields(model, location[:-1]),
    )
    return _TRANSLATORS.get(found.kind, _mistyped)(found)


def _unknown(found: _Detail) -> Violation:
    message = f"unknown field `{found.name}`"
    return Violation("TG101", found.path, message, suggestion(found.name, found.siblings), True)


def _missing(found: _Detail) -> Violation | None:
    given = found.value if isinstance(found.value, dict) else {}
    if nearest(found.name, [key for key in given if key not in found.siblings]):
        return None  # reported as an unknown field, with this one as the suggestion
    return Violation("TG102", found.path, f"the field `{found.name}` is missing", "", True)


def _not_a_choice(found: _Detail) -> Violation:
    listed = str(found.context["expected"]).replace(" or ", ",").split(",")
    choices = [word.strip("'\" ") for word in listed]
    text = isinstance(found.value, str)
    hint = suggestion(found.value, choices) if text else f"write {', '.join(choices)}"
    message = f"{_shown(found.value)} is not one of {', '.join(choices)}"
    return Violation("TG105", found.path, message, hint)


def _out_of_range(found: _Detail) -> Violation:
    words, bound = _LIMITS[found.kind]
    message = f"{_shown(found.value)} should be {words} {found.context[bound]:g}"
    return Violation("TG104", found.path, message)


def _too_short(found: _Detail) -> Violation:
    least = found.context["min_length"]
    message = f"it should have at least {least}" if least > 1 else "it should not be empty"
    return Violation("TG104", found.path, message)


def _too_long(found: _Detail) -> Violation:
    unit = " characters" if isinstance(found.value, str) else ""
    return Violation(
        "TG104", found.path, f"it should have at most {found.context['max_length']}{unit}"
    )


def _invalid_name(found: _Detail) -> Violation:
    key, pattern = found.name == "[key]", str(found.context["pattern"])
    shown = found.path[-1] if key else found.value
    lower = "a-z" in pattern and "A-Z" not in pattern
    signs = "lowercase letters, digits and `_`" if lower else "letters, digits, `-` and `_`"
    message = f"`{shown}` is not a valid name: names have {signs}, and begin with a letter"
    return Violation("TG106", found.path, message, "", key)


def _custom_error(found: _Detail) -> Violation:
    """The violation for an error that the models of the language raise themselves."""
    message, _, hint = found.message.partition("; ")
    if found.kind == "node" and not {"kind", "use"} & set(found.value or ()):
        meant = {name: nearest(name, ("kind", "use")) for name in found.value}
        hints = [f"did you mean `{word}` with `{name}`?" for name, word in meant.items() if word]
        hint = hints[0] if hints else hint
    line = int(found.context.get("line", 0))
    # The short form of a value, such as `rounds: 2`, has no parts.
    within = found.context.get("within", ()) if isinstance(found.value, Mapping) else ()
    path = (*found.path, *within)
    return Violation(_CUSTOM_ERRORS[found.kind], path, message, hint, False, line)


def _value_error(found: _Detail) -> Violation:
    message, _, hint = found.message.partition("; ")
    code = "TG204" if "extractor" in found.message else "TG111"
    return Violation(code, found.path, message, hint)


def _mistyped(found: _Detail) -> Violation:
    base = re.sub("_(type|parsing|from_float|attributes_type)$", "", found.kind)
    if base not in _WANTED:
        return _value_error(found)
    wanted, value = _WANTED[base], found.value
    if found.name == "[key]":
        return Violation("TG103", found.path, f"{found.path[-1]} should be {wanted}", "", True)
    if value is None:
        message = f"this is null and should be {wanted}"
        return Violation("TG103", found.path, message, "delete the field, or give it a value", True)
    return Violation(
        "TG103", found.path, f"{_shown(value)} should be {wanted}", _rewrite_hint(base, value)
    )


def _rewrite_hint(base: str, value: Any) -> str:
    """How to write a value with the expected type."""
    if base in ("int", "float") and isinstance(value, str) and _is_number(value):
        return f"write it without quotes: {value}"
    if base == "bool" and str(value).lower() in _TRUTHS:
        return f"write {_TRUTHS[str(value).lower()]}"
    if base == "string" and isinstance(value, int | float):
        return f'put it in quotes: "{_shown(value)}"'
    return ""


_TRANSLATORS: dict[str, Callable[[_Detail], Violation | None]] = {
    "extra_forbidden": _unknown,
    "missing": _missing,
    "literal_error": _not_a_choice,
    "string_pattern_mismatch": _invalid_name,
    **dict.fromkeys(_LIMITS, _out_of_range),
    **dict.fromkeys(("too_short", "string_too_short"), _too_short),
    **dict.fromkeys(("too_long", "string_too_long"), _too_long),
    **dict.fromkeys(_CUSTOM_ERRORS, _custom_error),
}


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _at(data: Any, path: DataPath) -> Any:
    for step in path:
        data = data[step]
    return data


def _path(location: DataPath, data: Any) -> DataPath:
    """The path in the data for pydantic's location, which also names the members of unions."""
    path: list[str | int] = []
    for step in location:
        data, inside = _inside(data, step, path)
        if inside is not None:
            path.append(inside)
    return tuple(path)


def _inside(data: Any, step: str | int, path: list[str | int]) -> tuple[Any, str | int | None]:
    if isinstance(data, dict) and len(path) == 2 and path[0] == "edges" and len(data) == 1:
        ((chain, rest),) = data.items()  # `a -> b: {when: …}` is short for two fields
        if chain != "path" and isinstance(rest, dict) and step in rest:
            path.append(chain)
            return rest[step], step
    if isinstance(data, dict) and step in data:
        return data[step], step
    if isinstance(data, list) and isinstance(step, int) and step < len(data):
        return data[step], step
    return data, None


def _fields(model: type[BaseModel], location: DataPath) -> list[str]:
    """The names of the fields at a location in a model."""
    kind: Any = model
    for step in location:
        kind = _member(kind, step)
    models = [part for part in _parts(kind) if _is_model(part)]
    return [name for part in models for name in part.model_fields]


def _member(kind: Any, step: str | int) -> Any:
    for part in _parts(kind):
        if _is_model(part):
            if step in part.model_fields:
                return part.model_fields[str(step)].annotation
            if step == part.__name__:
                return part
        elif get_origin(part) in (dict, Mapping):
            return get_args(part)[1]
        elif get_origin(part) in (list, tuple) and isinstance(step, int):
            return get_args(part)[0]
    return kind


def _parts(kind: Any) -> Iterator[Any]:
    if get_origin(kind) is Annotated:
        yield from _parts(get_args(kind)[0])
    elif get_origin(kind) in (Union, types.UnionType):
        for part in get_args(kind):
            yield from _parts(part)
    else:
        yield kind


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _without_other_branches(found: list[Violation]) -> Iterator[Violation]:
    """The violations of the intended member of a union; if unclear, one for all its members."""
    types_wanted: dict[DataPath, list[Violation]] = {}
    for violation in found:
        if violation.code == "TG103":
            types_wanted.setdefault(violation.path, []).append(violation)
    for violation in found:
        alike = types_wanted.get(violation.path, [violation])
        if violation.code != "TG103" or (len(alike) == 1 and not _is_said_better(violation, found)):
            yield violation
        elif violation is alike[0] and not _is_said_better(violation, found):
            wanted = [each.message.rpartition("should be ")[2] for each in alike]
            either = " or ".join(dict.fromkeys(wanted))
            yield violation._replace(message=violation.message.replace(wanted[0], either))


def _is_said_better(violation: Violation, found: list[Violation]) -> bool:
    """Whether another violation is more specific: of the value's form, or of a part of it."""
    return any(
        (other.path[: len(violation.path)] == violation.path and other.code != "TG103")
        or (other.path != violation.path and other.path[: len(violation.path)] == violation.path)
        for other in found
        if other is not violation
    )
