"""choose: candidates → the one that the model finds most consistent with the others."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, TypeVar

from pydantic import Field

from thinkgraph.models.model import continued
from thinkgraph.nodes.base.cost import Cost, PopulationBounds, RequestBounds, token_bound
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.event import CandidateUpdated
from thinkgraph.nodes.population import Candidate, State, Update
from thinkgraph.nodes.prompts.prompt import PromptSetting
from thinkgraph.nodes.prompts.truncation import truncate_texts
from thinkgraph.nodes.step import Step, gather

T = TypeVar("T")

LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Choose(Node):
    """The model reads all live candidates, labelled A, B, C …, and chooses one; the others retire.

    The choice is the label with the highest probability, read from the logits; the probability
    becomes the candidate's score. If there are more than ``group`` candidates, the model chooses
    one per group, and then among the chosen ones.
    """

    kind: ClassVar[str] = "choose"
    about: ClassVar[str] = "candidates → the one that the model finds most consistent"
    input_channels: ClassVar[frozenset[str]] = frozenset({"question", "candidates"})
    output_channels: ClassVar[frozenset[str]] = frozenset({"candidates"})
    variables: ClassVar[frozenset[str]] = frozenset({"drafts"})

    prompt: PromptSetting = "most-consistent"
    model: str = Field("", description="role of the model; empty: the run's model")
    adapter: str | None = Field(None, description="a LoRA adapter: NAME, or NAME:SCALE")
    lead: str = Field("", description="text before the label, at the start of the completion")
    orders: int = Field(
        1,
        ge=1,
        le=len(LABELS),
        description="in how many orders a group is shown; the probabilities are averaged, so that "
        "a label's place counts less",
    )
    group: int = Field(
        8, ge=2, le=len(LABELS), description="maximum number of candidates per prompt"
    )

    async def run(self, state: State, step: Step) -> Update:
        """Choose until one is left; where the budget ends first, those still there stay."""
        field = [candidate for candidate in state.live if candidate.text.strip()]
        seen = {candidate.id: candidate for candidate in state.live}
        while len(field) > 1:
            groups = [field[i : i + self.group] for i in range(0, len(field), self.group)]
            scored = await gather(*(self._scored(group, state, step) for group in groups))
            if any(group is None for group in scored):
                break
            families = [group for group in scored if group is not None]
            seen |= {candidate.id: candidate for group in families for candidate in group}
            field = [max(group, key=lambda c: c.score or 0.0) for group in families]
        kept = {candidate.id for candidate in field} or set(seen)
        after = [c.model_copy(update={"live": c.id in kept}) for c in seen.values()]
        for candidate in after:
            step.emit(CandidateUpdated(candidate=candidate))
        return Update(candidates=tuple(after))

    def cost(self, before: PopulationBounds) -> Cost:
        """A question for each group, until one candidate is left; empty ones need none."""
        asked, left = list[RequestBounds](), before.live
        while left > 1:
            size, groups = min(left, self.group), -(-left // self.group)
            drafts = tuple((label, before.longest) for label in LABELS[:size])
            request = RequestBounds(
                self.prompt, {"drafts": drafts}, samples=0, prefix=token_bound(self.lead)
            )
            shown = groups * min(self.orders, size)
            asked.append(replace(request, prompts=shown, options=size, room=16))
            left = groups
        return Cost(replace(before, exact=False), tuple(asked), exact=False)

    async def _scored(
        self, group: list[Candidate], state: State, step: Step
    ) -> list[Candidate] | None:
        """The group with the mean probability of each; None if the budget ended first."""
        if len(group) == 1:
            return group
        orders = min(self.orders, len(group))
        starts = [turn * len(group) // orders for turn in range(orders)]
        found = await gather(*(self._chances(_turned(group, s), state, step) for s in starts))
        if any(chances is None for chances in found):
            return None
        # Turned back, the chances of each candidate stand at its place.
        turned = [_turned(c, len(group) - s) for c, s in zip(found, starts, strict=True) if c]
        means = [math.fsum(chances) / orders for chances in zip(*turned, strict=True)]
        return [
            candidate.model_copy(update={"score": chance, "scorer": step.node})
            for candidate, chance in zip(group, means, strict=True)
        ]

    async def _chances(
        self, group: Sequence[Candidate], state: State, step: Step
    ) -> list[float] | None:
        messages = truncate_texts(
            lambda texts: step.messages(
                self.prompt, state, drafts=list(zip(LABELS, texts, strict=False))
            ),
            [candidate.text for candidate in group],
            step.models(self.model),
        )
        return await step.choose(
            continued(messages, self.lead),
            list(LABELS[: len(group)]),
            role=self.model,
            adapter=self.adapter,
        )


def _turned(items: Sequence[T], start: int) -> list[T]:
    """The items from one on, and then those before it."""
    return [*items[start:], *items[:start]]
