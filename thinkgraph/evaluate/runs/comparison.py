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

    task: str = Field(description="the name of the data")
    model: str
    seed: int
    metric: str = Field(description="how answers are judged, as it was asked for")
    variants: tuple[Variant, ...] = Field(description="the strategies; the first is the baseline")
    questions: tuple[Question, ...]
    rows: tuple[Row, ...] = Field(description="in no order; a missing one was not run yet")
    spent: Usage = Field(Usage(), description="what the model really computed; samples are shared")
    provenance: Provenance = Field(Provenance(), description="what it can be repeated from")
    seconds: float = Field(0.0, description="that the comparison took, all its starts together")
    paces: dict[str, float] = Field(
        default_factory=dict,
        description="seconds per sampled token, by the model's name; where it is missing, those "
        "of the whole comparison",
    )

    def pace(self, strategy: str) -> float:
        """Seconds per sampled token of a strategy's model, which runs several strategies at once.

        Args:
            strategy: the label.
        """
        model = next((v.model for v in self.variants if v.label == strategy), "")
        whole = self.seconds / max(self.spent.completion_tokens, 1)
        return self.paces.get(model, whole)
