"""synthesize: candidates → one new candidate written from all of them."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from thinkgraph.models.model import NOT_WRITTEN, continued
from thinkgraph.nodes.base.cost import Cost, PopulationBounds
from thinkgraph.nodes.base.sampling_node import CandidateNode
from thinkgraph.nodes.event import CandidateUpdated
from thinkgraph.nodes.population import Candidate, State, Update
from thinkgraph.nodes.prompts.prompt import PromptSetting
from thinkgraph.nodes.prompts.truncation import truncate_texts
from thinkgraph.nodes.step import Step


class Synthesize(CandidateNode):
    """Write new candidates from all live candidates together, which they replace.

    Where the model writes nothing, the candidates stay as they are.
    """

    kind: ClassVar[str] = "synthesize"
    about: ClassVar[str] = "candidates → one new candidate written from all of them"
    input_channels: ClassVar[frozenset[str]] = frozenset({"question", "candidates"})
    output_channels: ClassVar[frozenset[str]] = frozenset({"candidates"})
    variables: ClassVar[frozenset[str]] = frozenset({"drafts"})

    prompt: PromptSetting = "synthesize"
    samples: int = Field(1, ge=1, le=256, description="number of new candidates per model")
    models: tuple[str, ...] = Field(
        (), description="roles of the models that each write new candidates; empty: only `model`"
    )

    @property
    def writes_answer(self) -> bool:
        """True for a single sample without a prefix: it replaces all candidates before it."""
        return self.samples * len(self.model_roles) == 1 and not self.prefix

    async def run(self, state: State, step: Step) -> Update:
        """Sample from one prompt with all candidates; they stay live if no sample replaces them."""
        read = [candidate for candidate in state.live if not candidate.is_blank]
        work = [self._write(i, role, read, state, step) for i, role in enumerate(self.model_roles)]
        written = [candidate for family in await step.any_of(*work) for candidate in family]
        asked = [candidate for candidate in written if candidate.finish_reason not in NOT_WRITTEN]
        if asked and all(candidate.is_blank for candidate in asked):
            step.failures.append("the candidates are kept as they are: the model wrote nothing")
        if not read or any(not candidate.is_blank for candidate in asked):
            changed = [*(candidate.retired() for candidate in state.live), *written]
        else:
            changed = [candidate.retired() for candidate in written]
        for candidate in changed:
            step.emit(CandidateUpdated(candidate=candidate))
        return Update(candidates=tuple(changed))

    async def _write(
        self, index: int, role: str, read: list[Candidate], state: State, step: Step
    ) -> list[Candidate]:
        """The new candidates of one model."""
        messages = truncate_texts(
            lambda texts: continued(step.messages(self.prompt, state, drafts=texts), self.prefix),
            [candidate.text for candidate in read],
            step.models(role),
            room=self.max_tokens,
        )
        first = index * self.samples
        completions = await step.sample(
            messages, self.sampling, n=self.samples, first=first, role=role
        )
        return [self.candidate(each, step, first=first, parents=read) for each in completions]

    def cost(self, before: PopulationBounds) -> Cost:
        """One request per model, with all candidates in the prompt."""
        drafts = (before.longest,) * before.live
        asked = self.requests(
            shows={"drafts": drafts},
            calls=len(self.model_roles),
            samples=self.samples,
            room=self.max_tokens,
        )
        born = self.samples * len(self.model_roles)
        live = max(born, before.live)  # the candidates may be kept
        exact = before.exact and before.live in (0, born)
        return Cost(before.added(born, self.longest, live=live, exact=exact), (asked,))
