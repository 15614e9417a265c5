"""generate: question → n new candidates, sampled in one batch."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from thinkgraph.models.capabilities import Capability
from thinkgraph.models.model import NOT_WRITTEN, Completion, Generation, Message, continued
from thinkgraph.nodes.answers import confidence, decided
from thinkgraph.nodes.answers.vote import group
from thinkgraph.nodes.base.cost import Cost, PopulationBounds, RequestBounds
from thinkgraph.nodes.base.sampling_node import CandidateNode
from thinkgraph.nodes.budget_forcing import Thinking, Thought
from thinkgraph.nodes.event import CandidateUpdated
from thinkgraph.nodes.population import Candidate, State, Update
from thinkgraph.nodes.prompts.prompt import PromptSetting
from thinkgraph.nodes.step import Step, gather

Rule = Literal["never", "decided", "confident", "unanimous"]
WAVE = {"confident": 1, "unanimous": 5}
"""Default number of samples per wave, for the rules that have one."""


class Generate(CandidateNode):
    """Sample new candidate answers to the question; they join the population.

    ``until`` may stop the sampling early. ``decided`` is lossless: once the samples in progress
    can't change the winner or the tie of an unweighted majority vote, they are cancelled. They are
    recorded with their tokens, outside the population. They could have changed another kind of
    vote, whose note then says so. ``confident`` samples in waves until the leading answer is more
    frequent than the next with a probability of ``threshold`` (adaptive-consistency,
    arXiv 2305.11860). ``unanimous`` samples until a whole wave agrees (ESC, arXiv 2401.10480,
    figure 1).

    Several ``models`` sample concurrently, and the node fails only if all of them do. They have no
    stopping rule.
    """

    kind: ClassVar[str] = "generate"
    about: ClassVar[str] = "question → n new candidates, sampled in one batch"
    output_channels: ClassVar[frozenset[str]] = frozenset({"candidates"})

    prompt: PromptSetting = "question"
    samples: int = Field(1, ge=1, le=256, description="maximum number of candidates per model")
    models: tuple[str, ...] = Field(
        (), description="roles of the models that each sample candidates; empty: only `model`"
    )
    until: Rule = Field("never", description="rule that stops the sampling early")
    threshold: float = Field(
        0.95,
        gt=0.5,
        lt=1,
        description="with `until: confident`: minimum probability at which sampling stops",
    )
    wave: int = Field(
        0,
        ge=0,
        le=256,
        description="samples per wave; 0: the default of the rule's paper (`confident` 1, "
        "`unanimous` 5), else all samples in one wave",
    )
    thinking: Thinking | None = Field(
        None,
        description="budget forcing: length and texts of the thought before the answer; null: off",
    )

    @model_validator(mode="after")
    def _can_stop(self) -> Generate:
        if len(self.models) > 1 and self.until in WAVE.keys() | {"decided"}:
            raise ValueError(f"`until: {self.until}` can't go with several `models`")
        if self.thinking is not None and self.until == "decided":
            raise ValueError("`until: decided` can't go with `thinking`; use `unanimous`")
        return self

    @property
    def needs(self) -> frozenset[Capability]:
        """The capability to continue a given text as well, with ``thinking``."""
        return super().needs | (frozenset({"beginnings"}) if self.thinking else frozenset())

    @property
    def writes_answer(self) -> bool:
        """True for one sample without thinking or prefix, if there are no other candidates."""
        one = self.samples * len(self.model_roles) == 1
        return one and self.thinking is None and not self.prefix

    async def run(self, state: State, step: Step) -> Update:
        """Sample one prompt, in waves if there is a stopping rule; completions are candidates."""
        messages = continued(step.messages(self.prompt, state), self.prefix)
        work = [
            self._sample(messages, role, i * self.samples, state, step)
            for i, role in enumerate(self.model_roles)
        ]
        found = await step.any_of(*work)
        return Update(candidates=tuple(draft for drafts in found for draft in drafts))

    async def _sample(
        self, messages: list[Message], role: str, first: int, state: State, step: Step
    ) -> list[Candidate]:
        """The candidates of one model; ``first`` is the index of the first one."""
        size = self.wave or WAVE.get(self.until, self.samples)
        drafts: list[Candidate] = []
        while len(drafts) < self.samples:
            n = min(size, self.samples - len(drafts))
            poll = _Poll(self, state.question, drafts, first + len(drafts), step)
            wave = await self._wave(messages, role, n, poll, step)
            drafts += wave
            if self._settled(drafts, wave, state) or any(_is_cut(draft) for draft in wave):
                break
        return drafts

    def cost(self, before: PopulationBounds) -> Cost:
        """One request per wave, or per part of each thought."""
        size = min(self.wave or WAVE.get(self.until, self.samples), self.samples)
        waves, rest = divmod(self.samples, size)
        thinking, asked, longest = self.thinking, list[RequestBounds](), self.longest
        models = len(self.model_roles)
        for turns, n in ((waves, size), (1, rest)):
            if thinking is not None and n:
                asked += thinking.requests(self.requests(calls=n * models, turns=turns))
                longest = self.longest + thinking.longest
            elif n:
                asked.append(self.requests(samples=n, calls=models, turns=turns))
        born = self.samples * models
        certain = before.exact and self.until == "never"
        after = before.added(born, longest, live=before.live + born, exact=certain)
        return Cost(after, tuple(asked), exact=thinking is None and size == self.samples)

    async def _wave(
        self, messages: list[Message], role: str, n: int, poll: _Poll, step: Step
    ) -> list[Candidate]:
        if self.thinking is not None:
            samples = range(poll.first, poll.first + n)
            work = [self._thought(messages, role, i, self.thinking, step) for i in samples]
            return await gather(*work)
        completions = await step.sample(
            messages,
            self.sampling,
            n=n,
            first=poll.first,
            role=role,
            done=poll.take,
        )
        return [poll.drafts.get(c.sample) or poll.draft(c) for c in completions]

    async def _thought(
        self, messages: list[Message], role: str, sample: int, thinking: Thinking, step: Step
    ) -> Candidate:
        thought = Thought(messages, self.sampling, sample, step, role=role)
        candidate = self.candidate(await thought.think(thinking, self.extract), step)
        step.emit(CandidateUpdated(candidate=candidate))
        return candidate

    def _settled(
        self, drafts: Sequence[Candidate], wave: Sequence[Candidate], state: State
    ) -> bool:
        if self.until == "unanimous":
            return _votes(wave, state.question) == [len(wave)]
        if self.until == "confident":
            first, second = [*_votes(drafts, state.question), 0, 0][:2]
            return first > 0 and confidence(first, [second]) >= self.threshold
        return self.until == "decided" and self.is_decided(drafts, state.question)

    def is_decided(self, drafts: Sequence[Candidate], question: str) -> bool:
        """Whether the remaining samples can't change the winner or the tie of the vote."""
        remaining = self.samples - sum(not _is_cancelled(draft) for draft in drafts)
        return decided(_votes(drafts, question), remaining)


