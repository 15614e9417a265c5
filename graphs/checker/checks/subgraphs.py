"""Subgraphs: they exist, don't use themselves, and accept their params."""

from __future__ import annotations

from thinkgraph.graphs.catalogue import GraphNotFound, find_used
from thinkgraph.graphs.checker.context import CheckContext
from thinkgraph.graphs.language.document import Document
from thinkgraph.graphs.language.problem import suggestion
from thinkgraph.graphs.language.spec import ITEM, Param, Scalar, Use
from thinkgraph.nodes.base.param import is_reference

MAX_SUBGRAPHS = 64
"""Maximum number of graphs that one may use, directly or through others."""


def used(context: CheckContext) -> dict[str, Document]:
    """The graphs that a spec's nodes use, by the name in ``use``; unknown ones are reported."""
    found: dict[str, Document] = {}
    for name, node in context.nodes.items():
        use = node.used
        if use is None or use.graph in found:
            continue
        try:
            found[use.graph] = Document.read(find_used(use.graph, context.source.folder))
        except GraphNotFound as error:
            message, _, hint = str(error).partition("; ")
            path = ("nodes", name, "use", *(() if node.shares_fields else ("graph",)))
            context.report("TG501", path, message, hint)
    return found


def params(context: CheckContext, graphs: dict[str, CheckContext]) -> None:
    """The params that a node sets exist in the used graph, are valid, and none is missing."""
    for name, node in context.nodes.items():
        use = node.used
        inner = graphs.get(use.graph) if use else None
        if use is None or inner is None:
            continue
        for param, value in use.params.items():
            _given(context, name, inner, param, value)
        for param, declared in inner.params.items():
            if declared.default is None and param not in use.params:
                message = f"the graph `{use.graph}` needs its param `{param}`"
                hint = f"write `params: {{{param}: …}}`"
                context.report("TG505", ("nodes", name), message, hint, key=True)
        if not node.shares_fields:
            _inputs(context, name, use, inner)
            _into(context, name, use, inner)


def _inputs(context: CheckContext, name: str, use: Use, inner: CheckContext) -> None:
    """The names in ``inputs`` are inputs of the used graph, and get values of their types."""
    known = inner.declared("inputs") | {"question"}
    for theirs, ours in use.inputs.items():
        path = ("nodes", name, "use", "inputs", theirs)
        if theirs not in known:
            message = f"the graph `{use.graph}` has no input `{theirs}`"
            context.report("TG507", path, message, suggestion(theirs, known), key=True)
            continue
        declared = inner.inputs.get(theirs)
        wanted = declared.type if declared else "string"
        found = _type(context, ours)
        if found and found != wanted:
            message = f"`{theirs}` is a {wanted}, and `{ours}` is a {found}"
            context.report("TG508", path, message)


def _into(context: CheckContext, name: str, use: Use, inner: CheckContext) -> None:
    """The values that ``into`` takes exist in the used graph, and fit the fields that take them."""
    if use.into is None:
        if use.asks_anew:
            message = "candidates that answer another question would join this graph's"
            hint = "write their answer to a field of the state: `into: {FIELD: answer}`"
            context.report("TG509", ("nodes", name, "use"), message, hint)
        return
    own = {"answer": "string", "text": "string", "candidates": "list"}
    for ours, theirs in use.into.items():
        path = ("nodes", name, "use", "into", ours)
        if theirs not in inner.declared("state") | own.keys():
            message = f"the graph `{use.graph}` has no `{theirs}` to bring back"
            hint = suggestion(theirs, inner.declared("state") | own.keys())
            context.report("TG507", path, message, hint)
            continue
        if ours == "candidates":
            if theirs != "candidates":
                message = f"`candidates` takes the candidates, not `{theirs}`"
                context.report("TG508", path, message, "write `candidates: candidates`")
            elif use.asks_anew:
                message = "candidates that answer another question would join this graph's"
                hint = "write their answer to a field of the state: `into: {FIELD: answer}`"
                context.report("TG509", path, message, hint)
            continue
        declared = context.state.get(ours)
        kind = inner.state[theirs].type if theirs in inner.state else own.get(theirs)
        if declared is None or kind is None or context.source.at(("state", ours, "type")) is None:
            continue
        appended = (declared.type, declared.reducer) == ("list", "append")
        if declared.type != kind and not appended:
            message = f"`{ours}` is a {declared.type}, and `{theirs}` is a {kind}"
            context.report("TG508", path, message, f"declare it as `{{type: {kind}}}`")


def _type(context: CheckContext, name: str) -> str | None:
    """The type of a value that a used graph may be given; None if unknown."""
    if is_reference(name):
        param = context.params.get(name[1:])
        return param.kind if param else None
    if name in ("question", "answer"):
        return "string"
    declared = (context.inputs | context.state).get(name)
    section = "inputs" if name in context.inputs else "state"
    said = context.source.at((section, name, "type")) is not None
    return declared.type if declared and said else None


def names(context: CheckContext) -> None:
    """The fields that ``inputs`` reads and ``into`` writes are declared in the spec."""
    for name, node in context.nodes.items():
        if node.used is None or node.shares_fields:
            continue
        readable = context.declared("inputs") | context.declared("state") | {"question", "answer"}
        readable |= {ITEM} if name in context.fanned else set()
        for theirs, ours in node.used.inputs.items():
            if not is_reference(ours) and ours not in readable:
                path = ("nodes", name, "use", "inputs", theirs)
                hint = suggestion(ours, readable)
                context.report("TG206", path, f"the state has no field `{ours}`", hint)
        writable = context.declared("state") | {"candidates"}
        for ours in node.used.into or {}:
            if ours not in writable:
                hint = suggestion(ours, context.declared("state"))
                hint = hint or f"declare it: `state: {{{ours}: {{}}}}`"
                path = ("nodes", name, "use", "into", ours)
                context.report("TG206", path, f"the state has no field `{ours}`", hint, key=True)


def _given(
    context: CheckContext, name: str, inner: CheckContext, param: str, value: object
) -> None:
    node = context.nodes[name]
    path = ("nodes", name, *(() if node.shares_fields else ("use",)), "params", param)
    if param not in inner.declared("params"):
        hint = suggestion(param, inner.declared("params"))
        graph = node.used.graph if node.used else ""
        message = f"the graph `{graph}` has no param `{param}`"
        context.report("TG503", path, message, hint, key=True)
    elif param in inner.params:
        for possible in _possible(context, value):
            try:
                inner.params[param].accept(possible)
            except ValueError as error:
                context.report("TG504", path, f"the param `{param}`: {error}")
                return


def _possible(context: CheckContext, value: object) -> list[Scalar | object]:
    """The value itself, or the possible values of the param that it refers to."""
    if not is_reference(value):
        return [value]
    param: Param | None = context.params.get(str(value)[1:])
    if param is None:
        return []
    return [known for known in (param.default, *param.choices, *param.fit) if known is not None]
