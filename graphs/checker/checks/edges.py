"""Edges: they join nodes that there are, and each of them can be followed."""

from __future__ import annotations

from collections import defaultdict

from thinkgraph.graphs.checker.draft import Draft, Link
from thinkgraph.graphs.language.problem import suggestion
from thinkgraph.graphs.language.spec import END, START, Edge


def targets(draft: Draft) -> None:
    """Every name in a chain is a node, START or END."""
    for number, edge in draft.edges.items():
        names = {name for sources, targets in edge.links for name in (*sources, *targets)}
        for name in sorted(names - draft.targets):
            place = draft.chain_place(number, name)
            hint = suggestion(name, draft.targets)
            draft.add_at("TG205", ("edges", number), place, f"there is no node `{name}`", hint)


def ends(draft: Draft) -> None:
    """Nothing leads to START or away from END, and START leads somewhere."""
    for link in draft.links:
        if link.target == START:
            _misplaced(draft, link, START, "nothing leads to START", "a run begins there once")
        if link.source == END:
            _misplaced(draft, link, END, "nothing leads away from END", "a run is over there")
        if START in link.sources and len(link.sources) > 1 and link.source == START:
            _misplaced(draft, link, START, "START can't be joined with nodes", "give it an edge")
    if draft.is_whole and START not in {link.source for link in draft.links}:
        first = next(iter(draft.nodes))
        hint = f"write `START -> {first}`"
        draft.add("TG413", ("edges",), "no edge leads from START", hint, key=True)


def _misplaced(draft: Draft, link: Link, name: str, message: str, hint: str) -> None:
    place = draft.chain_place(link.edge, name)
    draft.add_at("TG412", ("edges", link.edge), place, message, hint)


def starts(draft: Draft) -> None:
    """No condition stands on an edge from START: there is no state yet to judge."""
    for link in draft.links:
        if link.source == START and draft.edges[link.edge].is_conditional:
            place = draft.chain_place(link.edge)
            message = "an edge from START is always followed"
            hint = "put the condition on an edge of the first node"
            draft.add_at("TG410", ("edges", link.edge), place, message, hint)


def decisions(draft: Draft) -> None:
    """A node that decides has a way on when no condition holds, and tries every edge."""
    for source, links in _from(draft).items():
        edges = [draft.edges[link.edge] for link in links]
        if source in (START, END) or not any(edge.is_conditional for edge in edges):
            continue
        if all(_may_fail(edge) for edge in edges) and draft.is_whole:
            place = draft.chain_place(links[-1].edge)
            message = f"`{source}` has no way on where none of its conditions holds"
            hint = f"add an edge without a condition: `{source} -> END`"
            draft.add_at("TG407", ("edges", links[-1].edge), place, message, hint)
        _untried(draft, source, links)


def _may_fail(edge: Edge) -> bool:
    return edge.when is not None or edge.at_most is not None


def _untried(draft: Draft, source: str, links: list[Link]) -> None:
    always: Link | None = None
    for link in links:
        edge = draft.edges[link.edge]
        if always is not None and edge.is_conditional:
            message = f"`{source}` never gets here: the edge to `{always.target}` is followed first"
            hint = "put the edges with conditions before it"
            place = draft.chain_place(link.edge)
            draft.add_at("TG408", ("edges", link.edge), place, message, hint)
        elif not edge.is_conditional:
            always = always or link


def twins(draft: Draft) -> None:
    """No two edges lead from the same node to the same node under the same condition."""
    seen: dict[tuple[str, str, tuple[str, ...], str | None], Link] = {}
    for link in draft.links:
        key = (link.source, link.target, link.sources, draft.edges[link.edge].when)
        if key in seen:
            line = draft.chain_place(seen[key].edge).line
            place = draft.chain_place(link.edge, link.source)
            message = f"`{link.source} -> {link.target}` is here for the second time"
            hint = f"the first is in line {line}"
            draft.add_at("TG409", ("edges", link.edge), place, message, hint)
        seen.setdefault(key, link)


def joins(draft: Draft) -> None:
    """No node that decides where to go is part of a join, which waits for all of its nodes."""
    deciding = {link.source for link in draft.links if draft.edges[link.edge].is_conditional} - {
        START
    }
    for link in draft.links:
        if len(link.sources) > 1 and link.source in deciding:
            place = draft.chain_place(link.edge, link.source)
            message = f"`{link.source}` decides where to go, so this join may wait for ever"
            hint = f"give `{link.source}` an edge of its own: `{link.source} -> {link.target}`"
            draft.add_at("TG411", ("edges", link.edge), place, message, hint)


def _from(draft: Draft) -> dict[str, list[Link]]:
    found: dict[str, list[Link]] = defaultdict(list)
    for link in draft.links:
        found[link.source].append(link)
    return found
