"""What nodes read and write: in time, not against each other, and fit to be compared."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import combinations

from pydantic import ValidationError

from thinkgraph.graphs.checker.checks.flow import Arrows, arrows, reached
from thinkgraph.graphs.checker.checks.prompts import meant
from thinkgraph.graphs.checker.draft import Draft
from thinkgraph.graphs.language.spec import END, START
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.kinds.generate import Generate
from thinkgraph.nodes.kinds.vote import Vote
from thinkgraph.nodes.prompts.prompt import prompts_in

COMPARING = frozenset({"vote"})
"""Kinds that compare candidates' answers with each other."""
SETTLING = frozenset({"choose"})
"""Kinds that leave one candidate, so that nothing is left to compare."""
BRIEF = 32
"""Completions of at most so many tokens are short enough to be compared as they are."""
POPULATION = frozenset({"candidates", "critiques", "answer"})


def writes(draft: Draft, name: str) -> frozenset[str]:
    """The channels that a node writes."""
    if name in draft.kinds:
        return draft.kinds[name].produces
    return POPULATION if name in draft.nodes and draft.nodes[name].use else frozenset()


def reads(draft: Draft, name: str) -> frozenset[str]:
    """The channels that a node needs, and the fields that its prompts name and have no default."""
    if name == END:
        return frozenset({"candidates"}) if _asks_for_answer(draft) else frozenset()
    node = draft.kinds.get(name)
    if node is None:
        return frozenset()
    prompts = [found for _, setting in prompts_in(node) for _, found in meant(draft, setting)]
    named = frozenset().union(node.consumes, *(prompt.variables for prompt in prompts))
    unset = {field for field, state in draft.state.items() if state.default is None}
    return (node.consumes & POPULATION) | (named & unset - node.variables)


def _asks_for_answer(draft: Draft) -> bool:
    return (draft.source.at(("output",)) or "answer") == "answer"


def too_early(draft: Draft) -> None:
    """No node reads what nothing has written on some path to it."""
    if not _is_judgeable(draft):
        return
    written = _written(draft)
    told: set[str] = set()
    forward = arrows(draft.links)
    for name in [*draft.nodes, END]:
        for channel in sorted(reads(draft, name) - written[name]):
            if name == END and ("answer" in written[END] or channel in told):
                continue
            told.add(channel)
            way = _way(draft, name, channel, forward)
            verb = "a run needs" if name == END else f"`{name}` reads"
            message = f"{verb} {channel}, which nothing has written on the way {' -> '.join(way)}"
            hint = "put a node before it that writes them, such as one of kind `generate`"
            if channel != "candidates":
                hint = f"put a node before it that writes {channel}"
            if channel in draft.state:
                hint = f"{hint}, or give the field a default"
            if name == END:
                draft.add("TG405", ("edges",), message, hint, key=True)
            else:
                draft.add("TG405", ("nodes", name), message, hint, key=True)


def _is_judgeable(draft: Draft) -> bool:
    known = draft.kinds.keys() | {name for name, node in draft.nodes.items() if node.use}
    return draft.is_whole and known == draft.nodes.keys()


def _written(draft: Draft) -> dict[str, frozenset[str]]:
    """The channels that are written on every path to a node that can be reached."""
    everything = POPULATION.union(*(writes(draft, name) for name in draft.nodes))
    before = dict.fromkeys([*draft.nodes, END], everything)
    into: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for link in draft.links:
        into[link.target].add(link.sources)
    changed = True
    while changed:
        changed = False
        for name in before:
            for sources in into[name]:
                parts = [
                    frozenset() if s == START else before.get(s, everything) | writes(draft, s)
                    for s in sources
                ]
                known = before[name] & frozenset().union(*parts)
                changed |= known != before[name]
                before[name] = known
    return before


def _way(draft: Draft, goal: str, channel: str, forward: Arrows) -> list[str]:
    """The shortest way from START to a node that no writer of a channel lies on."""
    ways = [[START]]
    seen = {START}
    for way in ways:
        for name in sorted(forward.get(way[-1], ())):
            if name == goal:
                return [*way, name]
            if name not in seen and channel not in writes(draft, name):
                seen.add(name)
                ways.append([*way, name])
    return [START, "…", goal]


