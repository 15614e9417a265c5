"""Implicit votes: at the end of a run with several candidates and no node that decides."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from thinkgraph.graphs.checker.checks.control_flow import arrows
from thinkgraph.graphs.checker.checks.data_flow import (
    MERGING,
    POPULATION,
    SETTLING,
    is_judgeable,
    pairs,
    writes,
)
from thinkgraph.graphs.checker.checks.nodes import by_default
from thinkgraph.graphs.checker.context import CheckContext, Link
from thinkgraph.graphs.language.spec import END
from thinkgraph.nodes.base.cost import PopulationBounds
from thinkgraph.nodes.base.node import Node

SEVERAL = 2
"""Number of candidates from which on a population counts as several."""


def last_votes(context: CheckContext) -> None:
    """A graph whose runs end with several candidates has a node that decides the answer."""
    if not is_judgeable(context) or context.output != "answer":
        return
    if any(found.severity == "error" for found in context.found):
        return  # reported first, as they may be the cause
    left = _left(context)
    ends = [link for link in context.links if link.target == END and link.source in left]
    open_ends = [link for link in ends if not _answers(context, link.source)]
    several = {link.source for link in open_ends if left[link.source] >= SEVERAL}
    writing = [e.source for e in open_ends if "candidates" in writes(context, e.source)]
    together = set().union(*pairs(context, writing)) if len(writing) > 1 else set[str]()
    for link in open_ends:
        if link.source in several | together:
            _tell(context, link, open_ends if together else [link])
            return


def _tell(context: CheckContext, link: Link, ends: Iterable[Link]) -> None:
    sources = list(dict.fromkeys(end.source for end in ends))
    before = sources[0] if len(sources) == 1 else f"[{', '.join(sources)}]"
    name = "vote"
    while name in context.declared("nodes"):
        name = f"last-{name}"
    message = f"the run ends after `{link.source}` with several candidates, and votes unasked"
    hint = f"write the vote: `{name}: {{kind: vote}}` and `{before} -> {name} -> END`"
    context.report_at(
        "TG415", ("edges", link.edge), context.chain_location(link.edge, link.source), message, hint
    )


def _answers(context: CheckContext, name: str) -> bool:
    """Whether, on all paths up to a node, an answer is written after the last candidates."""
    before, waiting = {name}, [name]
    back = arrows(context.links, back=True)
    while waiting:
        at = waiting.pop()
        written = writes(context, at)
        if "answer" in written:
            continue
        if "candidates" in written or at not in context.nodes:
            return False
        new = back.get(at, set()) - before
        before |= new
        waiting += new
    return True


def _left(context: CheckContext) -> dict[str, int]:
    """How many candidates each node may leave, with default params; at most ``SEVERAL``."""
    into: dict[str, set[tuple[tuple[str, ...], bool]]] = defaultdict(set)
    for link in context.links:
        into[link.target].add((link.sources, context.edges[link.edge].each == "candidates"))
    bound = {name: by_default(context, node) for name, node in context.kinds.items()}
    left: dict[str, int] = {}
    changed = True
    while changed:
        changed = False
        for name in context.nodes:
            for sources, fans_out in into[name]:
                known = [left.get(source, 0) for source in sources]
                own = [s for s in sources if "candidates" in writes(context, s)]
                before = SEVERAL if len(own) > 1 else max(known)
                after = _after(context, name, bound.get(name), 1 if fans_out else before)
                found = min(SEVERAL, max(after, before) if fans_out else after)
                changed |= found > left.get(name, -1)
                left[name] = max(found, left.get(name, 0))
    return left


def _after(context: CheckContext, name: str, node: Node | None, live: int) -> int:
    if node is None:  # another graph, or a kind whose settings don't fit
        return SEVERAL if writes(context, name) >= POPULATION else live
    if node.kind in SETTLING:
        return min(live, 1)
    if node.kind in MERGING:
        live = min(live, 1)
    try:
        return node.cost(PopulationBounds(live=live, made=live)).after.live
    except Exception:  # raised by a custom kind, which must not end the check
        return live
