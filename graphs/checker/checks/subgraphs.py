"""Subgraphs: they exist, don't use themselves, and accept their params."""

from __future__ import annotations

from thinkgraph.graphs.catalogue import GraphNotFound, find_used
from thinkgraph.graphs.checker.context import CheckContext
from thinkgraph.graphs.language.document import Document
from thinkgraph.graphs.language.problem import suggestion
from thinkgraph.graphs.language.spec import Param, Scalar
from thinkgraph.nodes.base.param import is_reference

MAX_SUBGRAPHS = 64
"""How many graphs one may use, those of the used ones included."""


def used(context: CheckContext) -> dict[str, Document]:
    """The graphs that a spec's nodes use, by what they call them; unknown ones are reported."""
    found: dict[str, Document] = {}
    for name, node in context.nodes.items():
        if node.use is None or node.use in found:
            continue
        try:
            found[node.use] = Document.read(find_used(node.use, context.source.folder))
        except GraphNotFound as error:
            message, _, hint = str(error).partition("; ")
            context.report("TG501", ("nodes", name, "use"), message, hint)
    return found


def params(context: CheckContext, graphs: dict[str, CheckContext]) -> None:
    """Every param that a node gives to the graph it uses is one of its, with a value it takes."""
    for name, node in context.nodes.items():
        inner = graphs.get(node.use or "")
        if inner is None:
            continue
        for param, value in (node.params or {}).items():
            _given(context, name, inner, param, value)
        for param, declared in inner.params.items():
            if declared.default is None and param not in (node.params or {}):
                message = f"the graph `{node.use}` needs its param `{param}`"
                hint = f"write `params: {{{param}: …}}`"
                context.report("TG505", ("nodes", name), message, hint, key=True)


def _given(
    context: CheckContext, name: str, inner: CheckContext, param: str, value: object
) -> None:
    path = ("nodes", name, "params", param)
    if param not in inner.declared("params"):
        hint = suggestion(param, inner.declared("params"))
        message = f"the graph `{context.nodes[name].use}` has no param `{param}`"
        context.report("TG503", path, message, hint, key=True)
    elif param in inner.params:
        for possible in _possible(context, value):
            try:
                inner.params[param].accept(possible)
            except ValueError as error:
                context.report("TG504", path, f"the param `{param}`: {error}")
                return


def _possible(context: CheckContext, value: object) -> list[Scalar | object]:
    """What a value is, or what the param that it refers to may be."""
    if not is_reference(value):
        return [value]
    param: Param | None = context.params.get(str(value)[1:])
    if param is None:
        return []
    return [known for known in (param.default, *param.choices) if known is not None]