def races(draft: Draft) -> None:
    """No two nodes that run side by side write the same channel, where the last would win."""
    if not _is_judgeable(draft):
        return
    forward = arrows(draft.links)
    replaced = {"answer"} | {n for n, field in draft.state.items() if field.reducer == "replace"}
    writers = [n for n in draft.nodes if writes(draft, n) & replaced]
    for one, other in _side_by_side(writers, draft, forward):
        for channel in sorted(writes(draft, one) & writes(draft, other) & replaced):
            if _is_seen(draft, forward, {one, other}, channel):
                message = f"`{one}` and `{other}` both write `{channel}` side by side"
                hint = "the last would win; put one behind the other, or write it after both"
                draft.add("TG404", ("nodes", other), message, hint, key=True)
    for link in draft.links:
        if draft.edges[link.edge].each:
            for channel in sorted(writes(draft, link.target) & replaced):
                if _is_seen(draft, forward, {link.target}, channel):
                    message = (
                        f"`{link.target}` runs side by side with itself and writes `{channel}`"
                    )
                    hint = "the last would win; let a node after it write that"
                    place = draft.chain_place(link.edge)
                    draft.add_at("TG404", ("edges", link.edge), place, message, hint)


def _side_by_side(names: list[str], draft: Draft, forward: Arrows) -> Iterator[tuple[str, str]]:
    """The pairs of nodes on different branches of a fork, neither of which leads to the other."""
    after = {name: reached(name, forward) for name in draft.nodes}
    forks: dict[str, set[str]] = defaultdict(set)
    for link in draft.links:
        if not draft.edges[link.edge].is_conditional and link.target in after:
            forks[link.source].add(link.target)
    branches = [targets for targets in forks.values() if len(targets) > 1]
    for one, other in combinations(names, 2):
        if other in after[one] or one in after[other]:
            continue
        for targets in branches:
            to_one = {target for target in targets if one in after[target]}
            to_other = {target for target in targets if other in after[target]}
            if to_one and to_other and len(to_one | to_other) > 1:
                yield one, other
                break


def _is_seen(draft: Draft, forward: Arrows, writers: set[str], channel: str) -> bool:
    """Whether what some nodes write can be read, or be the result, before it is replaced."""
    others = {name for name in draft.nodes if channel in writes(draft, name)} - writers
    readers = {name for name in draft.nodes if channel in reads(draft, name)} | {END}
    return any(
        (reached(name, forward, avoiding=others) - others - writers) & readers for name in writers
    )


def votes(draft: Draft) -> None:
    """No vote counts answers that are free text."""
    forward = arrows(draft.links)
    for name, node in draft.kinds.items():
        if not _is_free_text(node):
            continue
        rewriting = [n for n, kind in draft.kinds.items() if _settles(kind)]
        for vote in reached(name, forward, avoiding=rewriting):
            if vote in draft.kinds and draft.kinds[vote].kind in COMPARING:
                _free(draft, name, vote)


def _settles(node: Node) -> bool:
    """Whether no free text passes a node: it rewrites the candidates, or leaves one of them."""
    rewrites = hasattr(node, "extract") and "candidates" in node.needs
    return node.kind in SETTLING or (rewrites and not _is_free_text(node))


def _is_free_text(node: Node) -> bool:
    extractor = getattr(node, "extract", None)
    if getattr(extractor, "name", None) != "text":
        return False
    limit = getattr(node, "max_tokens", None)
    formed = getattr(node, "grammar", None) or getattr(node, "json_schema", None)
    return not formed and not (isinstance(limit, int) and limit <= BRIEF)


def _free(draft: Draft, writer: str, vote: str) -> None:
    message = f"`{vote}` would vote over the free text of `{writer}`: majority voting needs short"
    hint = (
        "take an answer out of the text (`extract: auto`), let a model say which text is best "
        "(`choose`), or score them and select the best"
    )
    draft.add("TG406", ("nodes", writer, "extract"), f"{message} comparable answers", hint)


def stops(draft: Draft) -> None:
    """What stops once a plain vote is decided leads to no vote of another sort."""
    sorts = {n: node for n, node in draft.kinds.items() if isinstance(node, Generate | Vote)}
    found = {name: _by_default(draft, node) for name, node in sorts.items()}
    forward = arrows(draft.links)
    for name, node in found.items():
        if isinstance(node, Generate) and node.until == "decided":
            for target in sorted(reached(name, forward)):
                vote = found.get(target)
                if isinstance(vote, Vote) and not vote.is_plain:
                    _lossy(draft, name, target)


def _by_default(draft: Draft, node: Node) -> Node | None:
    """A node with the params' defaults for the references to them, if they fit."""
    try:
        return node.bound({name: param.default for name, param in draft.params.items()})
    except (KeyError, ValidationError):
        return None


def _lossy(draft: Draft, writer: str, vote: str) -> None:
    message = f"`{writer}` stops once a plain count is decided, and `{vote}` is not one"
    hint = (
        f"let `{vote}` count one vote each, exact and by the mode, or leave out `until: decided`; "
        "as it is, samples are cancelled that could change the vote"
    )
    draft.add("TG414", ("nodes", writer, "until"), message, hint)
