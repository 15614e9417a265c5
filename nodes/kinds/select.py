"""select: candidates → the best k."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from thinkgraph.models.model import NOT_WRITTEN
from thinkgraph.nodes.base.cost import Cost, PopulationBounds
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.event import CandidateUpdated
from thinkgraph.nodes.population import Candidate, State, Update
from thinkgraph.nodes.quality import QUALITIES, Quality, unknown
from thinkgraph.nodes.step import Step


class Select(Node):
    """Keep the best candidates and retire the others. Ties go to the older candidate.

    Candidates without the measure rank last, after them those that the budget cut short or that
    have no text. With ``by: verdict`` those whose last critiques all accept them rank first.
    ``accepted`` drops candidates that most of their last critiques don't accept, and those without
    critiques. ``at_least`` drops those whose measure is lower or unknown. If none is left, the
    population is empty (`live == 0` in a condition); a run that ends so has no answer, and reports
    that nothing was accepted.
    """

    kind: ClassVar[str] = "select"
    about: ClassVar[str] = "candidates → the best k"
    input_channels: ClassVar[frozenset[str]] = frozenset({"question", "candidates"})
    output_channels: ClassVar[frozenset[str]] = frozenset({"candidates"})

    best: int | Literal["all"] = Field(
        1,
        description="number of candidates to keep, at least 1; `all` keeps all that aren't dropped",
    )
    by: Quality = Field("score", description="the measure to rank by")
    among: Literal["live", "all"] = Field(
        "live", description="`all` includes retired candidates, except incomplete ones"
    )
    accepted: bool = Field(
        False,
        description="whether to drop candidates that most of their last critiques don't accept",
    )
    at_least: float | None = Field(
        None,
        description="minimum measure; candidates with a lower or unknown one are dropped; null: "
        "no minimum",
    )

    @model_validator(mode="after")
    def _keeps_some(self) -> Select:
        if isinstance(self.best, int) and self.best < 1:
            raise ValueError("`best` should be at least 1")
        return self

    @property
    def channels_read(self) -> frozenset[str]:
        """The channels that the node needs: critiques as well, with ``accepted``."""
        return super().channels_read | ({"critiques"} if self.accepted is True else frozenset())

    async def run(self, state: State, step: Step) -> Update:
        """Drop, rank and retire."""
        pool = state.live if self.among == "live" else state.whole
        passing = [candidate for candidate in pool if self._passes(candidate, state)]
        ranked = sorted(passing, key=lambda candidate: self._rank(candidate, state))
        kept = {c.id for c in (ranked if self.best == "all" else ranked[: self.best])}
        if len(kept) < len(ranked) and self.by != "score":  # the score node has reported that
            step.failures += unknown(self.by, ranked, state, step.params)
        dropped = {candidate.id for candidate in pool} - {candidate.id for candidate in passing}
        changed = [
            after
            for before in state.candidates.values()
            if (after := _selected(before, before.id in kept, before.id in dropped)) != before
        ]
        for candidate in changed:
            step.emit(CandidateUpdated(candidate=candidate))
        return Update(candidates=tuple(changed))

    def _rank(self, candidate: Candidate, state: State) -> tuple[bool, bool, float]:
        is_cut = candidate.finish_reason in NOT_WRITTEN or candidate.is_blank
        passes = self.by == "verdict" and state.passes(candidate)
        return is_cut, not passes, -QUALITIES[self.by](candidate, state)

    def _passes(self, candidate: Candidate, state: State) -> bool:
        if self.accepted and not (state.critiques_of(candidate) and state.accepts(candidate)):
            return False
        return self.at_least is None or QUALITIES[self.by](candidate, state) >= self.at_least

    def cost(self, before: PopulationBounds) -> Cost:
        """No requests."""
        most = before.made if self.best == "all" else self.best
        after = before.kept(most) if self.among == "live" else before.revived(most)
        if self.accepted or self.at_least is not None:
            after = replace(after, exact=False)
        return Cost(after)


def _selected(candidate: Candidate, is_kept: bool, is_dropped: bool) -> Candidate:
    rejected = is_dropped or (candidate.rejected and not is_kept)
    if (candidate.live, candidate.rejected) == (is_kept, rejected):
        return candidate
    return candidate.model_copy(update={"live": is_kept, "rejected": rejected})
