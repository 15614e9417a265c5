"""The spec, the abstract syntax tree of a graph: pydantic models, language version 1.

A spec is data. It names node kinds, prompts and params; it never names code to run. These
models are its only definition: the loader, the checker, the JSON Schema, the reference and the
Python form all come from them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal, cast

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    model_serializer,
    model_validator,
)
from pydantic_core import PydanticCustomError

from thinkgraph.models.arguments import SuggestingModel
from thinkgraph.models.model import Frozen
from thinkgraph.nodes.base.param import AllowsParam, is_reference

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
ITEM = "item"
"""Variable of a node's prompts: the item of a run, where the graph fans out over a list."""
RUN_SETTINGS = frozenset(
    {
        *("question", "model", "models", "seed", "budget", "prompts", "tools", "verifiers"),
        *("checkpointer", "self"),
    }
)
"""Arguments of a run besides params and inputs, which therefore can't have these names."""

_TYPES: dict[type, ParamType] = {bool: "boolean", int: "integer", float: "number", str: "string"}


def _fault(kind: str, message: str, *within: str | int) -> PydanticCustomError:
    """A validation error of a type for which the checker has a code.

    Args:
        kind: the type of the error.
        message: why the value is invalid.
        within: the path of the invalid part in the value; none: the whole value.
    """
    return PydanticCustomError(kind, "{said}", {"said": message, "within": within})


class Param(Frozen):
    """A value that a run may set. ``rounds: 2`` is short for ``rounds: {default: 2}``."""

    default: Scalar | None = Field(
        None, description="value if the run sets none; null: the param is required"
    )
    type: ParamType | None = Field(
        None, description="type of the value; null: the type of the default"
    )
    minimum: float | None = Field(None, strict=True, description="smallest allowed value")
    maximum: float | None = Field(None, strict=True, description="largest allowed value")
    choices: tuple[Scalar, ...] = Field(
        (), description="allowed values; empty: all values of the type"
    )
    fit: tuple[Scalar, ...] = Field(
        (),
        description="values that `thinkgraph fit` tries, for a param whose best value depends on "
        "the model",
    )
    about: str = Field("", description="description of the param")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"default": value} if isinstance(value, bool | int | float | str) else value

    @model_validator(mode="after")
    def _consistent(self) -> Param:
        if self.default is None and self.type is None:
            raise _fault("param", "a param needs a default or a type")
        if self.minimum is not None and self.maximum is not None and self.minimum > self.maximum:
            said = f"the minimum {self.minimum:g} is more than the maximum {self.maximum:g}"
            raise _fault("param", said, "minimum")
        if self.default is not None:
            self._fits(self.default, "the default", "default")
        for index, choice in enumerate(self.choices):
            self._fits(choice, "a choice", "choices", index)
        for index, value in enumerate(self.fit):
            self._fits(value, "a value to fit", "fit", index)
        return self

    def _fits(self, value: Scalar, what: str, *within: str | int) -> None:
        try:
            self.accept(value)
        except ValueError as error:
            raise _fault("param", f"{what}: {error}", *within) from None

    @property
    def kind(self) -> ParamType:
        """The declared type, or else the type of the default."""
        return self.type or _TYPES[type(self.default)]

    def accept(self, value: Any) -> Scalar:
        """Validate a value; text (as from a command line) is converted.

        Raises:
            ValueError: it is not of the type, or outside the range or the choices, or a reference
                to a param.
        """
        converted = _convert(value, self.kind)
        if is_reference(converted):  # a setting would take it for a param, and never bind it
            raise ValueError(f"{value!r} is a reference to a param; a param's value can't be one")
        if self.choices and converted not in self.choices:
            raise ValueError(f"{value!r} is not one of {', '.join(map(str, self.choices))}")
        if isinstance(converted, float) and not math.isfinite(converted):
            raise ValueError(f"{value!r} is not a finite number")
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
    raise ValueError(_other_type(value, kind))


def _other_type(value: Any, kind: FieldType) -> str:
    article = "an" if kind in ("integer", "object") else "a"
    return f"{value!r} is not {article} {kind}"


_CLASSES: dict[FieldType, tuple[type, ...]] = {
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "string": (str,),
    "list": (list, tuple),
    "object": (Mapping,),
}


def _has_type(value: Any, kind: FieldType) -> bool:
    return isinstance(value, _CLASSES[kind]) and isinstance(value, bool) == (kind == "boolean")


def _check_default(field: Input | StateField) -> None:
    """Check that a field's default has its type; a type that isn't declared is not checked."""
    is_declared = "type" in field.model_fields_set
    if is_declared and field.default is not None and not _has_type(field.default, field.type):
        said = f"the default: {_other_type(field.default, field.type)}"
        raise _fault("field", said, "default")


