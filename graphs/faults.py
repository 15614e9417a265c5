"""From pydantic's errors to problems: a code, plain words, the place, and a suggestion."""

from __future__ import annotations

import json
import types
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, NamedTuple, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from thinkgraph.graphs.problem import nearest, suggestion

Path = tuple[str | int, ...]
MAX_FAULTS = 100
"""How many faults of one value are told."""


class Fault(NamedTuple):
    """A value that a model refuses: where it stands in the data, and why."""

    code: str
    path: Path
    message: str
    hint: str = ""
    key: bool = False
    line: int = 0
    """The line in the text at the path, from 1; 0 is all of it."""


def faults(model: type[BaseModel], data: Any) -> list[Fault]:
    """Why plain data isn't a model; empty if it is."""
    try:
        model.model_validate(data)
    except ValidationError as error:
        details = [each for each in error.errors(include_url=False) if not _follows(each, data)]
        details = details[:MAX_FAULTS]
        found = [_fault(detail, model, data) for detail in details]
        return list(_without_other_branches([each for each in found if each is not None]))
    return []


def _follows(detail: ErrorDetails, data: Any) -> bool:
    """Whether something seems too short only because its items are refused themselves."""
    return detail["type"] == "too_short" and bool(_at(data, _path(detail["loc"], data)))


_WANTED = {
    "int": "a whole number",
    "float": "a number",
    "string": "text",
    "bool": "true or false",
    "dict": "a mapping",
    "model": "a mapping",
    "model_attributes": "a mapping",
    "list": "a list",
    "tuple": "a list",
}
_LIMITS = {
    "greater_than": ("more than", "gt"),
    "greater_than_equal": ("at least", "ge"),
    "less_than": ("less than", "lt"),
    "less_than_equal": ("at most", "le"),
}
_OWN = {"param": "TG107", "node": "TG108", "chain": "TG109", "template": "TG110", "prompt": "TG203"}


def _fault(detail: ErrorDetails, model: type[BaseModel], data: Any) -> Fault | None:
    path, kind, context = _path(detail["loc"], data), detail["type"], detail.get("ctx", {})
    name = str(detail["loc"][-1]) if detail["loc"] else ""
    if kind == "extra_forbidden":
        names = _fields(model, detail["loc"][:-1])
        return Fault(
            "TG101", path, f"there is no field `{name}` here", suggestion(name, names), True
        )
    if kind == "missing":
        return _missing(path, name, _at(data, path), _fields(model, detail["loc"][:-1]))
    if kind == "literal_error":
        return _no_choice(path, _at(data, path), context)
    if kind in _LIMITS:
        words, bound = _LIMITS[kind]
        message = f"{_shown(_at(data, path))} should be {words} {context[bound]:g}"
        return Fault("TG104", path, message)
    if kind in ("too_short", "too_long", "string_too_short", "string_too_long"):
        return Fault("TG104", path, _length(kind, context))
    if kind == "string_pattern_mismatch":
        return _no_name(path, name, _at(data, path), str(context["pattern"]))
    if kind in _OWN:
        line = int(context.get("line", 0))
        return Fault(_OWN[kind], path, detail["msg"], _own_hint(kind, _at(data, path)), False, line)
    base = kind.removesuffix("_type").removesuffix("_parsing").removesuffix("_from_float")
    if base in _WANTED and name == "[key]":
        return Fault("TG103", path, f"{path[-1]} should be {_WANTED[base]}", "", True)
    if base in _WANTED:
        return _mistyped(path, base, _at(data, path))
    said = detail["msg"].removeprefix("Value error, ")
    message, _, hint = said.partition("; ")
    return Fault("TG204" if "extractor" in said else "TG111", path, message, hint)


def _missing(path: Path, name: str, found: Any, fields: list[str]) -> Fault | None:
    given = [key for key in found if key not in fields] if isinstance(found, dict) else []
    if nearest(name, given):  # told as a field that isn't there, with this one to suggest
        return None
    return Fault("TG102", path, f"the field `{name}` is missing", "", True)


def _no_choice(path: Path, value: Any, context: Mapping[str, Any]) -> Fault:
    choices = [
        word.strip("'\" ") for word in str(context["expected"]).replace(" or ", ",").split(",")
    ]
    hint = suggestion(value, choices) if isinstance(value, str) else f"write {', '.join(choices)}"
    return Fault("TG105", path, f"{_shown(value)} is none of {', '.join(choices)}", hint)


def _length(kind: str, context: Mapping[str, Any]) -> str:
    unit = " characters" if kind.startswith("string") else ""
    if kind.endswith("short"):
        least = context["min_length"]
        return f"it should have at least {least}{unit}" if least > 1 else "it should not be empty"
    return f"it should have at most {context['max_length']}{unit}"


def _no_name(path: Path, name: str, value: Any, pattern: str) -> Fault:
    key = name == "[key]"
    shown = path[-1] if key else value
    lower = "a-z" in pattern and "A-Z" not in pattern
    signs = "small letters, digits and `_`" if lower else "letters, digits, `-` and `_`"
    return Fault(
        "TG106", path, f"`{shown}` is no name: names have {signs}, a letter first", "", key
    )


def _mistyped(path: Path, base: str, value: Any) -> Fault:
    wanted = _WANTED[base]
    if value is None:
        return Fault(
            "TG103",
            path,
            f"this is empty and should be {wanted}",
            "delete the field, or give it a value",
            True,
        )
    hint = ""
    if base in ("int", "float") and isinstance(value, str) and _is_number(value):
        hint = f"write it without quotes: {value}"
    elif base == "string" and isinstance(value, int | float):
        hint = f'put it in quotes: "{_shown(value)}"'
    return Fault("TG103", path, f"{_shown(value)} should be {wanted}", hint)


def _own_hint(kind: str, value: Any) -> str:
    if kind == "node" and isinstance(value, dict) and "kind" not in value:
        near = [name for name in value if nearest(name, ("kind", "use"))]
        return (
            f"did you mean `{nearest(near[0], ('kind', 'use'))}` with `{near[0]}`?" if near else ""
        )
    return ""


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _at(data: Any, path: Path) -> Any:
    for step in path:
        data = data[step]
    return data


def _path(location: Path, data: Any) -> Path:
    """The location in the data; pydantic's also names the members of unions."""
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


def _fields(model: type[BaseModel], location: Path) -> list[str]:
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


def _without_other_branches(found: list[Fault]) -> Iterator[Fault]:
    """The faults of the member of a union that was meant; if none was, one fault for them all."""
    types_wanted: dict[Path, list[Fault]] = {}
    for fault in found:
        if fault.code == "TG103":
            types_wanted.setdefault(fault.path, []).append(fault)
    for fault in found:
        alike = types_wanted.get(fault.path, [fault])
        if fault.code != "TG103" or (len(alike) == 1 and not _is_said_better(fault, found)):
            yield fault
        elif fault is alike[0] and not _is_said_better(fault, found):
            wanted = [each.message.rpartition("should be ")[2] for each in alike]
            either = " or ".join(dict.fromkeys(wanted))
            yield fault._replace(message=fault.message.replace(wanted[0], either))


def _is_said_better(fault: Fault, found: list[Fault]) -> bool:
    """Whether another fault is about the same value's form or lies within it."""
    return any(
        (other.path[: len(fault.path)] == fault.path and other.code != "TG103")
        or (other.path != fault.path and other.path[: len(fault.path)] == fault.path)
        for other in found
        if other is not fault
    )
