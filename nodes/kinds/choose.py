"""choose: candidates → the one that the model finds most consistent with the others."""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from thinkgraph.models.model import continued
from thinkgraph.nodes.base.cost import Cost, PopulationBounds, RequestBounds, token_bound
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.event import CandidateUpdated
from thinkgraph.nodes.population import Candidate, State, Update
from thinkgraph.nodes.prompts.prompt import PromptSetting
from thinkgraph.nodes.prompts.truncation import truncate_texts
from thinkgraph.nodes.step import Step, gather

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
            asked.append(replace(request, prompts=groups, options=size, room=16))
            left = groups
        return Cost(replace(before, exact=False), tuple(asked), exact=False)

    async def _scored(
        self, group: list[Candidate], state: State, step: Step
    ) -> list[Candidate] | None:
        if len(group) == 1:
            return group
        messages = truncate_texts(
            lambda texts: step.messages(
                self.prompt, state, drafts=list(zip(LABELS, texts, strict=False))
            ),
            [candidate.text for candidate in group],
            step.models(self.model),
        )
        chances = await step.choose(
            continued(messages, self.lead),
            list(LABELS[: len(group)]),
            role=self.model,
            adapter=self.adapter,
        )
        return (
            None
            if chances is None
            else [
                candidate.model_copy(update={"score": chance, "scorer": step.node})
                for candidate, chance in zip(group, chances, strict=True)
            ]
        )
