"""generate: question → n new candidates, sampled in one batch."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from thinkgraph.models.model import Completion, Generation
from thinkgraph.nodes.event import Drafted
from thinkgraph.nodes.population import State, Update
from thinkgraph.nodes.prompt import PromptSetting
from thinkgraph.nodes.sampled import Answering
from thinkgraph.nodes.step import Step


class Generate(Answering):
    """Sample new candidate answers to the question; they join the population."""

    kind: ClassVar[str] = "generate"
    about: ClassVar[str] = "question → n new candidates, sampled in one batch"
    gives: ClassVar[frozenset[str]] = frozenset({"candidates"})

    prompt: PromptSetting = "question"
    samples: int = Field(1, ge=1, le=256, description="how many candidates")

    async def run(self, state: State, step: Step) -> Update:
        """One prompt, ``samples`` completions, a candidate each."""

        def drafted(completion: Completion, _: Generation) -> None:
            step.emit(Drafted(candidate=self.candidate(completion, step)))

        completions = await step.sample(
            step.messages(self.prompt, state),
            self.sampling,
            n=self.samples,
            role=self.model,
            prefix=self.prefix,
            adapter=self.adapter,
            done=drafted,
        )
        return Update(candidates=tuple(self.candidate(done, step) for done in completions))
