"""What a run comes to: the answer, how it came about, and what it cost."""

from __future__ import annotations

from typing import Any, Literal

from thinkgraph.graphs.record import RunRecord
from thinkgraph.models.model import Frozen


class Result(RunRecord):
    """A finished run."""

    @property
    def votes(self) -> dict[str, int]:
        """The votes of each answer, most first."""
        tally = self.answer.tally
        return {found.value: found.votes for found in tally.classes} if tally else {}

    @property
    def accepted(self) -> bool | None:
        """Whether most of the last critiques of the answer accept it; None without critiques."""
        found = [each for each in self.critiques if each.candidate == self.answer.candidate]
        if not found:
            return None
        last = [c.accepted for c in found if (c.node, c.round) == (found[-1].node, found[-1].round)]
        return sum(last) * 2 > len(last)

    def to_html(self, command: str | None = None) -> str:
        """The run as one page of HTML that needs nothing else: for who debugs a strategy.

        Args:
            command: the command line that asked it, for "run it again"; made of the graph, the
                model, the seed and the params, unless given.
        """
        from thinkgraph.graphs.pictures.report import to_html  # noqa: PLC0415 (only for a report)

        return to_html(self, command)

    def summary(self) -> dict[str, Any]:
        """The run as one JSON object: what ``thinkgraph run --json`` prints."""
        shown = {"id", "node", "text", "answer", "seed", "tokens", "finish_reason"}
        told = {"value", "text", "votes", "of", "tie", "cancelled", "note"}
        data = {
            "graph": self.graph,
            "model": self.model,
            "seed": self.seed,
            "answer": self.answer.model_dump(include=told),
            "candidates": [c.model_dump(include=shown) for c in self.candidates],
            "usage": self.usage.model_dump(),
        }
        if self.accepted is not None:
            data["accepted"] = self.accepted
        if self.critiques:
            data["critiques"] = [c.model_dump(mode="json") for c in self.critiques]
        if self.spec is not None and self.spec.output != "answer":
            data["output"] = self.output
        return {**data, "cut": self.cut} if self.cut else data


class Finished(Frozen):
    """The run is over."""

    event: Literal["result"] = "result"
    result: Result
