"""Upper bounds of a node's cost: its requests, and the population that it leaves.

Each kind tells it by :meth:`~thinkgraph.nodes.base.node.Node.cost`, from bounds of the
population in place of the population. Every number is an upper bound; texts that nobody has
written yet are counts of tokens.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from thinkgraph.models.arguments import suggesting

if TYPE_CHECKING:
    from thinkgraph.nodes.prompts.prompt import Prompt

TextBound = int | str | tuple["TextBound", ...]
"""What a prompt shows: a text, the most tokens of one not yet written, or a list of them."""


def token_bound(*texts: TextBound) -> int:
    """The most tokens that texts can have together: no token is less than a byte."""
    return sum(
        text
        if isinstance(text, int)
        else len(text.encode())
        if isinstance(text, str)
        else token_bound(*text)
        for text in texts
    )


def longer(one: TextBound, other: TextBound) -> TextBound:
    """A bound of either of two texts or lists."""
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
    """How large a population can be, for one run of a node.

    Attributes:
        node: the node that is to run.
        live: live candidates at most.
        exact: whether there are that many for certain.
        made: candidates of the run so far, the retired ones too.
        longest: tokens of the longest live candidate.
        critique_tokens: of what the last critics say about one candidate.
        unjudged: by the nodes that judged the population, how many were made since.
        fields: the state that the spec declares.
        round: which run of the node this is, from 0.
    """

    node: str = ""
    live: int = 0
    exact: bool = True
    made: int = 0
    longest: int = 0
    critique_tokens: int = 0
    unjudged: Mapping[str, int] = field(default_factory=dict)
    fields: Mapping[str, TextBound] = field(default_factory=dict)
    round: int = 0

    @property
    def fresh(self) -> int:
        """Live candidates that this node has not judged yet."""
        return min(self.live, self.unjudged.get(self.node, self.made))

    @property
    def first(self) -> bool:
        """Whether the node has judged none so far."""
        return self.node not in self.unjudged

    def added(self, count: int, longest: int, *, live: int, exact: bool) -> PopulationBounds:
        """With new candidates of at most ``longest`` tokens, after which ``live`` are alive."""
        return replace(
            self,
            live=live,
            exact=exact,
            made=self.made + count,
            longest=max(self.longest, longest),
            unjudged={node: since + count for node, since in self.unjudged.items()},
        )

    def judged(self, critique_tokens: int = 0) -> PopulationBounds:
        """After this node judged all live candidates, in at most so many tokens each."""
        return replace(
            self,
            critique_tokens=max(self.critique_tokens, critique_tokens),
            unjudged={**self.unjudged, self.node: 0},
        )

    def kept(self, count: int) -> PopulationBounds:
        """With at most ``count`` candidates alive."""
        return replace(self, live=min(count, self.live), exact=self.exact or count == 1)

    def revived(self, count: int) -> PopulationBounds:
        """With ``count`` alive of all candidates that were ever made."""
        unjudged = dict.fromkeys(self.unjudged, self.made)
        return replace(self, live=min(count, self.made), exact=False, unjudged=unjudged)

    def __or__(self, other: PopulationBounds) -> PopulationBounds:
        """Bounds of either of two populations."""
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
            fields={n: longer(self.fields.get(n, 0), other.fields.get(n, 0)) for n in names},
        )

    def after(self, results: Sequence[PopulationBounds]) -> PopulationBounds:
        """What nodes that ran side by side on this population leave together."""
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
            fields={**self.fields, **dict(written)},
        )


@suggesting
@dataclass(frozen=True)
class RequestBounds:
    """Requests of one shape.

    ``prompts`` different prompts are asked ``calls`` times each, all side by side, and that
    ``turns`` times one after the other.

    Attributes:
        prompt: what is asked.
        shows: what the node supplies to the prompt's templates.
        prompts: how many prompts.
        calls: requests of each prompt.
        turns: how often.
        samples: completions of each request; none where only probabilities are read.
        max_tokens: of each completion.
        prefix: tokens that begin the completion.
        options: tokens whose probabilities are read.
        room: where the texts are shortened until the prompt fits, the tokens left free for more.
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
    """The requests of one run of a node, at most, and the population that it leaves.

    Attributes:
        after: the population.
        requests: one shape after the other.
        exact: whether it makes that many requests for certain.
        known: whether the kind tells its cost.
        written: fields of the state that it writes.
        tool_calls: calls of tools, at most.
    """

    after: PopulationBounds
    requests: tuple[RequestBounds, ...] = ()
    exact: bool = True
    known: bool = True
    written: Mapping[str, TextBound] = field(default_factory=dict)
    tool_calls: int = 0
