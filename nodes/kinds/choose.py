"""choose: candidates → the one that the model finds most consistent with the others."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import Field

from thinkgraph.models.capabilities import Capability
from thinkgraph.models.errors import NoProbabilities
from thinkgraph.models.model import NOT_WRITTEN, Message, continued
from thinkgraph.nodes.base.cost import Cost, PopulationBounds, RequestBounds, token_bound
from thinkgraph.nodes.base.sampling_node import SamplingNode
from thinkgraph.nodes.event import CandidateUpdated
from thinkgraph.nodes.judging.written import written_option
from thinkgraph.nodes.population import Candidate, State, Update
from thinkgraph.nodes.prompts.prompt import PromptSetting
from thinkgraph.nodes.prompts.truncation import OPTION_TOKENS, truncate_texts
from thinkgraph.nodes.step import Step, gather

T = TypeVar("T")

LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Choose(SamplingNode):
    """Let the model choose one of the live candidates, labelled A, B, C …; the others are retired.

    The choice is the label with the highest probability, read from the logits; the probability
    becomes the candidate's score. With ``verdict: text`` it is the label that the model writes,
    for models that give no probabilities. If there are more than ``group`` candidates, the model
    chooses one per group, and then among the chosen ones.
    """

    kind: ClassVar[str] = "choose"
    undemanding: ClassVar[Mapping[str, Any]] = {"verdict": "text"}
    about: ClassVar[str] = "candidates → the one that the model finds most consistent"
    input_channels: ClassVar[frozenset[str]] = frozenset({"question", "candidates"})
    output_channels: ClassVar[frozenset[str]] = frozenset({"candidates"})
    variables: ClassVar[frozenset[str]] = frozenset({"drafts"})

    prompt: PromptSetting = "most-consistent"
    verdict: Literal["logits", "text"] = Field(
        "logits", description="read the label from the logits or the text"
    )
    lead: str = Field("", description="text before the label, at the start of the completion")
    orders: int = Field(
        1,
        ge=1,
        le=len(LABELS),
        description="number of orders in which a group is shown; their probabilities are "
        "averaged, which reduces position bias",
    )
    group: int = Field(
        8, ge=2, le=len(LABELS), description="maximum number of candidates per prompt"
    )

    @property
    def needs(self) -> frozenset[Capability]:
        """Probabilities of the labels, unless the label is read from the text."""
        return super().needs | ({"probabilities"} if self.verdict == "logits" else frozenset())

    async def run(self, state: State, step: Step) -> Update:
        """Choose until one candidate is left; if the budget ends first, several stay live."""
        field = [candidate for candidate in state.live if not candidate.is_blank]
        seen = {candidate.id: candidate for candidate in state.live}
        seen_groups = 0
        while len(field) > 1:
            groups = [field[i : i + self.group] for i in range(0, len(field), self.group)]
            work = [self._scored(g, seen_groups + i, state, step) for i, g in enumerate(groups)]
            scored = await gather(*work)
            seen_groups += len(groups)
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
        """One request per group and order, until one candidate is left; empty ones need none."""
        asked, left = list[RequestBounds](), before.live
        while left > 1:
            size, groups = min(left, self.group), -(-left // self.group)
            drafts = tuple((label, before.longest) for label in LABELS[:size])
            shown = groups * min(self.orders, size)
            request = self.requests(shows={"drafts": drafts}, prompts=shown, room=OPTION_TOKENS)
            if self.verdict == "logits":
                prefix = token_bound(self.lead)
                request = replace(request, samples=0, max_tokens=0, prefix=prefix, options=size)
            asked.append(request)
            left = groups
        return Cost(replace(before, exact=False), tuple(asked), exact=False)

    async def _scored(
        self, group: list[Candidate], number: int, state: State, step: Step
    ) -> list[Candidate] | None:
        """The group with mean probabilities as scores; None if a probability is missing."""
        if len(group) == 1:
            return group
        orders = min(self.orders, len(group))
        starts = [turn * len(group) // orders for turn in range(orders)]
        work = [
            self._shown(_turned(group, start), number * orders + turn, state, step)
            for turn, start in enumerate(starts)
        ]
        found = [chances for chances in await gather(*work) if chances is not None]
        if len(found) < orders:
            return None
        # Rotate the probabilities back, so that their order is that of the candidates.
        turned = [_turned(c, len(group) - start) for c, start in zip(found, starts, strict=True)]
        means = [math.fsum(chances) / orders for chances in zip(*turned, strict=True)]
        return [
            candidate.model_copy(update={"score": chance, "scorer": step.node})
            for candidate, chance in zip(group, means, strict=True)
        ]

    async def _shown(
        self, group: list[Candidate], number: int, state: State, step: Step
    ) -> list[float] | None:
        """The probability of each candidate when the group is shown in this order."""
        messages = truncate_texts(
            lambda texts: step.messages(
                self.prompt, state, drafts=list(zip(LABELS, texts, strict=False))
            ),
            [candidate.text for candidate in group],
            step.models(self.model),
            room=OPTION_TOKENS + (self.max_tokens if self.verdict == "text" else 0),
        )
        return await self._chances(messages, LABELS[: len(group)], number, step)

    async def _chances(
        self, messages: list[Message], labels: str, number: int, step: Step
    ) -> list[float] | None:
        """The probability of each label; None if the budget ran out or no label was chosen."""
        if self.verdict == "logits":
            begun = continued(messages, self.lead)
            try:
                found: list[float] | None = await step.choose(
                    begun, list(labels), role=self.model, adapter=self.adapter
                )
            except NoProbabilities as error:
                raise NoProbabilities(f"{error}, or set `verdict: text`") from error
            return found
        (completion,) = await step.sample(
            continued(messages, self.prefix), self.sampling, first=number, role=self.model
        )
        if completion.finish_reason in NOT_WRITTEN:
            return None
        chosen = written_option(self.prefix + completion.text, labels)
        if chosen is None:
            step.failures.append(f"{completion.text.strip()[-80:]!r} chooses no label")
            return None
        return [float(index == chosen) for index in range(len(labels))]


def _turned(items: Sequence[T], start: int) -> list[T]:
    """The items rotated so that the one at index ``start`` comes first."""
    return [*items[start:], *items[:start]]
