"""A comparison: strategies, questions, and the result of each pair."""

from __future__ import annotations

from pydantic import Field

from thinkgraph.evaluate.runs.provenance import Provenance
from thinkgraph.evaluate.runs.row import Row
from thinkgraph.evaluate.runs.variant import Variant
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.models.model import Frozen, Usage


class Comparison(Frozen):
    """The strategies, questions and rows of a comparison, from which all outputs are made."""

    task: str = Field(description="name of the data")
    model: str
    seed: int
    metric: str = Field(description="metric that judges the answers, as it was given")
    variants: tuple[Variant, ...] = Field(description="the strategies; the first is the baseline")
    questions: tuple[Question, ...]
    rows: tuple[Row, ...] = Field(
        description="results in no particular order; pairs that have not run yet are missing"
    )
    spent: Usage = Field(
        Usage(), description="usage actually computed by the models; strategies share samples"
    )
    provenance: Provenance = Field(
        Provenance(), description="what is needed to repeat the comparison"
    )
    seconds: float = Field(
        0.0, description="wall-clock seconds of the comparison, over all its starts"
    )
    paces: dict[str, float] = Field(
        default_factory=dict,
        description="seconds per sampled token, by the model's name; for a missing model, use the "
        "average of the whole comparison",
    )

    def pace(self, strategy: str) -> float:
        """Seconds per sampled token of a strategy's model, which runs several strategies at once.

        0 if this comparison has computed no token, as all samples were stored already.

        Args:
            strategy: the label.
        """
        model = next((v.model for v in self.variants if v.label == strategy), "")
        computed = self.spent.completion_tokens
        return self.paces.get(model, self.seconds / computed if computed else 0.0)
