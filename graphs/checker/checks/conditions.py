"""Type checks of conditions: they parse, their names are defined, they give a boolean."""

from __future__ import annotations

from thinkgraph.graphs.checker.context import CheckContext
from thinkgraph.graphs.language.condition import Condition, ConditionError, variable_types

CODES = {"syntax": "TG301", "name": "TG302", "type": "TG303", "truth": "TG304"}


def conditions(context: CheckContext) -> None:
    """Every violation of every condition, at its place in the text."""
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
