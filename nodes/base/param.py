"""Param references such as `$rounds`, which may stand for the value of any setting.

In a spec a reference is the text ``$rounds``; in Python it is ``param("rounds")``. It may stand
for the value of any setting, and is replaced by the value of the param before a node runs.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticKnownError, core_schema

PATTERN = r"^\$[A-Za-z_][A-Za-z0-9_]*$"
_REFERENCE = re.compile(PATTERN)

Path = tuple[str | int, ...]
"""The keys and indices that lead to a value in plain data."""


class Param(str):
    """A reference to a param, written ``$name``."""

    __slots__ = ()

    @property
    def name(self) -> str:
        """The param's name, without the dollar sign."""
        return self[1:]


def param(name: str) -> Any:
    """Refer to the graph's param ``name``; typed Any, since it can replace any value."""
    return Param(f"${name}")


def is_reference(value: object) -> bool:
    """Whether a value in a spec is a reference to a param."""
    return isinstance(value, str) and _REFERENCE.match(value) is not None


def bind(value: Any, params: Mapping[str, Any]) -> Any:
    """A copy of plain data in which every reference is replaced by the value of its param.

    Raises:
        KeyError: a reference names an undefined param.
    """
    if is_reference(value):
        return params[value[1:]]
    if isinstance(value, Mapping):
        return {key: bind(item, params) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [bind(item, params) for item in value]
    return value


def references(data: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """The path of each reference in plain data, and the name of its param."""
    if is_reference(data):
        yield path, data[1:]
    elif isinstance(data, Mapping):
        for key, value in data.items():
            yield from references(value, (*path, key))
    elif isinstance(data, list | tuple):
        for index, value in enumerate(data):
            yield from references(value, (*path, index))


class AllowsParam:
    """Annotation that lets a field hold a :class:`Param` in place of its own type.

    It also rejects values that pydantic would convert between strings, numbers and booleans.
    """

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        inner = handler(source)

        def validate(value: Any, validator: core_schema.ValidatorFunctionWrapHandler) -> Any:
            return Param(value) if is_reference(value) else _alike(value, validator(value))

        def serialize(value: Any, serializer: core_schema.SerializerFunctionWrapHandler) -> Any:
            return str(value) if isinstance(value, Param) else serializer(value)

        return core_schema.no_info_wrap_validator_function(
            validate,
            inner,
            serialization=core_schema.wrap_serializer_function_ser_schema(serialize, schema=inner),
        )

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [handler(schema), {"type": "string", "pattern": PATTERN}]}


def _alike(value: Any, accepted: Any) -> Any:
    """Return the validated value; raise if it was converted from a string, or from or to a bool."""
    wanted = type(accepted)
    if isinstance(value, str | bool) and wanted in _NUMBERS and type(value) is not wanted:
        raise PydanticKnownError(_NUMBERS[wanted])
    if wanted is bool and not isinstance(value, bool):
        raise PydanticKnownError("bool_type")
    return accepted


_NUMBERS: dict[type, Literal["int_type", "float_type"]] = {int: "int_type", float: "float_type"}
