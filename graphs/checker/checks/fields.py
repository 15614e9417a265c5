"""Params, inputs and state: their names, references to them, and their values' types."""

from __future__ import annotations

import keyword
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel

from thinkgraph.graphs.checker.checks.prompts import resolved_prompts
from thinkgraph.graphs.checker.context import CheckContext
from thinkgraph.graphs.checker.schema_errors import violations
from thinkgraph.graphs.language.condition import VARIABLES
from thinkgraph.graphs.language.document import DataPath
from thinkgraph.graphs.language.problem import suggestion
from thinkgraph.graphs.language.spec import (
    CHANNELS,
    REDUCED,
    RUN_SETTINGS,
    Edge,
    Limits,
    Param,
    Scalar,
)
from thinkgraph.models.engine.sampling.grammar import check_constraint
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Sampling
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.base.param import is_reference
from thinkgraph.nodes.base.param import references as references_in
from thinkgraph.nodes.prompts.prompt import prompts_in
from thinkgraph.nodes.registry import node_kinds

CEL_WORDS = frozenset(
    {
        *("as", "break", "const", "continue", "else", "false", "for", "function", "if", "import"),
        *("in", "let", "loop", "namespace", "null", "package", "return", "true", "var", "void"),
        "while",
    }
)
"""Reserved words of CEL, which can't name a variable (language definition, "Syntax")."""


def names(context: CheckContext) -> None:
    """No field has a reserved name or the name of another field."""
    seen: set[str] = set()
    for section in ("params", "inputs", "state"):
        for name in sorted(context.declared(section)):
            what = _taken(name, section)
            if name in seen:
                what = "the name of another param, input or state field"
            seen.add(name)
            if what:
                hint = "choose another name"
                context.report("TG208", (section, name), f"`{name}` is {what}", hint, key=True)


def _taken(name: str, section: str) -> str:
    if section != "state" and name in RUN_SETTINGS:
        return "an argument of every run"
    if name in CHANNELS:
        return "a built-in channel"
    if name in VARIABLES or name == "round":
        return "a built-in variable of conditions"
    if name in CEL_WORDS or keyword.iskeyword(name):
        return "a reserved word of CEL or Python"
    return ""


def output(context: CheckContext) -> None:
    """The output is a channel of the state."""
    name, path = context.output, context.output_path
    known = CHANNELS | context.declared("state")
    if name not in known:
        hint = suggestion(name, context.declared("state") | {"answer", "candidates", "critiques"})
        context.report("TG206", path, f"unknown channel `{name}`", hint)
    schema = context.source.at(("output", "json_schema"))
    if not isinstance(schema, dict):
        return
    if name in CHANNELS - {"answer"}:
        hint = "the answer and the fields under `state` can have one"
        context.report("TG217", path, f"the channel `{name}` can't have a JSON schema", hint)
    try:
        check_constraint(Sampling(json_schema=schema))
    except ModelError as error:
        message, _, hint = str(error).partition("; ")
        context.report("TG112", ("output", "json_schema"), message, hint)


def channels(context: CheckContext) -> None:
    """The fields that nodes read and write are declared in the spec."""
    state = context.declared("state")
    readable = state | context.declared("inputs")
    for name, node in context.kinds.items():
        for settings, known in ((node.input_settings, readable), (node.output_settings, state)):
            for setting in settings:
                field = getattr(node, setting, None)
                if isinstance(field, str) and not is_reference(field) and field not in known:
                    message = f"the state has no field `{field}`"
                    hint = suggestion(field, known) or f"declare it: `state: {{{field}: {{}}}}`"
                    context.report("TG206", ("nodes", name, setting), message, hint)


def types(context: CheckContext) -> None:
    """A field that declares its type can hold what its nodes write there."""
    for name, node in context.kinds.items():
        for field, kind in node.field_types.items():
            declared = context.state.get(field)
            if declared is None or context.source.at(("state", field, "type")) is None:
                continue
            appended = declared.type == "list" and declared.reducer == "append"
            if declared.type != kind and not appended:
                a = "a list" if kind == "list" else "a text"
                message = f"`{name}` needs {a} in `{field}`, and its type is {declared.type}"
                hint = f"declare it as `{{type: {kind}}}`"
                context.report("TG215", ("state", field, "type"), message, hint)


def reducers(context: CheckContext) -> None:
    """A field's reducer can combine values of its type, or of what its nodes write."""
    for name, declared in context.state.items():
        possible = REDUCED.get(declared.reducer)
        if possible is None:
            continue
        if context.source.at(("state", name, "type")) is not None:
            kinds: set[str] = {declared.type}
        elif declared.reducer == "append":
            continue  # any value is an item
        else:
            written = (node.field_types.get(name) for node in context.kinds.values())
            kinds = {kind for kind in written if kind}
        for kind in sorted(kinds - possible):
            message = f"`{declared.reducer}` can't combine two values of type {kind}"
            hint = f"it takes {' or '.join(sorted(possible))}"
            context.report("TG218", ("state", name, "reducer"), message, hint)


