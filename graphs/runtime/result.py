"""Results: the answer of a run, its candidates, votes and usage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, Self

from thinkgraph.graphs.record import RunRecord
from thinkgraph.models.model import Frozen, Model
from thinkgraph.nodes.request import RequestRecord


class Result(RunRecord):
    """A finished run."""

    @property
    def votes(self) -> dict[str, int]:
        """The votes of each answer, in descending order."""
        tally = self.answer.tally
        return {found.value: found.votes for found in tally.classes} if tally else {}

    @property
    def failures(self) -> dict[str, tuple[str, ...]]:
        """What went wrong without ending the run, by NODE.ROUND."""
        return {key: usage.failures for key, usage in self.nodes.items() if usage.failures}

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

    def with_rendered_prompts(self, models: Callable[[str], Model]) -> Self:
        """The result with each prompt's text and tokens, where its model renders prompts itself.

        Args:
            models: a model by its role; the empty role is the run's model.
        """
        return self.model_copy(
            update={"requests": tuple(_rendered(one, models(one.role)) for one in self.requests)}
        )

    def summary(self, *, requests: bool = False) -> dict[str, Any]:
        """The run as one JSON object: what ``thinkgraph run --json`` prints.

        Args:
            requests: whether what was sent to the models is part of it.
        """
        shown = {"id", "node", "text", "answer", "seed", "tokens", "finish_reason"}
        told = {"value", "text", "votes", "of", "tie", "cancelled", "note"}
        data = {
            "graph": self.graph,
            "model": self.model,
            "seed": self.seed,
            "answer": self.answer.model_dump(include=told),
            "candidates": [c.model_dump(include=shown) for c in self.candidates],
            "usage": self.usage.model_dump(exclude={"failures"}),
        }
        if self.accepted is not None:
            data["accepted"] = self.accepted
        if self.critiques:
            data["critiques"] = [c.model_dump(mode="json") for c in self.critiques]
        if self.spec is not None and self.spec.output != "answer":
            data["output"] = self.output
        if requests:
            data["requests"] = [one.model_dump(mode="json") for one in self.requests]
        if self.failures:
            data["failures"] = self.failures
        return {**data, "cut": self.cut} if self.cut else data


def _rendered(request: RequestRecord, model: Model) -> RequestRecord:
    render = getattr(model, "render", None)
    if render is None:
        return request
    text, tokens = render(request.messages)
    return request.model_copy(update={"rendered": text, "tokens": tuple(tokens)})


class Finished(Frozen):
    """The run is over."""

    event: Literal["result"] = "result"
    result: Result
