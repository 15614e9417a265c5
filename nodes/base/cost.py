"""Upper bounds of the cost of a node: its requests, and the population after its run.

Each kind implements :meth:`~thinkgraph.nodes.base.node.Node.cost`, which gets bounds of the
population instead of the population itself. Every number is an upper bound. A text that has not
been generated yet is represented by its number of tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from thinkgraph.models.arguments import suggesting

if TYPE_CHECKING:
    from thinkgraph.nodes.prompts.prompt import Prompt

TextBound = int | str | tuple["TextBound", ...]
"""A value in a prompt: a text, the maximum tokens of one not yet generated, or a list of these."""


def token_bound(*texts: TextBound) -> int:
    """The maximum tokens of texts together: a token has at least one byte."""
    return sum(
        text
        if isinstance(text, int)
        else len(text.encode())
        if isinstance(text, str)
        else token_bound(*text)
        for text in texts
    )


def longer(one: TextBound, other: TextBound) -> TextBound:
    """A bound that holds for both of two texts or lists."""
    if isinstance(one, tuple) and isinstance(other, tuple):
        short, long = sorted((one, other), key=len)
        return (*map(longer, short, long), *long[len(short) :])
    if one == other:
        return one
    if isinstance(one, tuple) or isinstance(other, tuple):
        return one if isinstance(one, tuple) else other
    return max(token_bound(one), token_bound(other))


@suggesting
@dataclass(frozen=True)
class PopulationBounds:
    """Upper bounds of the population at the beginning of one run of a node.

    Attributes:
        node: name of the node that is about to run.
        live: maximum number of live candidates.
        exact: whether there are exactly that many.
        made: candidates created so far, retired ones included.
        longest: tokens of the longest live candidate.
        critique_tokens: tokens of the last critiques of one candidate.
        unjudged: for each node that has judged the population, the candidates created since.
        judgements: for each such node, how many candidates it has judged, each at most once.
        fields: the state fields that the spec declares.
        round: which run of the node this is, from 0.
    """

    node: str = ""
    live: int = 0
    exact: bool = True
    made: int = 0
    longest: int = 0
    critique_tokens: int = 0
    unjudged: Mapping[str, int] = field(default_factory=dict)
    judgements: Mapping[str, int] = field(default_factory=dict)
    fields: Mapping[str, TextBound] = field(default_factory=dict)
    round: int = 0

    @property
    def fresh(self) -> int:
        """Live candidates that this node has not judged yet."""
        return min(self.live, self.unjudged.get(self.node, self.made))

    @property
    def first(self) -> bool:
        """Whether this node has not judged any candidate yet."""
        return self.node not in self.unjudged

    def added(self, count: int, longest: int, *, live: int, exact: bool) -> PopulationBounds:
        """The bounds after adding ``count`` candidates of at most ``longest`` tokens.

        ``live`` and ``exact`` describe the population afterwards.
        """
        return replace(
            self,
            live=live,
            exact=exact,
            made=self.made + count,
            longest=max(self.longest, longest),
            unjudged={node: since + count for node, since in self.unjudged.items()},
        )

    def judged(self, critique_tokens: int = 0) -> PopulationBounds:
        """The bounds after this node judged all live candidates, in ``critique_tokens`` each."""
        return replace(
            self,
            critique_tokens=max(self.critique_tokens, critique_tokens),
            unjudged={**self.unjudged, self.node: 0},
            judgements={
                **self.judgements,
                self.node: self.judgements.get(self.node, 0) + self.fresh,
            },
        )

    def kept(self, count: int) -> PopulationBounds:
        """The bounds with at most ``count`` live candidates."""
        return replace(self, live=min(count, self.live), exact=self.exact or count == 1)

    def revived(self, count: int) -> PopulationBounds:
        """The bounds with ``count`` live candidates, chosen from all that were ever created."""
        return replace(self, live=min(count, self.made), exact=False).all_unjudged()

    def all_unjudged(self) -> PopulationBounds:
        """The bounds where every candidate that a node has not judged may be live."""
        unjudged = {node: self.made - known for node, known in self.judgements.items()}
        return replace(self, unjudged=unjudged)

    def __or__(self, other: PopulationBounds) -> PopulationBounds:
        """Bounds that cover both of two alternative populations."""
        judges = self.unjudged.keys() | other.unjudged.keys()
        names = self.fields.keys() | other.fields.keys()
        return PopulationBounds(
            live=max(self.live, other.live),
            exact=self.exact and other.exact and self.live == other.live,
            made=max(self.made, other.made),
            longest=max(self.longest, other.longest),
            critique_tokens=max(self.critique_tokens, other.critique_tokens),
            unjudged={
                node: max(self.unjudged.get(node, self.made), other.unjudged.get(node, other.made))
                for node in judges
            },
            judgements={
                node: min(self.judgements.get(node, 0), other.judgements.get(node, 0))
                for node in judges
            },
            fields={n: longer(self.fields.get(n, 0), other.fields.get(n, 0)) for n in names},
        )

    def after(self, results: Sequence[PopulationBounds]) -> PopulationBounds:
        """Merge the results of nodes that ran in parallel on this population."""
        if len(results) == 1:
            return results[0]
        grown = [max(each.made - self.made, each.live - self.live) for each in results]
        added = sum(each.made - self.made for each in results)
        judges = {name for each in results for name in each.unjudged}
        written = [
            (name, text)
            for each in results
            for name, text in each.fields.items()
            if text != self.fields.get(name)
        ]
        return PopulationBounds(
            live=self.live + sum(grown),
            exact=all(each.exact and each.live >= self.live for each in results),
            made=self.made + added,
            longest=max(each.longest for each in results),
            critique_tokens=max(each.critique_tokens for each in results),
            unjudged={
                name: min(each.unjudged.get(name, self.made) for each in results) + added
                for name in judges
            },
            judgements={
                name: max(each.judgements.get(name, 0) for each in results) for name in judges
            },
            fields={**self.fields, **dict(written)},
        )


@suggesting
@dataclass(frozen=True)
class RequestBounds:
    """A group of requests of the same shape.

    ``prompts`` different prompts are sent ``calls`` times each, all in parallel. This is repeated
    ``turns`` times in sequence.

    Attributes:
        prompt: the prompt, or the name of one.
        shows: variables that the node supplies to the prompt's templates.
        prompts: number of different prompts.
        calls: requests per prompt.
        turns: number of sequential repetitions.
        samples: completions per request; 0 where only probabilities are read.
        max_tokens: maximum tokens of each completion.
        prefix: tokens of the text that the completion continues.
        options: tokens of the options whose probabilities are read.
        room: where the texts are truncated until the prompt fits, the tokens to leave free.
    """

    prompt: str | Prompt
    shows: Mapping[str, TextBound] = field(default_factory=dict)
    prompts: int = 1
    calls: int = 1
    turns: int = 1
    samples: int = 1
    max_tokens: int = 0
    prefix: int = 0
    options: int = 0
    room: int | None = None


@suggesting
@dataclass(frozen=True)
class Cost:
    """The maximum requests of one run of a node, and the population after it.

    Attributes:
        after: bounds of the population after the run.
        requests: groups of requests, in sequence.
        exact: whether the node makes exactly that many requests.
        known: False if the kind doesn't implement ``cost``.
        written: state fields that the node writes, with bounds of their values.
        tool_calls: maximum number of tool calls.
    """

    after: PopulationBounds
    requests: tuple[RequestBounds, ...] = ()
    exact: bool = True
    known: bool = True
    written: Mapping[str, TextBound] = field(default_factory=dict)
    tool_calls: int = 0
