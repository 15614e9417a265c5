"""critique: each candidate → a critique with a verdict."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field

from thinkgraph.models.capabilities import Capability
from thinkgraph.models.errors import NoProbabilities
from thinkgraph.models.model import NOT_WRITTEN, Completion, Message, continued
from thinkgraph.nodes.base.cost import (
    Cost,
    PopulationBounds,
    RequestBounds,
    TextBound,
    token_bound,
)
from thinkgraph.nodes.base.sampling_node import SamplingNode
from thinkgraph.nodes.event import CritiqueAdded
from thinkgraph.nodes.judging.judgement import LONGEST_REASON, Judgement
from thinkgraph.nodes.judging.verifying import hosted, verify
from thinkgraph.nodes.judging.written import last_option, written_option
from thinkgraph.nodes.population import Candidate, Criticism, State, Update
from thinkgraph.nodes.prompts.prompt import PromptSetting
from thinkgraph.nodes.prompts.truncation import OPTION_TOKENS, truncate_texts
from thinkgraph.nodes.step import Step, gather

META = ("Yes", "No")
META_TOKENS = 64
EMPTY = "There is no answer."
CUT_OFF = "The answer was cut off before its end."


class Critique(SamplingNode):
    """Review every live candidate that this node has not reviewed yet, and accept or reject it.

    The critic writes a review. The probabilities of the two verdicts, as continuations of the
    review, are read from the logits, so that the wording of a small model can't be misread.
    ``verdict: text`` reads the last verdict in the review instead, for models without logits; the
    prompt then asks for one of the ``verdicts``, and a review without one rejects.

    With ``meta`` the critiques are checked: for each one that rejects, the model is asked whether
    the faults that it names are real. The rejection is weighted by the probability of a yes.

    A candidate that is empty or, if there are finished ones, was cut off is rejected without asking
    the model.

    With ``verifier`` a function of the host judges instead of the model: its verdict, or a score of
    at least ``threshold``, accepts a candidate, and its reason is the text of the critique.
    """

    kind: ClassVar[str] = "critique"
    undemanding: ClassVar[Mapping[str, Any]] = {"verdict": "text"}
    about: ClassVar[str] = "each candidate → a critique with a verdict"
    input_channels: ClassVar[frozenset[str]] = frozenset({"question", "candidates"})
    output_channels: ClassVar[frozenset[str]] = frozenset({"critiques"})
    variables: ClassVar[frozenset[str]] = frozenset({"candidate", "answer", "verdicts", "critique"})

    prompt: PromptSetting = "critique"
    samples: int = Field(1, ge=1, le=64, description="critiques per candidate")
    verdict: Literal["logits", "text"] = Field(
        "logits", description="read the verdict from the logits or the text"
    )
    lead: str = Field("\n\nVerdict:", description="text between the review and the verdict")
    accept: str = Field(" correct", description="text of the accepting verdict")
    reject: str = Field(" wrong", description="text of the rejecting verdict")
    threshold: float = Field(
        0.5,
        ge=0,
        le=1,
        description="minimum probability, or score of the verifier, to accept a candidate",
    )
    meta: PromptSetting | None = Field(
        None,
        description="prompt that asks whether the faults named by a rejecting critique are real "
        "(Yes or No); null: critiques are not checked",
    )
    verifier: str = Field(
        "",
        description="name of a verifier, bound by the host or built in, that judges in place of "
        "the model; empty: the model judges",
    )
    timeout: float = Field(
        10.0, gt=0, description="time limit of one call of the verifier, in seconds"
    )

    @property
    def needs(self) -> frozenset[Capability]:
        """Probabilities of the verdicts, unless they are read from the text."""
        if self.verifier:
            return frozenset()
        return super().needs | ({"probabilities"} if self.verdict == "logits" else frozenset())

    @property
    def verifiers_wanted(self) -> tuple[str, ...]:
        """The verifier, if there is one that the host has to bind."""
        return hosted(self.verifier)

    async def run(self, state: State, step: Step) -> Update:
        """Review all new candidates concurrently."""
        fresh = [c for c in state.live if not self._has_reviewed(c, state, step)]
        if self.verifier:
            return Update(critiques=await self._verified(fresh, state, step))
        work = [self._review(c, i, state, step) for i, c in enumerate(fresh)]
        return Update(critiques=tuple(review for found in await gather(*work) for review in found))

    def cost(self, before: PopulationBounds) -> Cost:
        """The reviews of new candidates, and a verdict for each; no requests with a verifier.

        Candidates that are empty or cut off need none.
        """
        if self.verifier:
            return Cost(before.judged(LONGEST_REASON))
        shows: dict[str, TextBound] = {
            "candidate": before.longest,
            "answer": before.longest,
            "verdicts": self._verdicts,
        }
        review = self.requests(shows=shows, prompts=before.fresh, samples=self.samples)
        verdict = replace(
            review,
            calls=self.samples,
            samples=0,
            max_tokens=0,
            prefix=self.longest + token_bound(self.lead),
            options=token_bound(self.accept, self.reject),
        )
        asked = [review, verdict] if self.verdict == "logits" else [review]
        if self.meta is not None:
            checked = {**shows, "critique": self.longest}
            asked.append(self._meta_cost(review, checked))
        said = max(self.samples * (self.longest + 2), token_bound(CUT_OFF))
        return Cost(before.judged(said), tuple(asked), exact=False)

    def _meta_cost(self, review: RequestBounds, shows: Mapping[str, TextBound]) -> RequestBounds:
        """One request per review, since all may reject."""
        asked = replace(review, prompt=self.meta or "", shows=shows, prefix=0)
        prompts = review.prompts * self.samples
        if self.verdict == "text":
            return replace(asked, prompts=prompts, samples=1, max_tokens=META_TOKENS)
        options = token_bound(*META)
        return replace(asked, prompts=prompts, samples=0, max_tokens=0, options=options)

    async def _verified(
        self, fresh: list[Candidate], state: State, step: Step
    ) -> tuple[Criticism, ...]:
        """The judgements of a verifier as critiques."""
        found = await verify(fresh, self.verifier, state, step, self.timeout)
        critiques = tuple(
            found[candidate.id].criticism(candidate, self.verifier, i, self.threshold, step)
            for i, candidate in enumerate(fresh)
            if candidate.id in found
        )
        for criticism in critiques:
            step.emit(CritiqueAdded(critique=criticism))
        return critiques

    @staticmethod
    def _has_reviewed(candidate: Candidate, state: State, step: Step) -> bool:
        return any(found.node == step.node for found in state.critiques_of(candidate))

    async def _review(
        self, candidate: Candidate, index: int, state: State, step: Step
    ) -> list[Criticism]:
        first = index * self.samples
        if fault := _fault(candidate, state):
            rejection = Judgement(0.0, False, fault).criticism(candidate, "", first, 0, step)
            step.emit(CritiqueAdded(critique=rejection))
            return [rejection]
        known = {"answer": candidate.answer or "", "verdicts": self._verdicts}
        messages = truncate_texts(
            lambda texts: step.messages(self.prompt, state, candidate=texts[0], **known),
            [candidate.text],
            step.models(self.model),
            room=self.max_tokens + OPTION_TOKENS,
        )
        reviews = await step.sample(
            continued(messages, self.prefix),
            self.sampling,
            n=self.samples,
            first=first,
            role=self.model,
        )
        whole = [review for review in reviews if review.finish_reason not in NOT_WRITTEN]

        async def judge(review: Completion) -> Criticism | None:
            found = await self._judge(review, candidate, first, messages, step)
            if found and self.meta is not None and not found.accepted:
                found = await self._checked(found, candidate, first + review.sample, state, step)
            if found:
                step.emit(CritiqueAdded(critique=found))
            return found

        return [found for found in await gather(*map(judge, whole)) if found is not None]

    async def _judge(
        self,
        review: Completion,
        candidate: Candidate,
        first: int,
        messages: list[Message],
        step: Step,
    ) -> Criticism | None:
        """Make a critique of a review; None if the budget ran out before its verdict."""
        text = self.prefix + review.text
        probability = None
        if self.verdict == "logits":
            probability = await self._probability(messages, text, step)
            if probability is None:
                return None
        if probability is None:
            said = last_option(text, self._verdicts)
            if said is None:
                step.failures.append(f"{text.strip()[-80:]!r} has no verdict, so it rejects")
            accepted = said == 0
        else:
            accepted = self._passes(probability)
        return Criticism(
            id=step.id(first + review.sample),
            node=step.node,
            round=step.round,
            candidate=candidate.id,
            text=text,
            accepted=accepted,
            probability=probability,
            seed=review.seed,
            tokens=review.tokens,
        )

    async def _probability(self, messages: list[Message], text: str, step: Step) -> float | None:
        try:
            probabilities = await step.choose(
                continued(messages, text + self.lead),
                [self.accept, self.reject],
                role=self.model,
                adapter=self.adapter,
            )
        except NoProbabilities as error:
            raise NoProbabilities(f"{error}, or set `verdict: text`") from error
        return probabilities[0] if probabilities else None

    async def _checked(
        self, found: Criticism, candidate: Candidate, sample: int, state: State, step: Step
    ) -> Criticism | None:
        """A rejecting critique, weighted by whether its faults are real; None without budget."""
        known = {"answer": candidate.answer or "", "verdicts": self._verdicts}

        def render(texts: list[str]) -> list[Message]:
            shown = {"candidate": texts[0], "critique": texts[1]}
            return step.messages(self.meta or "", state, **shown, **known)

        texts, model = [candidate.text, found.text], step.models(self.model)
        messages = truncate_texts(render, texts, model, room=META_TOKENS)
        valid = await self._valid(messages, sample, step)
        if valid is None:
            return None
        probability = 1 - (1 - (found.probability or 0.0)) * valid
        changed = {"probability": probability, "accepted": self._passes(probability)}
        return found.model_copy(update=changed)

    async def _valid(self, messages: list[Message], sample: int, step: Step) -> float | None:
        """The probability of Yes: the faults are real; None without budget."""
        if self.verdict == "logits":
            found = await step.choose(messages, META, role=self.model, adapter=self.adapter)
            return found[0] if found else None
        sampling = self.without_thinking(step).model_copy(update={"max_tokens": META_TOKENS})
        (reply,) = await step.sample(messages, sampling, first=sample, part=1, role=self.model)
        if reply.finish_reason in NOT_WRITTEN:
            return None
        said = written_option(reply.text, META)
        if said is None:
            step.failures.append(f"{reply.text.strip()[-80:]!r} says neither Yes nor No")
        return float(said != 1)  # what can't be read leaves the critique as it is

    def _passes(self, probability: float) -> bool:
        return probability >= self.threshold

    @property
    def _verdicts(self) -> tuple[str, ...]:
        """The verdicts with which a review may end; empty with ``verdict: logits``."""
        return (self.accept.strip(), self.reject.strip()) if self.verdict == "text" else ()


def _fault(candidate: Candidate, state: State) -> str:
    """Why a candidate is rejected without a review; empty if it isn't."""
    if candidate.is_blank:
        return EMPTY
    is_cut = not candidate.is_finished and not candidate.partial
    return CUT_OFF if is_cut and any(other.is_finished for other in state.live) else ""