class Input(Frozen):
    """An input in addition to the question, for prompts and conditions."""

    type: FieldType = Field(
        "string", description="type of the value; conditions are checked against it"
    )
    default: Any = Field(None, description="value if the run gives none")
    about: str = Field("", description="description of the input")

    @model_validator(mode="after")
    def _consistent(self) -> Input:
        _check_default(self)
        return self

    def accept(self, value: Any) -> Any:
        """Validate a value; text (as from a command line) is converted, that of a list from JSON.

        Raises:
            ValueError: it is not of the type that the input declares.
        """
        if "type" not in self.model_fields_set or _has_type(value, self.type):
            return value
        if self.type not in ("list", "object"):
            return _convert(value, cast(ParamType, self.type))
        try:
            parsed = json.loads(value) if isinstance(value, str) else value
        except ValueError:
            parsed = value
        if not _has_type(parsed, self.type):
            raise ValueError(_other_type(value, self.type))
        return parsed


ReducerName = Literal["replace", "append", "add", "merge", "max"]
REDUCED: dict[ReducerName, frozenset[FieldType]] = {
    "append": frozenset({"list"}),
    "add": frozenset({"integer", "number", "string", "list"}),
    "merge": frozenset({"object"}),
    "max": frozenset({"boolean", "integer", "number", "string"}),
}
"""The types whose values each reducer can combine; `replace` takes all."""


class StateField(Frozen):
    """An additional field of the state, and the reducer that combines two writes to it."""

    type: FieldType = Field(
        "string", description="type of the value; conditions are checked against it"
    )
    reducer: ReducerName = Field(
        "replace",
        description="how a written value is combined with the present one: `append` needs a list, "
        "`merge` an object, `add` a number, a string or a list, `max` no list and no object",
    )
    default: Any = Field(None, description="value until a node writes it")
    about: str = Field("", description="description of the field")

    @model_validator(mode="after")
    def _consistent(self) -> StateField:
        _check_default(self)
        return self


def _json_schema(value: Any) -> Any:
    is_model = isinstance(value, type) and issubclass(value, BaseModel)
    return value.model_json_schema() if is_model else value


class Output(Frozen):
    """The channel that is a run's result. ``output: NAME`` is short for ``{field: NAME}``."""

    field: Identifier = Field(
        "answer", description="channel that is the result: `answer`, or a field of the state"
    )
    json_schema: Annotated[dict[str, Any] | None, BeforeValidator(_json_schema)] = Field(
        None,
        description="JSON schema that the result must match; in Python also a pydantic model; "
        "null: not checked",
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"field": value} if isinstance(value, str) else value

    @model_serializer(mode="wrap")
    def _plain(self, serialize: SerializerFunctionWrapHandler) -> Any:
        return self.field if self.json_schema is None else serialize(self)


class Limits(Frozen):
    """A budget; null is no limit. A number may be a reference to a param."""

    tokens: Annotated[int | None, AllowsParam()] = Field(
        None, ge=1, description="maximum number of sampled tokens"
    )
    seconds: Annotated[float | None, AllowsParam()] = Field(
        None, gt=0, description="maximum wall time, in seconds"
    )
    calls: Annotated[int | None, AllowsParam()] = Field(
        None, ge=1, description="maximum number of model calls"
    )


class Retry(Frozen):
    """LangGraph's retry policy for a node that fails: number of attempts and waiting times."""

    max_attempts: int = Field(
        3, ge=1, le=100, description="maximum number of runs, the first one included"
    )
    initial_interval: float = Field(0.5, ge=0, description="seconds before the second run")
    backoff_factor: float = Field(
        2.0, ge=1, description="factor by which each wait is longer than the one before"
    )
    max_interval: float = Field(128.0, ge=0, description="maximum wait, in seconds")
    jitter: bool = Field(True, description="whether waits vary a little at random")

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        is_number = isinstance(value, int) and not isinstance(value, bool)
        return {"max_attempts": value} if is_number else value


