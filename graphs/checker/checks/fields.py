"""Params, inputs and state: their names, the references to them, and what they may hold."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from thinkgraph.graphs.checker.checks.prompts import meant
from thinkgraph.graphs.checker.draft import Draft
from thinkgraph.graphs.checker.schema_errors import faults
from thinkgraph.graphs.language.condition import VARIABLES
from thinkgraph.graphs.language.document import Path_
from thinkgraph.graphs.language.problem import suggestion
from thinkgraph.graphs.language.spec import CHANNELS, RUN_SETTINGS, Edge, Limits, Param, Scalar
from thinkgraph.nodes.base.param import is_reference
from thinkgraph.nodes.prompts.prompt import prompts_in
from thinkgraph.nodes.registry import node_kinds

CEL_WORDS = frozenset(
    {
        *("as", "break", "const", "continue", "else", "false", "for", "function", "if", "import"),
        *("in", "let", "loop", "namespace", "null", "package", "return", "true", "var", "void"),
        "while",
    }
)
"""The words of CEL that can't name a variable (language definition, "Syntax")."""


def names(draft: Draft) -> None:
    """No field has a name that already means something else."""
    seen: set[str] = set()
    for section in ("params", "inputs", "state"):
        for name in sorted(draft.declared(section)):
            what = _taken(name, section)
            if name in seen:
                what = "the name of another param, input or field of the state"
            seen.add(name)
            if what:
                hint = "choose another name"
                draft.add("TG208", (section, name), f"`{name}` is {what}", hint, key=True)


def _taken(name: str, section: str) -> str:
    if section != "state" and name in RUN_SETTINGS:
        return "a setting of every run"
    if name in CHANNELS:
        return "a channel that every graph has"
    if name in VARIABLES or name == "round":
        return "what every condition may name already"
    if name in CEL_WORDS or keyword.iskeyword(name):
        return "a word that conditions and Python keep for themselves"
    return ""


def output(draft: Draft) -> None:
    """The output is a channel that there is."""
    name = draft.source.at(("output",))
    known = CHANNELS | draft.declared("state")
    if isinstance(name, str) and name not in known:
        hint = suggestion(name, draft.declared("state") | {"answer", "candidates", "critiques"})
        draft.add("TG206", ("output",), f"there is no channel `{name}`", hint)


def channels(draft: Draft) -> None:
    """The fields that nodes read and write are ones of the spec."""
    state = draft.declared("state")
    readable = state | draft.declared("inputs")
    for name, node in draft.kinds.items():
        for settings, known in ((node.reading, readable), (node.writing, state)):
            for setting in settings:
                field = getattr(node, setting, None)
                if isinstance(field, str) and not is_reference(field) and field not in known:
                    message = f"there is no field `{field}` in the state"
                    hint = suggestion(field, known) or f"declare it: `state: {{{field}: {{}}}}`"
                    draft.add("TG206", ("nodes", name, setting), message, hint)


def references(draft: Draft) -> None:
    """Every ``$name`` is a param, and stands where one may."""
    for path, name in _references(draft):
        if name not in draft.declared("params"):
            hint = suggestion(name, draft.declared("params"))
            draft.add("TG202", path, f"there is no param `{name}`", hint)


def _references(draft: Draft) -> Iterator[tuple[Path_, str]]:
    """Where a param is referred to, and its name."""
    for name, node in draft.nodes.items():
        data = node.settings | ({"params": node.params} if node.params else {})
        yield from _within(data, ("nodes", name))
    for path, limits in draft.limits:
        yield from _within(limits, path)
    for number, edge in draft.edges.items():
        if is_reference(edge.at_most):
            yield (*draft.edge_path(number), "at_most"), str(edge.at_most)[1:]


def _within(data: Any, path: Path_) -> Iterator[tuple[Path_, str]]:
    if is_reference(data):
        yield path, data[1:]
    elif isinstance(data, dict):
        for key, value in data.items():
            yield from _within(value, (*path, key))
    elif isinstance(data, list | tuple):
        for index, value in enumerate(data):
            yield from _within(value, (*path, index))


def values(draft: Draft) -> None:
    """What a param may be is what the settings that refer to it accept."""
    for name, node in draft.nodes.items():
        if name in draft.kinds:
            kind = node_kinds()[str(node.kind)]
            _tried(draft, kind, node.settings, ("nodes", name))
    for path, limits in draft.limits:
        _tried(draft, Limits, limits, path)
    for number, edge in draft.edges.items():
        if is_reference(edge.at_most):
            data = {"path": edge.path, "at_most": str(edge.at_most)}
            _tried(draft, Edge, data, draft.edge_path(number))


def _tried(draft: Draft, model: type[BaseModel], data: dict[str, Any], prefix: Path_) -> None:
    """Put the params' values for the references to them, and see what the model says."""
    for path, name in _within(data, ()):
        for value, what, code in _possible(draft.params.get(name)):
            wrong = [f for f in faults(model, _with(data, path, value)) if _meet(f.path, path)]
            if wrong:
                message = f"{what} of the param `{name}` doesn't fit here: {wrong[0].message}"
                draft.add(code, (*prefix, *path), message)
                break


def _possible(param: Param | None) -> Iterator[tuple[Scalar, str, str]]:
    """Values that a param can have, what they are to it, and the code if they don't fit."""
    if param is None:
        return
    if param.default is not None:
        yield param.accept(param.default), "the default", "TG210"
    for choice in param.choices:
        yield param.accept(choice), "a choice", "TG210"
    for bound in (param.minimum, param.maximum):
        if bound is not None and param.kind in ("integer", "number"):
            value = int(bound) if param.kind == "integer" else bound
            yield value, "the range", "TG211"


def _with(data: Any, path: Path_, value: Any) -> Any:
    """The data with a value at a path."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(data, dict):
        return {**data, step: _with(data[step], rest, value)}
    return [_with(item, rest, value) if i == step else item for i, item in enumerate(data)]


def _meet(one: Path_, other: Path_) -> bool:
    length = min(len(one), len(other))
    return one[:length] == other[:length]


_KINDS = {"params": "param", "inputs": "input", "state": "state's field"}


def unused(draft: Draft) -> None:
    """Every param, input and field of the state is named somewhere."""
    if draft.source.broken:
        return
    named, output = _named(draft), draft.source.at(("output",))
    for section, code in (("params", "TG212"), ("inputs", "TG213"), ("state", "TG213")):
        for name in getattr(draft, section):
            if name not in named and name.isidentifier() and name != output:
                what = _KINDS[section]
                draft.add(code, (section, name), f"nothing uses the {what} `{name}`", key=True)


def _named(draft: Draft) -> set[str]:
    """The words in references, conditions and templates."""
    named = {name for _, name in _references(draft)}
    for edge in draft.edges.values():
        named |= set(re.findall(r"\w+", edge.when or ""))
    for node in draft.kinds.values():
        named |= node.consumes | node.produces
        for _, prompt in prompts_in(node):
            named = named.union(*(found.variables for _, found in meant(draft, prompt)))
    for name in draft.declared("nodes") - draft.kinds.keys():  # which can't be looked into
        named |= set(re.findall(r"\w+", str(draft.source.at(("nodes", name)))))
    return named
