"""synthesize: candidates → one new candidate written from all of them."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from thinkgraph.models.model import NOT_WRITTEN, continued
from thinkgraph.nodes.base.cost import Cost, PopulationBounds
from thinkgraph.nodes.base.sampling_node import CandidateNode
from thinkgraph.nodes.event import CandidateUpdated
from thinkgraph.nodes.population import State, Update
from thinkgraph.nodes.prompts.prompt import PromptSetting
from thinkgraph.nodes.prompts.truncation import truncate_texts
from thinkgraph.nodes.step import Step


class Synthesize(CandidateNode):
    """Write new candidates from all live candidates together; they replace them."""

    kind: ClassVar[str] = "synthesize"
    about: ClassVar[str] = "candidates → one new candidate written from all of them"
    input_channels: ClassVar[frozenset[str]] = frozenset({"question", "candidates"})
    output_channels: ClassVar[frozenset[str]] = frozenset({"candidates"})
    variables: ClassVar[frozenset[str]] = frozenset({"drafts"})

    prompt: PromptSetting = "synthesize"
    samples: int = Field(1, ge=1, le=256, description="number of new candidates")

    @property
    def writes_answer(self) -> bool:
        """With one sample, which takes the place of all candidates before it."""
        return self.samples == 1 and not self.prefix

    async def run(self, state: State, step: Step) -> Update:
        """One prompt that holds every candidate; what the budget cuts short replaces none."""
        read = [candidate for candidate in state.live if candidate.text.strip()]
        messages = truncate_texts(
            lambda texts: continued(step.messages(self.prompt, state, drafts=texts), self.prefix),
            [candidate.text for candidate in read],
            step.models(self.model),
            room=self.max_tokens,
        )
        completions = await step.sample(messages, self.sampling, n=self.samples, role=self.model)
        written = [self.candidate(completion, step, parents=read) for completion in completions]
        whole = [candidate for candidate in written if candidate.finish_reason not in NOT_WRITTEN]
        if whole or not read:
            changed = [*(candidate.retired() for candidate in state.live), *written]
        else:
            changed = [candidate.retired() for candidate in written]
        for candidate in changed:
            step.emit(CandidateUpdated(candidate=candidate))
        return Update(candidates=tuple(changed))

    def cost(self, before: PopulationBounds) -> Cost:
        """One request, of all candidates."""
        drafts = (before.longest,) * before.live
        asked = self.requests(shows={"drafts": drafts}, samples=self.samples, room=self.max_tokens)
        after = before.added(self.samples, self.longest, live=self.samples, exact=True)
        return Cost(after, (asked,))