class Use(Frozen):
    """Another graph as a node, with explicit inputs and outputs.

    The used graph sees the question, the conversation and the candidates, and of this graph's
    fields only what `inputs` names: ``inputs: {topic: principle}`` gives its input `topic` the
    value of this graph's field `principle`. ``question: FIELD`` asks it another question; then it
    starts without the conversation and without candidates, and `into` is required.

    Without `into` its candidates, critiques and answer become this graph's. With `into` only what
    it names is returned: ``into: {fact: answer}`` writes its answer to this graph's field `fact`.
    ``use: NAME`` with `params` beside it is the older, short form: the used graph gets every field
    of this graph whose name it declares too.
    """

    graph: str = Field(description="name of a built-in graph, or of a file in this file's folder")
    params: dict[str, Any] = Field(
        default_factory=dict, description="values of the used graph's params, by name"
    )
    inputs: dict[Identifier, str] = Field(
        default_factory=dict,
        description="inputs of the used graph to set (or `question`), each from a field of this "
        "graph, `question`, `answer`, `item` (after an edge with `each`), or `$param`",
    )
    into: dict[Identifier, Identifier] | None = Field(
        None,
        description="state fields of this graph to write (or `candidates`), each from a state "
        "field of the used graph, its `answer`, the answer's whole `text`, or its `candidates`; "
        "null: its candidates, critiques and answer become this graph's",
    )

    @property
    def asks_anew(self) -> bool:
        """Whether the used graph is asked another question."""
        return "question" in self.inputs

    @property
    def gives_population(self) -> bool:
        """Whether the used graph's candidates, critiques and answer become this graph's."""
        return self.into is None or "candidates" in self.into

    @property
    def fields_written(self) -> dict[str, str]:
        """By written state field, the channel of the used graph."""
        return {outer: inner for outer, inner in (self.into or {}).items() if outer != "candidates"}


class NodeSpec(BaseModel, metaclass=SuggestingModel):
    """A node: a kind with its settings, or ``use`` of another graph."""

    model_config = ConfigDict(frozen=True, extra="allow")

    kind: str | None = Field(None, description="name of a node kind")
    use: str | Use | None = Field(
        None,
        description="graph that runs as this node: a built-in graph, a file in this file's "
        "folder, or a mapping with `graph`, `params`, `inputs` and `into`",
    )
    params: dict[str, Any] | None = Field(
        None, description="with `use: NAME`: values of the used graph's params, by name"
    )
    budget: Limits | None = Field(None, description="budget of one run of the node")
    retry: Retry | None = Field(
        None,
        description="retry policy for when the model fails; `retry: 3` allows three runs in all; "
        "null: no retry",
    )
    fallback: str | None = Field(
        None,
        description="name of the node that runs in its place if its model fails, after any retries",
    )

    @model_validator(mode="after")
    def _one(self) -> NodeSpec:
        if (self.kind is None) == (self.use is None):
            raise _fault("node", "a node needs either `kind` or `use`")
        if self.params is not None and self.use is None:
            raise _fault(
                "node", "`params` belongs to `use`; the settings of a kind stand beside `kind`"
            )
        if self.params is not None and isinstance(self.use, Use):
            raise _fault("node", "`params` stands beside `use`; write it within, beside `graph`")
        return self

    @property
    def used(self) -> Use | None:
        """The graph that it uses, in the long form."""
        if isinstance(self.use, str):
            return Use(graph=self.use, params=self.params or {})
        return self.use

    @property
    def shares_fields(self) -> bool:
        """Whether it uses a graph in the short form, which passes all fields of equal names."""
        return isinstance(self.use, str)

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
            raise _fault(
                "chain", f"{path!r} is not a chain; write `START -> draft -> [a, b] -> END`"
            )
        found.append(tuple(names))
    if len(found) < 2:
        raise _fault("chain", f"{path!r} has no arrow; write `a -> b`")
    return found


