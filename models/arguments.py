"""Argument errors: messages with suggestions instead of bare pydantic errors and TypeErrors."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from functools import wraps
from typing import TYPE_CHECKING, Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from thinkgraph.models.errors import ThinkgraphError, did_you_mean

if TYPE_CHECKING:
    from pydantic._internal._model_construction import ModelMetaclass
    from pydantic_core import ErrorDetails
else:
    ModelMetaclass = type(BaseModel)

_Kind = inspect.Parameter
F = TypeVar("F", bound=Callable[..., Any])


class ArgumentError(ThinkgraphError, TypeError, ValueError):
    """A function or a class of the public API was called with an argument that it doesn't take."""


class SuggestingModel(ModelMetaclass):
    """Metaclass of pydantic models whose constructors raise :class:`ArgumentError`.

    The error of ``Generate(temperture=0.7)`` suggests the nearest setting. ``model_validate`` still
    raises pydantic's own error, with the details that a caller needs to locate it in a file.
    """

    if not TYPE_CHECKING:  # type checkers read the fields instead

        def __call__(cls, *args: Any, **fields: Any) -> Any:
            """Create an instance."""
            if args:
                raise ArgumentError(f"{cls.__name__} takes its fields by name: FIELD=VALUE")
            try:
                return super().__call__(**fields)
            except ValidationError as error:
                raise ArgumentError(explain(error, cls)) from None


def explain(error: ValidationError, model: type[BaseModel]) -> str:
    """The validation errors of a model in words, one sentence per line."""
    details = error.errors(include_url=False)
    extra = [each for each in details if each["type"] == "extra_forbidden"]
    # A misspelt field is also reported as missing under its right name; and of a union's members,
    # the one with an unknown field is the one that was meant.
    spelt = {_hint(each, model).partition("'")[2].partition("'")[0] for each in extra}
    meant = {each["loc"][0] for each in extra if len(each["loc"]) > 1}
    shown = [each for each in details if each in extra or not meant & set(each["loc"][:1])]
    missing = [str(each["loc"][-1]) for each in shown if each["type"] == "missing"]
    missing = [name for name in missing if name not in spelt]
    told = [_sentence(each, model) for each in shown if each["type"] != "missing"]
    told += [f"{model.__name__} needs {', '.join(missing)}"] if missing else []
    return "\n".join(dict.fromkeys(told))


def _sentence(detail: ErrorDetails, model: type[BaseModel]) -> str:
    names = _names(model)
    place = [str(each) for each in detail["loc"]]
    if detail["type"] == "extra_forbidden":
        owner = ".".join([model.__name__, *(each for each in place[:-1] if each in names)])
        hint = _hint(detail, model) or f"it has {', '.join(_fields(detail, model))}"
        return f"{owner} has no field {place[-1]!r}; {hint}"
    owner = ".".join([model.__name__, *(each for each in place if each in names)])
    if detail["type"] == "literal_error":
        expected = str(detail.get("ctx", {}).get("expected", ""))
        choices = [each.strip("'") for each in expected.replace(" or ", ", ").split(", ")]
        near = did_you_mean(str(detail["input"]), choices)
        return f"{owner}: {detail['input']!r} is not one of {expected}{near and f'; {near}'}"
    said = detail["msg"].removeprefix("Value error, ").removeprefix("Input ")
    if said.startswith("should be"):
        return f"{owner} {said.partition(',')[0]}, not {detail['input']!r}"
    return f"{owner}: {said}"


def _hint(detail: ErrorDetails, model: type[BaseModel]) -> str:
    return did_you_mean(str(detail["loc"][-1]), _fields(detail, model))


def _fields(detail: ErrorDetails, model: type[BaseModel]) -> list[str]:
    """The fields of the model, or of the nested model, that got the unknown field."""
    for name in detail["loc"][:-1]:
        field = model.model_fields.get(str(name))
        if field is not None and (inner := next(_models(field.annotation), None)):
            model = inner
    return list(model.model_fields)


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if inspect.isclass(annotation) and issubclass(annotation, BaseModel):
        yield annotation
    for each in get_args(annotation):
        yield from _models(each)


def _names(model: type[BaseModel]) -> set[str]:
    """The fields of a model and of the models nested in it."""
    inner = [each for field in model.model_fields.values() for each in _models(field.annotation)]
    return set(model.model_fields).union(*(each.model_fields for each in inner))


def suggesting(call: F) -> F:
    """Make a function or a class suggest the nearest name when it gets an unknown argument."""
    if inspect.isclass(call):
        call.__init__ = suggesting(call.__init__)  # type: ignore[method-assign]
        return call
    parameters = inspect.signature(call).parameters
    kinds = [each.kind for each in parameters.values()]
    names = [name for name in parameters if name != "self"]
    title = call.__qualname__.removesuffix(".__init__")
    most = None if _Kind.VAR_POSITIONAL in kinds else kinds.count(_Kind.POSITIONAL_OR_KEYWORD)

    @wraps(call)
    def checked(*args: Any, **named: Any) -> Any:
        unknown = named.keys() - parameters.keys()
        if unknown and _Kind.VAR_KEYWORD not in kinds:
            name = min(unknown)
            hint = did_you_mean(name, names) or f"it has {', '.join(names)}"
            raise ArgumentError(f"{title}() has no argument {name!r}; {hint}")
        if most is not None and len(args) > most:
            raise ArgumentError(f"{title}() takes its arguments by name: {title}(NAME=VALUE)")
        return call(*args, **named)

    return checked  # type: ignore[return-value]
