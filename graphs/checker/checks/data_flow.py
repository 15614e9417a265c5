"""Data-flow analysis: use before write, write races, and votes over free text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import combinations

from thinkgraph.graphs.checker.checks.control_flow import Arrows, arrows, reached
from thinkgraph.graphs.checker.checks.nodes import by_default
from thinkgraph.graphs.checker.checks.prompts import resolved_prompts
from thinkgraph.graphs.checker.context import CheckContext
from thinkgraph.graphs.language.problem import suggestion
from thinkgraph.graphs.language.spec import END, START
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.kinds.generate import Generate
from thinkgraph.nodes.kinds.vote import Vote
from thinkgraph.nodes.prompts.prompt import prompts_in
from thinkgraph.nodes.registry import node_kinds

COMPARING = frozenset({"vote"})
"""Kinds that compare candidates' answers with each other."""
SETTLING = frozenset({"choose"})
"""Kinds that leave one candidate, so that nothing is left to compare."""
MERGING = frozenset({"synthesize"})
"""Kinds whose new candidates replace all others, unless the model writes nothing."""
BRIEF = 32
"""Completions of at most this many tokens are short enough to be compared as they are."""
POPULATION = frozenset({"candidates", "critiques", "answer"})


def writes(context: CheckContext, name: str) -> frozenset[str]:
    """The channels that a node writes."""
    if name in context.kinds:
        return context.kinds[name].channels_written
    use = context.nodes[name].used if name in context.nodes else None
    if use is None:
        return frozenset()
    return frozenset(use.fields_written) | (POPULATION if use.gives_population else frozenset())


def reads(context: CheckContext, name: str) -> frozenset[str]:
    """The channels that a node needs, and the fields without a default that its prompts name."""
    if name == END:
        return frozenset({"candidates"}) if _asks_for_answer(context) else frozenset()
    unset = {field for field, state in context.state.items() if state.default is None}
    node, use = context.kinds.get(name), context.nodes[name].used
    if use is not None and not context.nodes[name].shares_fields:
        return frozenset(use.inputs.values()) & unset
    if node is None:
        return frozenset()
    prompts = [
        found for _, setting in prompts_in(node) for _, found in resolved_prompts(context, setting)
    ]
    named = frozenset().union(node.channels_read, *(prompt.variables for prompt in prompts))
    return (node.channels_read & POPULATION) | (named & unset - node.variables)


def _asks_for_answer(context: CheckContext) -> bool:
    return context.output == "answer"


def use_before_write(context: CheckContext) -> None:
    """No node reads a channel that is unwritten on some path to it."""
    if not is_judgeable(context):
        return
    written = written_before(context)
    told: set[str] = set()
    forward = arrows(context.links)
    for name in [*context.nodes, END]:
        for channel in sorted(reads(context, name) - written[name]):
            if name == END and ("answer" in written[END] or channel in told):
                continue
            told.add(channel)
            way = _way(context, name, channel, forward)
            verb = "a run needs" if name == END else f"`{name}` reads"
            message = f"{verb} {channel}, which no node has written on the path {' -> '.join(way)}"
            hint = "add a node before it that writes them, such as one of kind `generate`"
            if channel != "candidates":
                hint = f"add a node before it that writes {channel}"
            if channel in context.state:
                hint = f"{hint}, or give the field a default"
            if name == END:
                context.report("TG405", ("edges",), message, hint, key=True)
            else:
                context.report("TG405", ("nodes", name), message, hint, key=True)


def is_judgeable(context: CheckContext) -> bool:
    """Whether all nodes and edges are valid, so that the data flow can be analysed."""
    known = context.kinds.keys() | {name for name, node in context.nodes.items() if node.used}
    return context.is_complete and known == context.nodes.keys()


def written_before(context: CheckContext) -> dict[str, frozenset[str]]:
    """By node, the channels that are written on every path to it."""
    everything = POPULATION.union(*(writes(context, name) for name in context.nodes))
    before = dict.fromkeys([*context.nodes, END], everything)
    into: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    for link in context.links:
        into[link.target].add(link.sources)
    changed = True
    while changed:
        changed = False
        for name in before:
            for sources in into[name]:
                parts = [
                    frozenset() if s == START else before.get(s, everything) | writes(context, s)
                    for s in sources
                ]
                known = before[name] & frozenset().union(*parts)
                changed |= known != before[name]
                before[name] = known
    return before


def _way(context: CheckContext, goal: str, channel: str, forward: Arrows) -> list[str]:
    """The shortest path from START to a node without any writer of a channel."""
    ways = [[START]]
    seen = {START}
    for way in ways:
        for name in sorted(forward.get(way[-1], ())):
            if name == goal:
                return [*way, name]
            if name not in seen and channel not in writes(context, name):
                seen.add(name)
                ways.append([*way, name])
    return [START, "…", goal]