class Edge(Frozen):
    """A chain of nodes, optionally with a condition and a bound.

    In YAML ``a -> b`` or ``a -> b: {when: CONDITION, repeat: N}``. The conditional edges of a
    node are tried in order, and the first whose condition is true is followed. An edge without
    a condition is followed if no earlier one was. Several edges without conditions are followed
    in parallel. A loop needs a bound: ``revise -> revise: {repeat: 3}`` runs `revise` three times
    in all.
    """

    path: str = Field(
        max_length=2000, description="the chain, such as `a -> [b, c] -> d`; in YAML it is the key"
    )
    when: str | None = Field(
        None, max_length=1000, description="a boolean CEL expression over the state"
    )
    repeat: Annotated[int | None, AllowsParam()] = Field(
        None,
        ge=0,
        description="bound of a loop: the edge is followed until its target has run this many "
        "times in all; runs beside this node, in parallel branches, are counted from the next "
        "step on",
    )
    at_most: Annotated[int | None, AllowsParam()] = Field(
        None, ge=0, description="maximum number of times that the edge is followed in a run"
    )
    each: Identifier | None = Field(
        None,
        description="fan-out: runs the target in parallel, once per live candidate "
        "(`candidates`), or once per `item` of a list (the name of a state field or input)",
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
            allowed = "`when`, `repeat`, `at_most` and `each`"
            raise _fault("chain", f"after the chain only {allowed} are allowed")
        return value

    @model_validator(mode="after")
    def _chain(self) -> Edge:
        found = stages(self.path)
        if self.is_conditional and (len(found) != 2 or len(found[0]) != 1 or len(found[1]) != 1):
            raise _fault(
                "chain", "an edge with a condition has one arrow, from one node to one node"
            )
        if self.repeat is not None and self.at_most is not None:
            raise _fault("bounds", "`repeat` and `at_most` both bound this edge; write one of them")
        return self

    @property
    def is_conditional(self) -> bool:
        """Whether it has a condition or a bound, or fans out."""
        return self.when is not None or self.is_bounded or self.each is not None

    @property
    def is_bounded(self) -> bool:
        """Whether the number of times it is followed is bounded, whatever the state is."""
        return self.bound is not None

    @property
    def bound(self) -> int | str | None:
        """The value of `repeat` or `at_most`: a number, or a reference to a param."""
        return self.at_most if self.repeat is None else self.repeat

    @property
    def links(self) -> Iterator[tuple[tuple[str, ...], tuple[str, ...]]]:
        """The pairs of adjacent stages."""
        found = stages(self.path)
        return pairwise(found)

    @property
    def plain(self) -> str | dict[str, Any]:
        """The edge as written in a spec."""
        rest = self.model_dump(exclude={"path"}, exclude_defaults=True, mode="json")
        return {self.path: rest} if rest else self.path


def _edges(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


class Spec(Frozen):
    """A saved strategy: its header, its nodes, and the edges between them."""

    thinkgraph: Literal[1] = Field(description="the version of the language")
    name: Name = Field(description="name of the graph: letters, digits, `-` and `_`")
    about: str = Field(
        "", description="what the graph does, its source and cost, when it helps and hurts"
    )
    inputs: dict[Identifier, Input] = Field(
        default_factory=dict, description="inputs in addition to the question, by name"
    )
    params: dict[Identifier, Param] = Field(
        default_factory=dict, description="values that a run may set, by name"
    )
    state: dict[Identifier, StateField] = Field(
        default_factory=dict, description="additional fields of the state, by name"
    )
    nodes: dict[Name, NodeSpec] = Field(
        min_length=1, max_length=128, description="the nodes, by name"
    )
    edges: Annotated[tuple[Edge, ...], BeforeValidator(_edges)] = Field(
        min_length=1, max_length=512, description="the edges; a single one needs no list"
    )
    budget: Limits | None = Field(None, description="budget of a run; null: no limit")
    output: Output = Field(
        Output(), description="the channel that is the run's result, and its JSON schema"
    )

    @property
    def plain(self) -> dict[str, Any]:
        """The spec as plain data, in its short forms, as it is saved."""
        data = self.model_dump(mode="json", exclude_unset=True, exclude={"edges"})
        data["edges"] = [edge.plain for edge in self.edges]
        return data

    def renamed(self, graphs: Mapping[str, str]) -> Spec:
        """The spec with other names for the graphs that it uses; itself if none changes."""
        if all(name == other for name, other in graphs.items()):
            return self
        nodes = dict(self.nodes)
        for name, node in self.nodes.items():
            if isinstance(node.use, Use):
                other = node.use.model_copy(update={"graph": graphs[node.use.graph]})
                nodes[name] = node.model_copy(update={"use": other})
            elif node.use is not None:
                nodes[name] = node.model_copy(update={"use": graphs[node.use]})
        return self.model_copy(update={"nodes": nodes})

    def bind(self, given: dict[str, Any]) -> dict[str, Scalar]:
        """The value of every param: the given ones, validated, and the defaults.

        Raises:
            KeyError: the graph has no such param (the argument is the name).
            ValueError: a required param is missing, or a value is invalid.
        """
        for name in given:
            if name not in self.params:
                raise KeyError(name)
        values: dict[str, Scalar] = {}
        for name, param in self.params.items():
            value = given.get(name, param.default)
            if value is None:
                raise ValueError(f"{name}: required, as it has no default")
            try:
                values[name] = param.accept(value)
            except ValueError as error:
                raise ValueError(f"{name}: {error}") from None
        return values


def chain(*names: str | Sequence[str]) -> str:
    """The text of a chain: ``chain("a", ["b", "c"])`` is ``a -> [b, c]``."""
    return " -> ".join(n if isinstance(n, str) else f"[{', '.join(n)}]" for n in names)
