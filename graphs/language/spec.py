"""The graph language, version 1: what a spec holds, as pydantic models.

A spec is data. It names node kinds, prompts and params; it never names code to run. These
models are its only definition: the loader, the checker, the JSON Schema, the reference and the
Python form all come from them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic_core import PydanticCustomError

from thinkgraph.models.model import Frozen
from thinkgraph.nodes.base.param import AllowsParam

START, END = "START", "END"
NAME = r"^[A-Za-z][A-Za-z0-9_-]*$"
IDENTIFIER = r"^[a-z][a-z0-9_]*$"

Name = Annotated[str, Field(pattern=NAME)]
Identifier = Annotated[str, Field(pattern=IDENTIFIER)]
Scalar = bool | int | float | str
ParamType = Literal["boolean", "integer", "number", "string"]
FieldType = Literal["boolean", "integer", "number", "string", "list", "object"]

CHANNELS = frozenset(
    {
        "question",
        "messages",
        "turn",
        "candidates",
        "critiques",
        "answer",
        "usage",
        "counts",
        "branch",
    }
)
"""The channels of the state that every graph has; no node and no field can have their names."""
RUN_SETTINGS = frozenset(
    {"question", "model", "models", "seed", "budget", "prompts", "checkpointer", "self"}
)
"""What a run takes beside the params and inputs, which therefore can't have these names."""

_TYPES: dict[type, ParamType] = {bool: "boolean", int: "integer", float: "number", str: "string"}


def _fault(kind: str, message: str) -> PydanticCustomError:
    """An error of a model, of a kind that the checker has a code for."""
    return PydanticCustomError(kind, "{said}", {"said": message})


