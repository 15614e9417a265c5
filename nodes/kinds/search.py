"""search: all candidates, as a tree → the one to grow next.

The population is the tree: a candidate's parent is the one it was written from, and the question
is the root. The statistics of a search algorithm (visits, rewards, posteriors) are computed from
the candidates and their scores. There is no other state, so a checkpoint holds the whole search,
and the same seed gives the same tree.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field

from thinkgraph.nodes.base.cost import Cost, PopulationBounds
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.event import CandidateUpdated
from thinkgraph.nodes.population import Candidate, State, Update
from thinkgraph.nodes.step import Step

ROOT = ""
PRIOR = 0.5
"""Both parameters of the Beta prior (Jeffreys prior)."""


class Search(Node):
    """Choose the candidate to expand next: only it is live afterwards, or none for the root.

    ``uct`` descends from the root to the child with the highest upper confidence bound, until it
    reaches a leaf (UCT, as in arXiv 2305.14992, section 3.3). A child whose leaves are all
    ``terminal`` can't be expanded and is skipped; if that is true of all children, the root is
    chosen and the tree grows wider. ``thompson`` is AB-MCTS-A (arXiv 2503.04412, section 3.4): at
    each candidate it decides by Thompson sampling, from Beta posteriors of the scores, whether to
    expand it again (wider) or to descend to one of its children (deeper). Scores outside 0 to 1
    are rescaled.
    """

    kind: ClassVar[str] = "search"
    about: ClassVar[str] = "all candidates, as a tree → the one to grow next"
    output_channels: ClassVar[frozenset[str]] = frozenset({"candidates"})

    rule: Literal["uct", "thompson"] = Field(
        "uct", description="rule that chooses the candidate to expand"
    )
    exploration: float = Field(math.sqrt(2), ge=0, description="exploration constant of `uct`")

    async def run(self, state: State, step: Step) -> Update:
        """Descend the tree, and make only the chosen candidate live."""
        tree = Tree(state)
        random = np.random.default_rng(step.seeds(1)[0])
        chosen = self._uct(tree) if self.rule == "uct" else _thompson(tree, random)
        changed = [
            candidate.model_copy(update={"live": candidate.id == chosen})
            for candidate in state.candidates.values()
            if candidate.live != (candidate.id == chosen)
        ]
        for candidate in changed:
            step.emit(CandidateUpdated(candidate=candidate))
        return Update(candidates=tuple(changed))

    def cost(self, before: PopulationBounds) -> Cost:
        """No requests."""
        return Cost(before.revived(1))

    def _uct(self, tree: Tree) -> str:
        at = ROOT
        while children := tree.open(at):
            visits = len(tree.below(at))

            def bound(child: str, visits: int = visits) -> float:
                rewards = [tree.reward[each] for each in tree.below(child)]
                rarity = math.sqrt(math.log(visits) / len(rewards))
                return math.fsum(rewards) / len(rewards) + self.exploration * rarity

            at = max(children, key=bound)
        return at


class Tree:
    """The candidates of a state as a tree, without those that were cut short.

    Attributes:
        children: ids of the children of each candidate and of the root, by id.
        reward: score of each candidate, scaled to 0 to 1, by id.
    """

    def __init__(self, state: State) -> None:
        grown = [c for c in state.candidates.values() if c.finish_reason in ("stop", "length")]
        known = {candidate.id for candidate in grown}
        self.children: dict[str, list[str]] = defaultdict(list)
        for candidate in grown:
            parent = next((p for p in candidate.parents if p in known), ROOT)
            self.children[parent].append(candidate.id)
        self.reward = _scaled(grown)
        self._terminal = {candidate.id for candidate in grown if candidate.terminal}

    def open(self, at: str) -> list[str]:
        """The children whose subtree can still be expanded."""
        return [child for child in self.children[at] if self._is_open(child)]

    def _is_open(self, at: str) -> bool:
        children = self.children[at]
        return any(map(self._is_open, children)) if children else at not in self._terminal

    def below(self, at: str) -> list[str]:
        """The ids of a candidate and its descendants; for the root, of all candidates."""
        found = [] if at == ROOT else [at]
        for child in self.children[at]:
            found += self.below(child)
        return found


def _scaled(candidates: list[Candidate]) -> dict[str, float]:
    known = [candidate.score for candidate in candidates if candidate.score is not None]
    least = min(known, default=0.0)  # an unknown score must not be the best of negative ones
    scores = [least if each.score is None else each.score for each in candidates]
    low, high = min([0.0, *scores]), max([1.0, *scores])
    if low < 0 or high > 1:
        low, high = min(scores), max(scores)
    span = (high - low) or 1.0
    return {c.id: (score - low) / span for c, score in zip(candidates, scores, strict=True)}


def _thompson(tree: Tree, random: np.random.Generator) -> str:
    at = ROOT
    while children := tree.children[at]:
        deeper = [each for child in children for each in tree.below(child) if each != child]
        if _draw(tree, children, random) >= _draw(tree, deeper, random):
            return at
        draws = [_draw(tree, tree.below(child), random) for child in children]
        at = children[int(np.argmax(draws))]
    return at


def _draw(tree: Tree, seen: list[str], random: np.random.Generator) -> float:
    """Draw from the posterior of the reward, given the rewards of the candidates in ``seen``."""
    rewards = [tree.reward[each] for each in seen]
    won = math.fsum(rewards)
    return float(random.beta(PRIOR + won, PRIOR + len(rewards) - won))
