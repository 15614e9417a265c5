"""Edges: unknown targets, duplicates, joins, and edges that can never be followed."""

from __future__ import annotations

from collections import defaultdict

from thinkgraph.graphs.checker.context import CheckContext, Link
from thinkgraph.graphs.language.problem import suggestion
from thinkgraph.graphs.language.spec import END, START, Edge


def targets(context: CheckContext) -> None:
    """Every name in a chain is a node, START or END."""
    for number, edge in context.edges.items():
        names = {name for sources, targets in edge.links for name in (*sources, *targets)}
        for name in sorted(names - context.targets):
            location = context.chain_location(number, name)
            hint = suggestion(name, context.targets)
            context.report_at("TG205", ("edges", number), location, f"unknown node `{name}`", hint)


def ends(context: CheckContext) -> None:
    """Nothing leads to START or away from END, and START leads somewhere."""
    for link in context.links:
        if link.target == START:
            _misplaced(context, link, START, "nothing leads to START", "a run begins there once")
        if link.source == END:
            _misplaced(context, link, END, "nothing leads away from END", "a run is over there")
        if START in link.sources and len(link.sources) > 1 and link.source == START:
            _misplaced(context, link, START, "START can't be joined with nodes", "give it an edge")
    if context.is_complete and START not in {link.source for link in context.links}:
        first = next(iter(context.nodes))
        hint = f"write `START -> {first}`"
        context.report("TG413", ("edges",), "no edge leads from START", hint, key=True)


def _misplaced(context: CheckContext, link: Link, name: str, message: str, hint: str) -> None:
    location = context.chain_location(link.edge, name)
    context.report_at("TG412", ("edges", link.edge), location, message, hint)


def starts(context: CheckContext) -> None:
    """No edge from START has a condition: there is no state yet to test."""
    for link in context.links:
        if link.source == START and context.edges[link.edge].is_conditional:
            location = context.chain_location(link.edge)
            message = "an edge from START is always followed"
            hint = "put the condition on an edge of the first node"
            context.report_at("TG410", ("edges", link.edge), location, message, hint)


def decisions(context: CheckContext) -> None:
    """A node with conditional edges has a fallback edge, and tries its conditional edges first."""
    for source, links in _from(context).items():
        edges = [context.edges[link.edge] for link in links]
        if source in (START, END) or not any(edge.is_conditional for edge in edges):
            continue
        if all(_may_fail(edge) for edge in edges) and context.is_complete:
            location = context.chain_location(links[-1].edge)
            message = f"`{source}` has no edge to follow if none of its conditions is true"
            hint = f"add an edge without a condition: `{source} -> END`"
            context.report_at("TG407", ("edges", links[-1].edge), location, message, hint)
        _untried(context, source, links)


def _may_fail(edge: Edge) -> bool:
    return edge.when is not None or edge.is_bounded


def _untried(context: CheckContext, source: str, links: list[Link]) -> None:
    always: Link | None = None
    for link in links:
        edge = context.edges[link.edge]
        if always is not None and edge.is_conditional:
            message = f"never followed: `{source} -> {always.target}` comes first"
            hint = "put edges with conditions before it"
            location = context.chain_location(link.edge)
            context.report_at("TG408", ("edges", link.edge), location, message, hint)
        elif not edge.is_conditional:
            always = always or link


def duplicates(context: CheckContext) -> None:
    """No two edges lead from the same node to the same node under the same condition."""
    seen: dict[tuple[object, ...], Link] = {}
    for link in context.links:
        edge = context.edges[link.edge]
        key = (link.source, link.target, link.sources, edge.when, edge.each)
        if key in seen:
            line = context.chain_location(seen[key].edge).line
            location = context.chain_location(link.edge, link.source)
            message = f"`{link.source} -> {link.target}` is a duplicate"
            hint = f"the first is on line {line}"
            context.report_at("TG409", ("edges", link.edge), location, message, hint)
        seen.setdefault(key, link)


def joins(context: CheckContext) -> None:
    """No node with conditional edges is part of a join, which waits for all of its sources."""
    deciding = {
        link.source for link in context.links if context.edges[link.edge].is_conditional
    } - {START}
    for link in context.links:
        if len(link.sources) > 1 and link.source in deciding:
            location = context.chain_location(link.edge, link.source)
            message = f"`{link.source}` has conditional edges, so this join may wait forever"
            hint = f"give `{link.source}` an edge of its own: `{link.source} -> {link.target}`"
            context.report_at("TG411", ("edges", link.edge), location, message, hint)


def lists(context: CheckContext) -> None:
    """An edge with ``each`` fans out over ``candidates``, or over a list field."""
    readable = context.inputs | context.state
    known = context.declared("inputs") | context.declared("state") | {"candidates"}
    for number, edge in context.edges.items():
        if edge.each is None or edge.each == "candidates":
            continue
        path = (*context.edge_path(number), "each")
        declared = readable.get(edge.each)
        if edge.each not in known:
            hint = suggestion(edge.each, known)
            context.report("TG206", path, f"the state has no field `{edge.each}`", hint)
        elif declared is not None and declared.type != "list":
            message = f"`{edge.each}` is a {declared.type}, and `each` needs a list"
            context.report("TG215", path, message, "declare it as `{type: list}`")


def _from(context: CheckContext) -> dict[str, list[Link]]:
    found: dict[str, list[Link]] = defaultdict(list)
    for link in context.links:
        found[link.source].append(link)
    return found
