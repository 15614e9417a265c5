"""Conditions: they parse, name what there is, and are true or false."""

from __future__ import annotations

from thinkgraph.graphs.checker.draft import Draft
from thinkgraph.graphs.language.condition import Condition, ConditionError, variable_types

CODES = {"syntax": "TG301", "name": "TG302", "type": "TG303", "truth": "TG304"}


def conditions(draft: Draft) -> None:
    """Every fault of every condition, at its place in the text."""
    types = dict.fromkeys(draft.fields, "any") | variable_types(draft.spec)
    for number, edge in draft.edges.items():
        if edge.when is None:
            continue
        path = (*draft.edge_path(number), "when")
        try:
            Condition(edge.when, types)
        except ConditionError as error:
            for fault in error.faults:
                place = draft.source.within(path, fault.line, fault.column, fault.length)
                draft.add_at(CODES[fault.kind], path, place, fault.message, fault.hint)
