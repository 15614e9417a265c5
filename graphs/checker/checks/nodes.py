"""Nodes: their kinds, their settings and their names."""

from __future__ import annotations

from thinkgraph.graphs.checker.draft import Draft
from thinkgraph.graphs.checker.schema_errors import faults
from thinkgraph.graphs.language.problem import suggestion
from thinkgraph.graphs.language.spec import CHANNELS, END, START, NodeSpec
from thinkgraph.nodes.registry import node_kinds

TAKEN = {name.lower() for name in (START, END, "conclude")}
"""Names that a compiled graph gives to nodes of its own."""


def kinds(draft: Draft) -> None:
    """Every node has a kind that there is."""
    for name, node in draft.nodes.items():
        if node.kind is not None and node.kind not in node_kinds():
            hint = suggestion(node.kind, node_kinds())
            path = ("nodes", name, "kind")
            draft.add("TG201", path, f"there is no kind of node `{node.kind}`", hint)


def settings(draft: Draft) -> None:
    """Every kind accepts the settings of its node."""
    for name, node in draft.nodes.items():
        kind = node_kinds().get(node.kind or "")
        if kind is None:
            continue
        names = [*kind.model_fields, "kind", "budget"]
        for fault in faults(kind, node.settings):
            said = fault
            if fault.code == "TG101" and len(fault.path) == 1:
                setting = str(fault.path[0])
                message = f"{node.kind} has no setting `{setting}`"
                said = fault._replace(message=message, hint=suggestion(setting, names))
            draft.report(said, ("nodes", name))


def uses(draft: Draft) -> None:
    """A node that uses a graph has no settings beside its params."""
    for name, node in draft.nodes.items():
        if node.use is None:
            continue
        for setting in node.settings:
            path = ("nodes", name, setting)
            hint = suggestion(setting, ["use", *NodeSpec.model_fields])
            if setting not in NodeSpec.model_fields and "did you mean" not in hint:
                hint = f"params of the used graph go under `params`: {{{setting}: …}}"
            draft.add("TG101", path, f"a node that uses a graph has no `{setting}`", hint, key=True)


def names(draft: Draft) -> None:
    """No node has the name of a channel, of a field, or of what a compiled graph adds."""
    for name in draft.declared("nodes"):
        if name in CHANNELS | draft.declared("inputs") | draft.declared("state"):
            what = "a channel of the state"
        elif name.lower() in TAKEN:
            what = "a place that every graph has"
        else:
            continue
        draft.add("TG207", ("nodes", name), f"`{name}` is {what}", "choose another name", key=True)
