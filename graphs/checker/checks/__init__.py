"""The checks, one concern per file; each reports to the context that it gets."""

from collections.abc import Callable

from thinkgraph.graphs.checker.checks import (
    conditions,
    control_flow,
    data_flow,
    edges,
    fields,
    last_vote,
    meetings,
    nodes,
    prompts,
    subgraphs,
)
from thinkgraph.graphs.checker.context import CheckContext

CHECKS: tuple[Callable[[CheckContext], None], ...] = (
    nodes.kinds,
    nodes.settings,
    nodes.constraints,
    nodes.uses,
    nodes.names,
    nodes.hosted,
    nodes.verifiers_fields,
    fields.names,
    fields.output,
    fields.channels,
    fields.types,
    fields.reducers,
    fields.references,
    fields.values,
    fields.unused,
    subgraphs.names,
    prompts.variables,
    prompts.types,
    conditions.conditions,
    conditions.unset,
    edges.targets,
    edges.ends,
    edges.starts,
    edges.decisions,
    edges.duplicates,
    edges.joins,
    edges.lists,
    meetings.joins,
    meetings.lengths,
    control_flow.paths,
    control_flow.loops,
    data_flow.use_before_write,
    data_flow.races,
    data_flow.votes,
    data_flow.stops,
    data_flow.fallbacks,
    last_vote.last_votes,
)
"""All checks of a spec by itself; those of the graphs that it uses are separate."""
