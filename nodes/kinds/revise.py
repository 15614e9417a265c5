"""revise: candidate + critique (or its peers' answers) → a better candidate."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from thinkgraph.models.model import NOT_WRITTEN, continued
from thinkgraph.nodes.base.cost import Cost, PopulationBounds
from thinkgraph.nodes.base.sampling_node import CandidateNode
from thinkgraph.nodes.event import CandidateUpdated
from thinkgraph.nodes.population import Candidate, State, Update
from thinkgraph.nodes.prompts.prompt import PromptSetting
from thinkgraph.nodes.quality import QUALITIES, Quality
from thinkgraph.nodes.step import Step, gather


class Revise(CandidateNode):
    """Rewrite every live candidate that no critic has accepted.

    The new candidate replaces its parent in the population. With ``keep: better`` it does so only
    if it scores higher; otherwise it is retired, but still reported and counted. ``keep: both``
    keeps both, for a critic and a select node to choose.
    """

    kind: ClassVar[str] = "revise"
    about: ClassVar[str] = "candidate + critique (or its peers' answers) → a better candidate"
    input_channels: ClassVar[frozenset[str]] = frozenset({"question", "candidates"})
    output_channels: ClassVar[frozenset[str]] = frozenset({"candidates"})
    variables: ClassVar[frozenset[str]] = frozenset({"candidate", "answer", "critique", "peers"})

    prompt: PromptSetting = "revise"
    keep: Literal["always", "better", "both"] = Field(
        "always", description="when a rewrite is kept"
    )
    by: Quality = Field("logprob", description="what `keep: better` compares")

    async def run(self, state: State, step: Step) -> Update:
        """All rewritings side by side."""
        parents = [c for c in state.live if not (state.critiques_of(c) and state.accepts(c))]
        work = [self._rewrite(parent, i, state, step) for i, parent in enumerate(parents)]
        return Update(candidates=tuple(c for pair in await gather(*work) for c in pair))

    def cost(self, before: PopulationBounds) -> Cost:
        """A request for each live candidate; those that critics accept need none."""
        shows = {
            "candidate": before.longest,
            "answer": before.longest,
            "critique": before.critique_tokens,
            "peers": (before.longest,) * (before.live - 1),
        }
        certain = before.exact and not before.critique_tokens
        alive = before.live * (2 if self.keep == "both" else 1)
        after = before.added(before.live, self.longest, live=alive, exact=before.exact)
        return Cost(after, (self.requests(shows=shows, prompts=before.live),), exact=certain)

    async def _rewrite(
        self, parent: Candidate, index: int, state: State, step: Step
    ) -> tuple[Candidate, Candidate]:
        messages = step.messages(
            self.prompt,
            state,
            candidate=parent.text,
            answer=parent.answer or "",
            critique=_faults(parent, state),
            peers=[peer.text for peer in state.live if peer.id != parent.id],
        )
        (completion,) = await step.sample(
            continued(messages, self.prefix), self.sampling, first=index, role=self.model
        )
        child = self.candidate(completion, step, first=index, parents=[parent])
        pair = self._kept(child, parent, state)
        for candidate in pair:
            step.emit(CandidateUpdated(candidate=candidate))
        return pair

    def _kept(
        self, child: Candidate, parent: Candidate, state: State
    ) -> tuple[Candidate, Candidate]:
        if child.finish_reason in (*NOT_WRITTEN, "cancelled"):
            return parent, child.retired()
        if self.keep == "both":
            return parent, child
        measure = QUALITIES[self.by]
        if self.keep == "always" or measure(child, state) > measure(parent, state):
            return parent.retired(), child
        return child.retired(), parent


def _faults(candidate: Candidate, state: State) -> str:
    """What the last critics found wrong with a candidate; all they said if they accept it."""
    found = state.critiques_of(candidate)
    last = [c for c in found if (c.node, c.round) == (found[-1].node, found[-1].round)]
    against = [critique for critique in last if not critique.accepted] or last
    return "\n\n".join(critique.text.strip() for critique in against)