class Param(Frozen):
    """A value that is set when the graph is run; ``rounds: 2`` is short for its default."""

    default: Scalar | None = Field(None, description="none makes it required")
    type: ParamType | None = Field(None, description="the default's, unless given")
    minimum: float | None = Field(None, strict=True, description="the least it can be")
    maximum: float | None = Field(None, strict=True, description="the most it can be")
    choices: tuple[Scalar, ...] = Field((), description="the only values it can have")
    about: str = Field("", description="what it is for")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"default": value} if isinstance(value, bool | int | float | str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Param:
        if self.default is None and self.type is None:
            raise _fault("param", "a param needs a default or a type")
        for value in (self.default, *self.choices):
            self._fits(value)
        return self

    def _fits(self, value: Scalar | None) -> None:
        try:
            if value is not None:
                self.accept(value)
        except ValueError as error:
            raise _fault("param", f"its own value: {error}") from None

    @property
    def kind(self) -> ParamType:
        """Its type, stated or that of its default."""
        return self.type or _TYPES[type(self.default)]

    def accept(self, value: Any) -> Scalar:
        """The value, checked; text (as from a command line) is converted.

        Raises:
            ValueError: it is not of the type, or outside the range or the choices.
        """
        converted = _convert(value, self.kind)
        if self.choices and converted not in self.choices:
            raise ValueError(f"{value!r} is not one of {', '.join(map(str, self.choices))}")
        if isinstance(converted, int | float) and not isinstance(converted, bool):
            if self.minimum is not None and converted < self.minimum:
                raise ValueError(f"{value} is less than {self.minimum:g}")
            if self.maximum is not None and converted > self.maximum:
                raise ValueError(f"{value} is more than {self.maximum:g}")
        return converted


def _convert(value: Any, kind: ParamType) -> Scalar:
    if kind == "string" and isinstance(value, str):
        return value
    if kind == "boolean":
        if isinstance(value, bool):
            return value
        if str(value).lower() in ("true", "false"):
            return str(value).lower() == "true"
    elif kind in ("integer", "number") and not isinstance(value, bool):
        try:
            number = float(value)
            if kind == "number":
                return number
            if number == int(number):
                return int(value) if isinstance(value, str | int) else int(number)
        except (TypeError, ValueError, OverflowError):
            pass
    article = "an" if kind == "integer" else "a"
    raise ValueError(f"{value!r} is not {article} {kind}")


class Input(Frozen):
    """A further input beside the question, that prompts and conditions may name."""

    type: FieldType = Field("string", description="for conditions")
    default: Any = Field(None, description="where the run is given none")
    about: str = Field("", description="what it is for")


class StateField(Frozen):
    """A further field of the state, and how two writes to it combine."""

    type: FieldType = Field("string", description="for conditions")
    reducer: Literal["replace", "append", "add", "merge", "max"] = Field(
        "replace", description="how a second value joins the first"
    )
    default: Any = Field(None, description="until a node writes it")
    about: str = Field("", description="what it is for")


class Limits(Frozen):
    """What may be spent; nothing is no limit. A reference to a param may stand for a number."""

    tokens: Annotated[int | None, AllowsParam()] = Field(None, ge=1, description="sampled tokens")
    seconds: Annotated[float | None, AllowsParam()] = Field(None, gt=0, description="of wall time")
    calls: Annotated[int | None, AllowsParam()] = Field(None, ge=1, description="model calls")


class NodeSpec(BaseModel):
    """A node: its kind and that kind's settings, or ``use`` of another spec with its params."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str | None = Field(None, description="what it does: one of the kinds below")
    use: str | None = Field(None, description="a built-in graph, or a file beside this one")
    params: dict[str, Any] | None = Field(None, description="with `use`: the other graph's params")
    budget: Limits | None = Field(None, description="what one run of the node may spend")

    @model_validator(mode="after")
    def _one(self) -> NodeSpec:
        if (self.kind is None) == (self.use is None):
            raise _fault("node", "a node has either a `kind` or a `use`")
        if self.params is not None and self.use is None:
            raise _fault("node", "`params` goes with `use`; a kind has its settings beside it")
        return self

    @property
    def settings(self) -> dict[str, Any]:
        """The settings of its kind."""
        return dict(self.__pydantic_extra__ or {})


_STAGE = re.compile(r"\s*(?:\[([^\[\]]*)\]|([^\[\],>\s]+))\s*")


def stages(path: str) -> list[tuple[str, ...]]:
    """The stages of a chain such as ``START -> [a, b] -> END``.

    Raises:
        ValueError: it isn't a chain of at least two stages.
    """
    found = []
    for part in path.split("->"):
        match = _STAGE.fullmatch(part)
        listed = (match[2] or match[1]) if match else ""
        names = [name.strip() for name in listed.split(",")]
        if not all(re.match(NAME, name) for name in names):
            raise _fault("chain", f"{path!r} is no chain; write `START -> draft -> [a, b] -> END`")
        found.append(tuple(names))
    if len(found) < 2:
        raise _fault("chain", f"{path!r} has no arrow; write `a -> b`")
    return found


class Edge(Frozen):
    """A chain of nodes, with the condition and the bound under which it is followed.

    In YAML ``a -> b`` or ``a -> b: {when: CONDITION, at_most: N}``. From one node, conditional
    edges are tried in order and the first that holds is followed; an edge without a condition
    is followed when none before it was. Several edges without conditions are followed in
    parallel.
    """

    path: str = Field(max_length=2000, description="the chain; in YAML it stands as the key")
    when: str | None = Field(
        None, max_length=1000, description="a CEL expression over the state, true to follow"
    )
    at_most: Annotated[int | None, AllowsParam()] = Field(
        None, ge=0, description="how often it may be followed in a run"
    )
    each: Literal["candidates"] | None = Field(
        None, description="run the target once for each live candidate, side by side"
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        if isinstance(value, str):
            return {"path": value}
        if isinstance(value, dict) and len(value) == 1 and "path" not in value:
            ((path, rest),) = value.items()
            if rest is None:
                return {"path": path}
            if isinstance(rest, dict):
                return {"path": path, **rest}
            raise _fault("chain", "after the chain come `when`, `at_most` or `each`")
        return value

    @model_validator(mode="after")
    def _chain(self) -> Edge:
        found = stages(self.path)
        if self.is_conditional and (len(found) != 2 or len(found[0]) != 1 or len(found[1]) != 1):
            raise _fault("chain", "a condition goes with one arrow from one node to one node")
        return self

    @property
    def is_conditional(self) -> bool:
        """Whether it may be left unfollowed, or fans out."""
        return self.when is not None or self.at_most is not None or self.each is not None

    @property
    def links(self) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
        """The pairs of neighbouring stages."""
        found = stages(self.path)
        return pairwise(found)

    @property
    def plain(self) -> str | dict[str, Any]:
        """The edge as it stands in a spec."""
        rest = self.model_dump(exclude={"path"}, exclude_defaults=True, mode="json")
        return {self.path: rest} if rest else self.path


def _edges(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Spec(Frozen):
    """A saved strategy: a head, nodes, and edges between them."""

    thinkgraph: Literal[1] = Field(description="the version of the language")
    name: Name = Field(description="letters, digits, `-` and `_`")
    about: str = Field("", description="what it does, its source, cost, when it helps and hurts")
    inputs: dict[Identifier, Input] = Field(
        default_factory=dict, description="further inputs beside the question, by name"
    )
    params: dict[Identifier, Param] = Field(
        default_factory=dict, description="values that are set when it runs, by name"
    )
    state: dict[Identifier, StateField] = Field(
        default_factory=dict, description="further fields of the state, by name"
    )
    nodes: dict[Name, NodeSpec] = Field(
        min_length=1, max_length=128, description="what is done, by name"
    )
    edges: Annotated[tuple[Edge, ...], BeforeValidator(_edges)] = Field(
        min_length=1, max_length=512, description="what follows what; one may stand alone"
    )
    budget: Limits | None = Field(None, description="what a run may spend")
    output: Identifier = Field("answer", description="the channel that is the run's result")

    @property
    def plain(self) -> dict[str, Any]:
        """The spec as plain data, in its short forms: what is saved."""
        data = self.model_dump(mode="json", exclude_unset=True, exclude={"edges"})
        data["edges"] = [edge.plain for edge in self.edges]
        return data

    def bind(self, given: dict[str, Any]) -> dict[str, Scalar]:
        """The value of every param: those given, checked, and the defaults.

        Raises:
            KeyError: a param that the graph doesn't have (the name).
            ValueError: a param is missing, or has a value that it can't have.
        """
        for name in given:
            if name not in self.params:
                raise KeyError(name)
        values: dict[str, Scalar] = {}
        for name, param in self.params.items():
            value = given.get(name, param.default)
            if value is None:
                raise ValueError(f"{name}: no value, and it has no default")
            try:
                values[name] = param.accept(value)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return values


def chain(*names: str | Sequence[str]) -> str:
    """The text of a chain: ``chain("a", ["b", "c"])`` is ``a -> [b, c]``."""
    return " -> ".join(n if isinstance(n, str) else f"[{', '.join(n)}]" for n in names)