def races(context: CheckContext) -> None:
    """No two parallel nodes write the same channel if the last write would win."""
    if not is_judgeable(context):
        return
    forward = arrows(context.links)
    replaced = {"answer"} | {n for n, field in context.state.items() if field.reducer == "replace"}
    writers = [n for n in context.nodes if writes(context, n) & replaced]
    for one, other in pairs(context, writers):
        for channel in sorted(writes(context, one) & writes(context, other) & replaced):
            if _is_seen(context, forward, {one, other}, channel):
                message = f"`{one}` and `{other}` write `{channel}` in parallel"
                hint = "the last write would win; run one after the other, or write it after both"
                context.report("TG404", ("nodes", other), message, hint, key=True)
    for link in context.links:
        if context.edges[link.edge].each:
            for channel in sorted(writes(context, link.target) & replaced):
                if _is_seen(context, forward, {link.target}, channel):
                    message = f"`{link.target}` runs in parallel with itself and writes `{channel}`"
                    hint = "the last write would win; let a later node write it"
                    location = context.chain_location(link.edge)
                    context.report_at("TG404", ("edges", link.edge), location, message, hint)


def pairs(context: CheckContext, names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """The pairs of nodes on different branches of a fork, neither of which leads to the other."""
    forward = arrows(context.links)
    after = {name: reached(name, forward) for name in context.nodes}
    forks: dict[str, set[str]] = defaultdict(set)
    for link in context.links:
        if not context.edges[link.edge].is_conditional and link.target in after:
            forks[link.source].add(link.target)
    branches = [targets for targets in forks.values() if len(targets) > 1]
    known = [name for name in names if name in after]  # without END, which no edge leaves
    for one, other in combinations(known, 2):
        if other in after[one] or one in after[other]:
            continue
        for targets in branches:
            to_one = {target for target in targets if one in after[target]}
            to_other = {target for target in targets if other in after[target]}
            if to_one and to_other and len(to_one | to_other) > 1:
                yield one, other
                break


def _is_seen(context: CheckContext, forward: Arrows, writers: set[str], channel: str) -> bool:
    """Whether a write of some nodes can be read, or be the result, before it is overwritten."""
    others = {name for name in context.nodes if channel in writes(context, name)} - writers
    readers = {name for name in context.nodes if channel in reads(context, name)} | {END}
    return any(
        (reached(name, forward, avoiding=others) - others - writers) & readers for name in writers
    )


def votes(context: CheckContext) -> None:
    """No vote counts answers that are free text."""
    forward = arrows(context.links)
    for name, node in context.kinds.items():
        if not _is_free_text(node):
            continue
        rewriting = [n for n, kind in context.kinds.items() if _settles(kind)]
        for vote in reached(name, forward, avoiding=rewriting):
            if vote in context.kinds and context.kinds[vote].kind in COMPARING:
                _free(context, name, vote)


def _settles(node: Node) -> bool:
    """Whether no free text gets past a node, which rewrites the candidates or leaves only one."""
    rewrites = hasattr(node, "extract") and "candidates" in node.input_channels
    return node.kind in SETTLING or (rewrites and not _is_free_text(node))


def _is_free_text(node: Node) -> bool:
    extractor = getattr(node, "extract", None)
    if getattr(extractor, "name", None) != "text":
        return False
    limit = getattr(node, "max_tokens", None)
    formed = getattr(node, "grammar", None) or getattr(node, "json_schema", None)
    return not formed and not (isinstance(limit, int) and limit <= BRIEF)


def _free(context: CheckContext, writer: str, vote: str) -> None:
    message = f"`{vote}` would vote over the free text of `{writer}`: majority voting needs short"
    hint = (
        "extract an answer (`extract: auto`), let a model choose the best text "
        "(`choose`), or score them and select the best"
    )
    context.report("TG406", ("nodes", writer, "extract"), f"{message} comparable answers", hint)


def stops(context: CheckContext) -> None:
    """A node with ``until: decided`` leads only to plain votes (exact, unweighted majority)."""
    sorts = {n: node for n, node in context.kinds.items() if isinstance(node, Generate | Vote)}
    found = {name: by_default(context, node) for name, node in sorts.items()}
    forward = arrows(context.links)
    for name, node in found.items():
        if isinstance(node, Generate) and node.until == "decided":
            for target in sorted(reached(name, forward)):
                vote = found.get(target)
                if isinstance(vote, Vote) and not vote.is_plain:
                    _lossy(context, name, target)


def _lossy(context: CheckContext, writer: str, vote: str) -> None:
    message = (
        f"`{writer}` stops once an unweighted majority is decided, but `{vote}` counts otherwise"
    )
    hint = (
        f"make `{vote}` an exact, unweighted majority vote, or leave out `until: decided`; "
        "otherwise the cancelled samples could have changed the vote"
    )
    context.report("TG414", ("nodes", writer, "until"), message, hint)


def fallbacks(context: CheckContext) -> None:
    """A fallback is another node that writes the channels of the failed one."""
    for name, node in context.nodes.items():
        if node.fallback is None:
            continue
        path = ("nodes", name, "fallback")
        if node.fallback not in context.nodes:
            hint = suggestion(node.fallback, context.nodes)
            context.report("TG205", path, f"there is no node `{node.fallback}`", hint)
            continue
        missing = writes(context, name) - writes(context, node.fallback)
        if node.fallback == name:
            said = "a node can't be its own fallback"
            context.report("TG216", path, said, "use `retry` to run it again")
        elif missing and context.nodes[node.fallback].kind in node_kinds():
            said = f"`{node.fallback}` doesn't write {' and '.join(sorted(missing))}"
            context.report("TG216", path, said, f"take a node that writes what `{name}` writes")
