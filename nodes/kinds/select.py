"""select: candidates → the best k."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from thinkgraph.nodes.base.cost import Cost, PopulationBounds
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.event import CandidateUpdated
from thinkgraph.nodes.population import State, Update
from thinkgraph.nodes.quality import QUALITIES, Quality
from thinkgraph.nodes.step import Step


class Select(Node):
    """Keep the best candidates and retire the others. Ties go to the older candidate.

    Candidates without the measure rank last.
    """

    kind: ClassVar[str] = "select"
    about: ClassVar[str] = "candidates → the best k"
    input_channels: ClassVar[frozenset[str]] = frozenset({"question", "candidates"})
    output_channels: ClassVar[frozenset[str]] = frozenset({"candidates"})

    best: int = Field(1, ge=1, description="number of candidates to keep")
    by: Quality = Field("score", description="the measure to rank by")
    among: Literal["live", "all"] = Field(
        "live", description="`all` includes retired candidates, except incomplete ones"
    )

    async def run(self, state: State, step: Step) -> Update:
        """Rank and retire."""
        pool = state.live if self.among == "live" else state.whole
        measure = QUALITIES[self.by]
        ranked = sorted(pool, key=lambda candidate: -measure(candidate, state))
        kept = {candidate.id for candidate in ranked[: self.best]}
        changed = [
            candidate.model_copy(update={"live": candidate.id in kept})
            for candidate in state.candidates.values()
            if candidate.live != (candidate.id in kept)
        ]
        for candidate in changed:
            step.emit(CandidateUpdated(candidate=candidate))
        return Update(candidates=tuple(changed))

    def cost(self, before: PopulationBounds) -> Cost:
        """Nothing."""
        return Cost(before.kept(self.best) if self.among == "live" else before.revived(self.best))
