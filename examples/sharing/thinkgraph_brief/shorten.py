"""shorten: each candidate → its first words."""

from typing import ClassVar

from pydantic import Field

import thinkgraph as tg


class Shorten(tg.Node):
    """Cut every live candidate to its first words."""

    kind: ClassVar[str] = "shorten"
    about: ClassVar[str] = "each candidate → its first words"
    input_channels: ClassVar[frozenset[str]] = frozenset({"candidates"})
    output_channels: ClassVar[frozenset[str]] = frozenset({"candidates"})

    words: int = Field(50, ge=1, description="how many words are kept")

    async def run(self, state: tg.State, step: tg.Step) -> tg.Update:
        """Cut them; a candidate of the same id takes the place of the old one."""
        return tg.Update(candidates=tuple(map(self._cut, state.live)))

    def _cut(self, candidate: tg.Candidate) -> tg.Candidate:
        text = " ".join(candidate.text.split()[: self.words])
        return candidate.model_copy(update={"text": text})

    def cost(self, before: tg.PopulationBounds) -> tg.Cost:
        """It asks no model."""
        return tg.Cost(before)
