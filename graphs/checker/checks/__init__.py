"""What the checker looks at, one concern a file; each check reports to the draft it is given."""

from collections.abc import Callable

from thinkgraph.graphs.checker.checks import conditions, data, edges, fields, flow, nodes, prompts
from thinkgraph.graphs.checker.draft import Draft

CHECKS: tuple[Callable[[Draft], None], ...] = (
    nodes.kinds,
    nodes.settings,
    nodes.uses,
    nodes.names,
    fields.names,
    fields.output,
    fields.channels,
    fields.references,
    fields.values,
    fields.unused,
    prompts.variables,
    conditions.conditions,
    edges.targets,
    edges.ends,
    edges.starts,
    edges.decisions,
    edges.twins,
    edges.joins,
    flow.paths,
    flow.loops,
    data.too_early,
    data.races,
    data.votes,
    data.stops,
)
"""Every check of one spec by itself; those of the graphs it uses come on top."""
