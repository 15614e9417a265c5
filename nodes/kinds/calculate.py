"""calculate: each candidate's program → its answer."""

from __future__ import annotations

from typing import ClassVar

from thinkgraph.nodes.base.cost import Cost, PopulationBounds
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.event import CandidateUpdated
from thinkgraph.nodes.population import State, Update
from thinkgraph.nodes.step import Step
from thinkgraph.nodes.tools.calculator import calculate


class Calculate(Node):
    """Evaluate the arithmetic that each live candidate wrote; the result is its answer.

    A candidate without a valid expression has no answer: it abstains.
    """

    kind: ClassVar[str] = "calculate"
    about: ClassVar[str] = "each candidate's program → its answer, by a safe evaluator"
    input_channels: ClassVar[frozenset[str]] = frozenset({"question", "candidates"})
    output_channels: ClassVar[frozenset[str]] = frozenset({"candidates"})

    async def run(self, state: State, step: Step) -> Update:
        """Evaluate; asks no model."""
        worked = [c.model_copy(update={"answer": calculate(c.text)}) for c in state.live]
        for candidate in worked:
            step.emit(CandidateUpdated(candidate=candidate))
        return Update(candidates=tuple(worked))

    def cost(self, before: PopulationBounds) -> Cost:
        """Nothing."""
        return Cost(before)