class _Poll:
    """The vote while samples are still being generated; cancels them once it is decided.

    Args:
        node: the node that samples.
        question: the question.
        before: the candidates of the waves before.
        first: the index of the wave's first sample.
        step: the run of the node.
    """

    def __init__(
        self, node: Generate, question: str, before: Sequence[Candidate], first: int, step: Step
    ) -> None:
        self._node, self._question, self._before, self._step = node, question, before, step
        self.first = first
        self._over = False
        self.drafts: dict[int, Candidate] = {}

    def take(self, completion: Completion, generation: Generation) -> None:
        """Count a completion; cancel the others once they can't change the vote."""
        draft = self.drafts[completion.sample] = self.draft(completion)
        self._step.emit(CandidateUpdated(candidate=draft))
        if self._node.until != "decided" or self._over:
            return
        if self._node.is_decided([*self._before, *self.drafts.values()], self._question):
            self._over = True
            generation.cancel()

    def draft(self, completion: Completion) -> Candidate:
        """The candidate of a completion; one that ends after the decision counts as cancelled."""
        if self._over and completion.finish_reason not in NOT_WRITTEN:
            completion = completion.model_copy(update={"finish_reason": "cancelled"})
        candidate = self._node.candidate(completion, self._step, first=self.first)
        return candidate.retired() if _is_cancelled(candidate) else candidate


def _votes(drafts: Sequence[Candidate], question: str) -> list[int]:
    """The votes of each answer in descending order; candidates cut short don't vote."""
    answers = [None if _is_cut(draft) or not draft.live else draft.answer for draft in drafts]
    return sorted((len(members) for members in group(answers, question=question)), reverse=True)


def _is_cancelled(draft: Candidate) -> bool:
    return draft.finish_reason == "cancelled"


def _is_cut(draft: Candidate) -> bool:
    return draft.finish_reason == "budget"