def references(context: CheckContext) -> None:
    """Every ``$name`` refers to a param, in a place where references are allowed."""
    for path, name in _references(context):
        if name not in context.declared("params"):
            hint = suggestion(name, context.declared("params"))
            context.report("TG202", path, f"unknown param `{name}`", hint)


def _references(context: CheckContext) -> Iterator[tuple[DataPath, str]]:
    """The path of each reference to a param, and the param's name."""
    for name, node in context.nodes.items():
        data = node.settings | ({"params": node.params} if node.params else {})
        yield from references_in(data, ("nodes", name))
        if node.used is not None and not node.shares_fields:
            given = {"params": node.used.params, "inputs": node.used.inputs}
            yield from references_in(given, ("nodes", name, "use"))
    for path, limits in context.limits:
        yield from references_in(limits, path)
    for number, edge in context.edges.items():
        if is_reference(edge.bound):
            yield (*context.edge_path(number), _bound(edge)), str(edge.bound)[1:]


def _bound(edge: Edge) -> str:
    """The field that bounds an edge."""
    return "at_most" if edge.repeat is None else "repeat"


def values(context: CheckContext) -> None:
    """Every possible value of a param is valid in the settings that refer to it."""
    for name, node in context.nodes.items():
        if name in context.kinds:
            kind = node_kinds()[str(node.kind)]
            _tried(context, kind, node.settings, ("nodes", name))
    for path, limits in context.limits:
        _tried(context, Limits, limits, path)
    for number, edge in context.edges.items():
        if is_reference(edge.bound):
            data = {"path": edge.path, _bound(edge): str(edge.bound)}
            _tried(context, Edge, data, context.edge_path(number))


def _tried(
    context: CheckContext, model: type[BaseModel], data: dict[str, Any], prefix: DataPath
) -> None:
    """Validate the data with each possible value of the params that it refers to."""
    for path, name in references_in(data, ()):
        for value, what, code in _possible(context.params.get(name)):
            wrong = [f for f in violations(model, _with(data, path, value)) if _meet(f.path, path)]
            if wrong:
                message = f"{what} of the param `{name}` is not valid here: {wrong[0].message}"
                context.report(code, (*prefix, *path), message)
                break


def _possible(param: Param | None) -> Iterator[tuple[Scalar, str, str]]:
    """Values that a param can have, the role of each, and the code to report if it is invalid."""
    if param is None:
        return
    if param.default is not None:
        yield param.accept(param.default), "the default", "TG210"
    for choice in param.choices:
        yield param.accept(choice), "a choice", "TG210"
    for value in param.fit:
        yield param.accept(value), "a value to fit", "TG210"
    for bound in (param.minimum, param.maximum):
        if bound is not None and param.kind in ("integer", "number"):
            value = int(bound) if param.kind == "integer" else bound
            yield value, "the range", "TG211"


def _with(data: Any, path: DataPath, value: Any) -> Any:
    """The data with a value at a path."""
    if not path:
        return value
    step, rest = path[0], path[1:]
    if isinstance(data, dict):
        return {**data, step: _with(data[step], rest, value)}
    return [_with(item, rest, value) if i == step else item for i, item in enumerate(data)]


def _meet(one: DataPath, other: DataPath) -> bool:
    length = min(len(one), len(other))
    return one[:length] == other[:length]


def _is_whole(context: CheckContext, name: str, node: Node) -> bool:
    """Whether all settings of a node are accepted."""
    return node.model_fields_set == context.nodes[name].settings.keys()


_KINDS = {"params": "param", "inputs": "input", "state": "state's field"}


def unused(context: CheckContext) -> None:
    """Every param, input and field of the state is used somewhere."""
    if context.source.broken:
        return
    named, output = _named(context), context.output
    for section, code in (("params", "TG212"), ("inputs", "TG213"), ("state", "TG213")):
        for name in getattr(context, section):
            if name not in named and name.isidentifier() and name != output:
                what = _KINDS[section]
                context.report(code, (section, name), f"unused {what} `{name}`", key=True)


def _named(context: CheckContext) -> set[str]:
    """All names in references, conditions, templates, and channels of nodes."""
    named = {name for _, name in _references(context)}
    for edge in context.edges.values():
        named |= set(re.findall(r"\w+", edge.when or "")) | {edge.each or ""}
    for node in context.kinds.values():
        named |= node.channels_read | node.channels_written
        for _, prompt in prompts_in(node):
            named = named.union(
                *(found.variables for _, found in resolved_prompts(context, prompt))
            )
    whole = {name for name, node in context.kinds.items() if _is_whole(context, name, node)}
    for name in context.declared("nodes") - whole:  # nodes with invalid parts
        named |= set(re.findall(r"\w+", str(context.source.at(("nodes", name)))))
    return named
