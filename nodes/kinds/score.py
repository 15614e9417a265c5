"""score: each candidate → a number; a higher one is better."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from thinkgraph.models.model import continued
from thinkgraph.nodes.base.cost import Cost, PopulationBounds, RequestBounds, TextBound, token_bound
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.event import CandidateUpdated
from thinkgraph.nodes.population import Candidate, State, Update
from thinkgraph.nodes.prompts.prompt import PromptSetting
from thinkgraph.nodes.prompts.truncation import truncate_texts
from thinkgraph.nodes.quality import QUALITIES
from thinkgraph.nodes.step import Step, gather

Scorer = Literal[
    "logprob",
    "certainty",
    "tail",
    "lowest_group",
    "heuristic",
    "verdict",
    "agreement",
    "judge",
    "pairwise",
]


class Score(Node):
    """Give every live candidate a score, for a select or search node.

    ``judge`` and ``pairwise`` ask a model and read the probabilities of its answer from the logits;
    the other scores need no model. ``judge`` is the probability of ``accept`` against ``reject``,
    with one call per candidate. ``pairwise`` is a knockout tournament: in each match the model sees
    two candidates in both orders, to cancel its position bias; the score is the number of matches
    won.
    """

    kind: ClassVar[str] = "score"
    about: ClassVar[str] = "each candidate → a number; a higher one is better"
    input_channels: ClassVar[frozenset[str]] = frozenset({"question", "candidates"})
    output_channels: ClassVar[frozenset[str]] = frozenset({"candidates"})
    variables: ClassVar[frozenset[str]] = frozenset({"candidate", "answer", "first", "second"})

    by: Scorer = Field("logprob", description="the score")
    among: Literal["live", "all"] = Field(
        "live",
        description="`all` scores every complete candidate anew, where no model is asked: the "
        "`agreement` of a tree's answers is with all of them",
    )
    prompt: PromptSetting = Field("judge", description="prompt of `judge`")
    versus: PromptSetting = Field("compare", description="prompt of `pairwise`")
    model: str = Field("", description="role of the model; empty: the run's model")
    adapter: str | None = Field(None, description="a LoRA adapter: NAME, or NAME:SCALE")
    lead: str = Field("", description="text before the option, at the start of the completion")
    accept: str = Field("Yes", description="the option of `judge` in favour of a candidate")
    reject: str = Field("No", description="the option of `judge` against it")
    labels: tuple[str, str] = Field(("A", "B"), description="the options of `pairwise`")

    async def run(self, state: State, step: Step) -> Update:
        """All candidates side by side; those that the budget left unscored stay as they were."""
        if self.by == "judge":
            fresh = [candidate for candidate in state.live if candidate.scorer != step.node]
            found = await gather(*(self._judge(candidate, state, step) for candidate in fresh))
            scores = dict(zip((candidate.id for candidate in fresh), found, strict=True))
        elif self.by == "pairwise":
            scores = await self._knock_out(state, step)
        else:
            seen = state if self.among == "live" else _all_live(state)
            scores = {c.id: QUALITIES[self.by](c, seen) for c in seen.live}
        scored = [
            candidate.model_copy(update={"score": score, "scorer": step.node})
            for candidate in state.candidates.values()
            if (score := scores.get(candidate.id)) is not None and math.isfinite(score)
        ]
        for candidate in scored:
            step.emit(CandidateUpdated(candidate=candidate))
        return Update(candidates=tuple(scored))

    def cost(self, before: PopulationBounds) -> Cost:
        """A question for each candidate, or two for each match of the knock-out, or none."""
        text, lead = before.longest, token_bound(self.lead)
        if self.by == "judge":
            shows: dict[str, TextBound] = {"candidate": text, "answer": text}
            options = token_bound(self.accept, self.reject)
            # Another score node may have judged some since; then it judges them again.
            asked = RequestBounds(
                self.prompt, shows, before.live, samples=0, prefix=lead, options=options
            )
            return Cost(before.judged(), (asked,), exact=before.exact and before.first)
        if self.by == "pairwise":
            shows = {"first": text, "second": text}
            asked = RequestBounds(self.versus, shows, max(0, before.live - 1), turns=2, samples=0)
            asked = replace(asked, prefix=lead, options=token_bound(*self.labels), room=16)
            return Cost(before, (asked,), exact=before.exact)
        return Cost(before)

    async def _judge(self, candidate: Candidate, state: State, step: Step) -> float | None:
        messages = step.messages(
            self.prompt, state, candidate=candidate.text, answer=candidate.answer or ""
        )
        probabilities = await step.choose(
            continued(messages, self.lead),
            [self.accept, self.reject],
            role=self.model,
            adapter=self.adapter,
        )
        return probabilities[0] if probabilities else None

    async def _knock_out(self, state: State, step: Step) -> dict[str, float | None]:
        """A knockout tournament between neighbours; one without an opponent advances."""
        wins: dict[str, float | None] = {candidate.id: 0.0 for candidate in state.live}
        field = state.live
        while len(field) > 1:
            pairs = list(zip(field[::2], field[1::2], strict=False))
            work = [self._match(first, second, state, step) for first, second in pairs]
            chances = await gather(*work)
            if None in chances:
                break
            winners = [
                second if chance is not None and chance < 0.5 else first
                for (first, second), chance in zip(pairs, chances, strict=True)
            ]
            for winner in winners:
                wins[winner.id] = (wins[winner.id] or 0.0) + 1
            field = [*winners, *field[2 * len(pairs) :]]
        return wins

    async def _match(
        self, first: Candidate, second: Candidate, state: State, step: Step
    ) -> float | None:
        """The probability that the first is better, over both orders."""
        there = await self._prefers(first, second, state, step)
        back = await self._prefers(second, first, state, step)
        return None if there is None or back is None else (there + 1 - back) / 2

    async def _prefers(
        self, first: Candidate, second: Candidate, state: State, step: Step
    ) -> float | None:
        messages = truncate_texts(
            lambda texts: step.messages(self.versus, state, first=texts[0], second=texts[1]),
            [first.text, second.text],
            step.models(self.model),
        )
        probabilities = await step.choose(
            continued(messages, self.lead),
            list(self.labels),
            role=self.model,
            adapter=self.adapter,
        )
        return probabilities[0] if probabilities else None


def _all_live(state: State) -> State:
    """The state as if every complete candidate were in the population."""
    whole = {c.id: c.model_copy(update={"live": True}) for c in state.whole}
    return state.model_copy(update={"candidates": whole})
