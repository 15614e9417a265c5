"""Cost bounds of one run of a node: the requests it makes, and the population it leaves.

Each kind tells it by :meth:`~thinkgraph.nodes.base.node.Node.cost`, from bounds of the
population in place of the population. Every number is a bound from above; texts that nobody
has written yet are counts of tokens.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from thinkgraph.models.arguments import suggesting

if TYPE_CHECKING:
    from thinkgraph.nodes.prompts.prompt import Prompt

Shown = int | str | tuple["Shown", ...]
"""What a prompt shows: a text, the maximum tokens of a text not yet written, or a list."""


def at_most(*texts: str) -> int:
    """Maximum number of tokens of texts: a token has at least one byte."""
    return sum(len(text.encode()) for text in texts)


def tokens(shown: Shown) -> int:
    """Tokens of what is shown, at most."""
    if isinstance(shown, int):
        return shown
    return at_most(shown) if isinstance(shown, str) else sum(map(tokens, shown))


@suggesting
@dataclass(frozen=True)
class Extent:
    """Bounds on the size of the population, before one run of a node.

    Attributes:
        node: the node that is to run.
        live: live candidates at most.
        exact: whether there are that many for certain.
        made: candidates of the run so far, the retired ones too.
        text: tokens of the longest live candidate.
        said: tokens of what the last critics say about one candidate.
        unseen: by the nodes that judged the population, how many were made since.
        fields: the state that the spec declares.
        round: which run of the node this is, from 0.
    """

    node: str = ""
    live: int = 0
    exact: bool = True
    made: int = 0
    text: int = 0
    said: int = 0
    unseen: Mapping[str, int] = field(default_factory=dict)
    fields: Mapping[str, Shown] = field(default_factory=dict)
    round: int = 0

    @property
    def fresh(self) -> int:
        """Live candidates that this node has not judged yet."""
        return min(self.live, self.unseen.get(self.node, self.made))

    @property
    def first(self) -> bool:
        """Whether the node has judged none so far."""
        return self.node not in self.unseen

    def born(self, count: int, text: int, *, live: int, exact: bool) -> Extent:
        """With new candidates of at most ``text`` tokens, after which ``live`` are alive."""
        return replace(
            self,
            live=live,
            exact=exact,
            made=self.made + count,
            text=max(self.text, text),
            unseen={node: unseen + count for node, unseen in self.unseen.items()},
        )

    def judged(self, said: int = 0) -> Extent:
        """With all live candidates judged by this node, in that many tokens each."""
        return replace(self, said=max(self.said, said), unseen={**self.unseen, self.node: 0})

    def kept(self, count: int) -> Extent:
        """With at most that many live candidates."""
        return replace(self, live=min(count, self.live), exact=self.exact or count == 1)

    def recalled(self, count: int) -> Extent:
        """With that many candidates live, out of all that were ever made."""
        unseen = dict.fromkeys(self.unseen, self.made)
        return replace(self, live=min(count, self.made), exact=False, unseen=unseen)


@suggesting
@dataclass(frozen=True)
class Asked:
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
    shows: Mapping[str, Shown] = field(default_factory=dict)
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
        asked: the requests, one shape after the other.
        exact: whether it makes that many requests for certain.
        known: whether the kind says what it costs.
        written: fields of the state that it writes.
    """

    after: Extent
    asked: tuple[Asked, ...] = ()
    exact: bool = True
    known: bool = True
    written: Mapping[str, Shown] = field(default_factory=dict)
