"""Conditions: syntax errors, undefined or unset names, and types."""

from __future__ import annotations

from thinkgraph.graphs.checker.checks.control_flow import arrows, reached
from thinkgraph.graphs.checker.checks.data_flow import is_judgeable, writes, written_before
from thinkgraph.graphs.checker.context import CheckContext
from thinkgraph.graphs.language.condition import Condition, ConditionError, variable_types
from thinkgraph.graphs.language.words import Translation, tokens_of
from thinkgraph.nodes.registry import built_in_kinds

CODES = {"syntax": "TG301", "name": "TG302", "type": "TG303", "truth": "TG304"}


def conditions(context: CheckContext) -> None:
    """Every condition is valid; each error is reported at its location in the text."""
    types = dict.fromkeys(context.fields, "any") | variable_types(context.spec)
    for number, edge in context.edges.items():
        if edge.when is None:
            continue
        path = (*context.edge_path(number), "when")
        try:
            Condition(edge.when, types)
        except ConditionError as error:
            for issue in error.issues:
                location = context.source.locate_within(
                    path, issue.line, issue.column, issue.length
                )
                context.report_at(CODES[issue.kind], path, location, issue.message, issue.hint)


NEVER_SET = {
    "accepted": ("critiques", "false", "critique"),
    "answer": ("answer", "empty", "vote"),
    "passed": ("critiques", "false", "critique"),
    "score": ("score", "minus infinity", "score"),
}
"""By variable: the channel that sets it, its value until then, and a kind that sets it."""


def unset(context: CheckContext) -> None:
    """Every name in a condition has a value when the condition is evaluated."""
    if not is_judgeable(context):
        return
    written = written_before(context)
    back = arrows(context.links, back=True)
    bare = {name for name, field in context.state.items() if field.default is None}
    open_inputs = {name for name, given in context.inputs.items() if given.default is None}
    for number, edge in context.edges.items():
        if edge.when is None:
            continue
        ((source,), _), *_ = edge.links
        if source not in context.nodes:
            continue
        names = Translation(edge.when).names
        known = written[source] | writes(context, source)
        for name in sorted(names & bare - known):
            hint = "give it a default, or write it on every path to here"
            _report(context, number, name, ("TG305", f"`{name}` may have no value here", hint))
        for name in sorted(names & open_inputs):
            message = f"`{name}` has no value in a run that gives none"
            _report(context, number, name, ("TG306", message, "give it a default"))
        before = reached(source, back)
        for name in sorted(names & NEVER_SET.keys()):
            channel, until, kind = NEVER_SET[name]
            if not any(_may_set(context, each, channel) for each in before):
                message = f"`{name}` is always {until} here: no node before has set it"
                hint = f"add a node that sets it, such as one of kind `{kind}`"
                _report(context, number, name, ("TG306", message, hint))


def _report(context: CheckContext, number: int, name: str, problem: tuple[str, str, str]) -> None:
    """Report a problem of a name at its location in an edge's condition."""
    path = (*context.edge_path(number), "when")
    condition = context.edges[number].when or ""
    start = next(token.start for token in tokens_of(condition) if token.text == name)
    line = condition.count("\n", 0, start) + 1
    column = start - (condition.rfind("\n", 0, start) + 1) + 1
    location = context.source.locate_within(path, line, column, len(name))
    code, message, hint = problem
    context.report_at(code, path, location, message, hint)


def _may_set(context: CheckContext, node: str, channel: str) -> bool:
    """Whether a node may write the channel that a variable is read from."""
    kind = context.kinds.get(node)
    if kind is None or kind.kind not in built_in_kinds():
        return node in context.nodes
    if channel == "score":
        return kind.kind == "score"
    return channel in kind.channels_written
