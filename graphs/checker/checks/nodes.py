"""Nodes: unknown kinds, invalid settings and reserved names."""

from __future__ import annotations

from pydantic import ValidationError

from thinkgraph.graphs.checker.context import CheckContext
from thinkgraph.graphs.checker.schema_errors import violations
from thinkgraph.graphs.language.problem import suggestion
from thinkgraph.graphs.language.spec import CHANNELS, END, START, NodeSpec
from thinkgraph.models.engine.sampling.grammar import check_constraint
from thinkgraph.models.errors import ModelError
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.base.sampling_node import SamplingNode
from thinkgraph.nodes.judging.verifying import FIELDS
from thinkgraph.nodes.registry import node_kinds

CONSTRAINTS = ("grammar", "json_schema", "tagged", "constrain_after", "tagged_required")

MEANT = {"n": "samples", "max_new_tokens": "max_tokens", "max_length": "max_tokens"}
"""Names of settings in other programs, with ours."""

TAKEN = {name.lower() for name in (START, END, "conclude")}
"""Names of the nodes that a compiled graph adds, in lower case."""


def kinds(context: CheckContext) -> None:
    """Every node has a known kind."""
    for name, node in context.nodes.items():
        if node.kind is not None and node.kind not in node_kinds():
            hint = suggestion(node.kind, node_kinds())
            path = ("nodes", name, "kind")
            context.report("TG201", path, f"unknown node kind `{node.kind}`", hint)


def settings(context: CheckContext) -> None:
    """Every kind accepts the settings of its node."""
    for name, node in context.nodes.items():
        kind = node_kinds().get(node.kind or "")
        if kind is None:
            continue
        names = [*kind.model_fields, "kind", "budget", "retry", "fallback"]
        for violation in violations(kind, node.settings):
            said = violation
            if violation.code == "TG101" and len(violation.path) == 1:
                setting = str(violation.path[0])
                message = f"{node.kind} has no setting `{setting}`"
                hint = suggestion(MEANT.get(setting, setting), names) or _own_settings(kind)
                said = violation._replace(message=message, hint=hint)
            context.report_violation(said, ("nodes", name))


def _own_settings(kind: type[Node]) -> str:
    """A hint with the settings that are specific to a kind."""
    shared = {*Node.model_fields, *SamplingNode.model_fields}
    own = sorted(kind.model_fields.keys() - shared)
    return f"its own settings are {', '.join(own)}" if own else ""


def constraints(context: CheckContext) -> None:
    """Every grammar and JSON schema that constrains a node's text can be enforced."""
    for name, node in context.kinds.items():
        bound = by_default(context, node)
        if not isinstance(bound, SamplingNode):
            continue
        try:
            check_constraint(bound.sampling)
        except ModelError as error:
            settings = [s for s in CONSTRAINTS if context.source.at(("nodes", name, s)) is not None]
            message, _, hint = str(error).partition("; ")
            context.report("TG112", ("nodes", name, *settings[:1]), message, hint)


def by_default(context: CheckContext, node: Node) -> Node | None:
    """A node with references replaced by the params' defaults; None if these are invalid."""
    try:
        return node.bound({name: param.default for name, param in context.params.items()})
    except (KeyError, ValidationError):
        return None


def hosted(context: CheckContext) -> None:
    """The tools and verifiers that a node names are among the given ones, if any are given."""
    for name, node in context.kinds.items():
        bound = by_default(context, node)
        if bound is None:
            continue
        wanted = {"tool": bound.tools_wanted, "verifier": bound.verifiers_wanted}
        known = {"tool": context.tools, "verifier": context.verifiers}
        for what, names in wanted.items():
            for each in names:
                have = known[what]
                if have is not None and each not in have:
                    message = f"{node.kind} needs the {what} `{each}`, which is not bound"
                    context.report("TG601", ("nodes", name), message, suggestion(each, have))


def verifiers_fields(context: CheckContext) -> None:
    """The spec declares the field that a built-in verifier needs."""
    declared = context.declared("inputs") | context.declared("state")
    for name, node in context.kinds.items():
        verifier = getattr(by_default(context, node), "verifier", "")
        field = FIELDS.get(verifier, "")
        if field and field not in declared and verifier not in (context.verifiers or ()):
            message = f"the verifier `{verifier}` needs an input or state field `{field}`"
            hint = f"declare it: `inputs: {{{field}: {{type: string}}}}`"
            context.report("TG206", ("nodes", name, "verifier"), message, hint)


def uses(context: CheckContext) -> None:
    """A node that uses a graph has no settings of a kind."""
    for name, node in context.nodes.items():
        if node.used is None:
            continue
        for setting in node.settings:
            path = ("nodes", name, setting)
            hint = suggestion(setting, ["use", *NodeSpec.model_fields])
            if setting not in NodeSpec.model_fields and "did you mean" not in hint:
                hint = f"params of the used graph go under `params`: {{{setting}: …}}"
            context.report(
                "TG101", path, f"a node with `use` has no setting `{setting}`", hint, key=True
            )


def names(context: CheckContext) -> None:
    """No node has the name of a channel, a field, or a node that a compiled graph adds."""
    for name in context.declared("nodes"):
        if name in CHANNELS | context.declared("inputs") | context.declared("state"):
            what = "a channel of the state"
        elif name.lower() in TAKEN:
            what = "a reserved name"
        else:
            continue
        context.report(
            "TG207", ("nodes", name), f"`{name}` is {what}", "choose another name", key=True
        )
