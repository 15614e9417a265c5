"""Judging by a model: yes or no, on a scale, or in pairs; by probabilities or written answers."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from pydantic import Field

from thinkgraph.models.capabilities import Capability
from thinkgraph.models.errors import NoProbabilities
from thinkgraph.models.model import NOT_WRITTEN, Completion, Message, Sampling, continued
from thinkgraph.nodes.base.cost import Cost, PopulationBounds, RequestBounds, TextBound, token_bound
from thinkgraph.nodes.base.sampling_node import SamplingNode
from thinkgraph.nodes.event import CritiqueAdded
from thinkgraph.nodes.judging.scale import Scale
from thinkgraph.nodes.judging.written import written_option
from thinkgraph.nodes.population import Candidate, Criticism, State
from thinkgraph.nodes.prompts.prompt import Prompt, PromptSetting
from thinkgraph.nodes.prompts.truncation import OPTION_TOKENS, truncate_texts
from thinkgraph.nodes.step import Step, gather

ASKING = frozenset({"judge", "scale", "pairwise"})
"""Scores that ask a model."""
LEAD = "Score:"
"""Default text before the score on a scale."""


class ModelJudge(SamplingNode):
    """The part of a score node that asks a model, with its settings."""

    undemanding: ClassVar[Mapping[str, Any]] = {"verdict": "text"}

    by: str = Field("logprob", description="how the score is computed")
    prompt: PromptSetting = Field(
        "judge", description="prompt of `judge` and `scale`; the default for `scale` is `rate`"
    )
    versus: PromptSetting = Field("compare", description="prompt of `pairwise`")
    verdict: Literal["logits", "text"] = Field(
        "logits", description="read the model's answer from the logits or the text"
    )
    samples: int = Field(
        1,
        ge=1,
        le=64,
        description="with `reason` or `verdict: text`: completions per candidate, whose scores "
        "are averaged",
    )
    lead: str = Field(
        "",
        description="text before the option, at the start of the completion or after the reason; "
        "the default for `scale` is `Score:`",
    )
    accept: str = Field("Yes", description="the option of `judge` in favour of a candidate")
    reject: str = Field("No", description="the option of `judge` against a candidate")
    labels: tuple[str, str] = Field(
        ("A", "B"), description="the options of `pairwise`, for the first and the second candidate"
    )
    scale: tuple[int, int] = Field((1, 10), description="the worst and the best score of `scale`")
    rubric: str = Field(
        "", description="criteria of `scale`: what to rate, and what the scores mean"
    )
    reason: bool = Field(
        False, description="with `scale`: whether the model writes a reason before the score"
    )
    threshold: float | None = Field(
        None,
        description="minimum score at which a critique accepts; null: the middle of the scale, "
        "0.5 for `verifier`",
    )

    @property
    def scorer(self) -> str:
        """The kind of score: one of :data:`ASKING` if a model is asked."""
        return self.by

    @property
    def needs(self) -> frozenset[Capability]:
        """Probabilities of the options, where a model is asked and the logits are read."""
        if self.scorer not in ASKING:
            return frozenset()
        return super().needs | ({"probabilities"} if self.verdict == "logits" else frozenset())

    @property
    def has_reasons(self) -> bool:
        """Whether the model writes reasons, which are critiques."""
        return self.scorer == "scale" and self.reason

    def asking_cost(self, before: PopulationBounds) -> Cost:
        """One request per candidate, or two per match of the tournament; more with reasons.

        Empty candidates need none.
        """
        text = before.longest
        if self.scorer == "pairwise":
            shows: dict[str, TextBound] = {"first": text, "second": text}
            asked = self.requests(shows=shows, prompts=max(0, before.live - 1), turns=2)
            asked = replace(asked, prompt=self.versus, room=OPTION_TOKENS)
            return Cost(before, (self._answered(asked, self.labels),), exact=False)
        shows = {"candidate": text, "answer": text, **self._terms}
        # Another score node may have scored some candidates since; this node scores them again.
        asked = self.requests(shows=shows, prompts=before.live)
        asked = replace(asked, prompt=self._question)
        after = before.judged(self.samples * self.longest if self.has_reasons else 0)
        if not self.has_reasons or self.verdict == "text":
            return Cost(after, (self._answered(asked, self._options),), exact=False)
        scores = replace(asked, calls=self.samples, prefix=self.longest)
        reasons = replace(asked, samples=self.samples)
        return Cost(after, (reasons, self._answered(scores, self._options)), exact=False)

    def _answered(self, asked: RequestBounds, options: Sequence[str]) -> RequestBounds:
        """The requests, with an answer that is one of the options."""
        if self.verdict == "text":
            return replace(asked, samples=self.samples)
        prefix = asked.prefix + token_bound(self._lead)
        read = token_bound(*options)
        return replace(asked, samples=0, max_tokens=0, prefix=prefix, options=read)

    @property
    def _options(self) -> list[str]:
        if self.scorer == "scale":
            space = "" if self._lead[-1:].isspace() else " "
            return [f"{space}{score}" for score in self._scale.scores]
        return [self.accept, self.reject]

    @property
    def _scale(self) -> Scale:
        return Scale(*self.scale)

    @property
    def _question(self) -> str | Prompt:
        """The prompt; the default depends on the score."""
        is_default = "prompt" not in self.model_fields_set
        return "rate" if self.scorer == "scale" and is_default else self.prompt

    @property
    def prompts_used(self) -> frozenset[str]:
        """Names of the prompts of the settings, and of the default prompt of the scale."""
        own = self._question
        return super().prompts_used | (frozenset({own}) if isinstance(own, str) else frozenset())

    @property
    def _lead(self) -> str:
        is_default = "lead" not in self.model_fields_set
        return LEAD if self.scorer == "scale" and is_default else self.lead

    @property
    def _terms(self) -> dict[str, str]:
        """Variables of the prompt of a scale, beside the candidate."""
        low, high = self.scale
        flags = {"reason": self.reason, "written": self.verdict == "text"}
        return {"rubric": self.rubric, "low": str(low), "high": str(high)} | {
            name: "yes" if value else "" for name, value in flags.items()
        }

    async def judge(
        self, candidate: Candidate, index: int, state: State, step: Step
    ) -> tuple[float | None, list[Criticism]]:
        """A candidate's score (None if none could be read), and the reasons for it as critiques.

        An empty one has the worst score, without a call.
        """
        if candidate.is_blank:
            return float(self._scale.low if self.scorer == "scale" else 0), []
        known = {"answer": candidate.answer or "", **self._terms}
        writes = self.has_reasons or self.verdict == "text"
        messages = truncate_texts(
            lambda texts: step.messages(self._question, state, candidate=texts[0], **known),
            [candidate.text],
            step.models(self.model),
            room=OPTION_TOKENS + (self.max_tokens if writes else 0),
        )
        if self.verdict == "logits" and not self.has_reasons:
            return await self._chosen(messages, self._lead, step), []
        first = index * self.samples
        texts = await self._written(messages, first, step)
        found = await gather(*(self._read(text, messages, step) for text in texts))
        read = [
            (text, score) for text, score in zip(texts, found, strict=True) if score is not None
        ]
        score = _mean([score for _, score in read], texts, step)
        if not self.has_reasons:
            return score, []
        return score, [self._criticism(text, first, each, candidate, step) for text, each in read]

    async def _written(self, messages: list[Message], first: int, step: Step) -> list[Completion]:
        """Sample the model's texts, without those that the budget or an error prevented."""
        sampling: Sampling = self.sampling
        if self.verdict == "logits" and self._lead.strip():
            # Stop before a score that the model writes itself: it is read from the logits.
            stop = (*sampling.stop, self._lead.strip())
            sampling = sampling.model_copy(update={"stop": stop})
        texts = await step.sample(
            continued(messages, self.prefix),
            sampling,
            n=self.samples,
            first=first,
            role=self.model,
        )
        return [text for text in texts if text.finish_reason not in NOT_WRITTEN]

    async def _read(self, text: Completion, messages: list[Message], step: Step) -> float | None:
        """The score stated in a text or, with ``verdict: logits``, the score that follows it."""
        said = self.prefix + text.text
        if self.verdict == "logits":
            return await self._chosen(messages, f"{said.rstrip()}\n\n{self._lead}", step)
        if self.scorer == "scale":
            return self._scale.written(said)
        return _first(said, self._options)

    async def _chosen(self, messages: list[Message], begun: str, step: Step) -> float | None:
        """The score from the probabilities of the options; None if the budget ran out first."""
        found: list[float] | None = await self._probabilities(messages, begun, self._options, step)
        if found is None:
            return None
        return self._scale.expected(found) if self.scorer == "scale" else found[0]

    async def _probabilities(
        self, messages: list[Message], begun: str, options: Sequence[str], step: Step
    ) -> list[float] | None:
        try:
            return await step.choose(
                continued(messages, begun), list(options), role=self.model, adapter=self.adapter
            )
        except NoProbabilities as error:
            raise NoProbabilities(f"{error}, or set `verdict: text`") from error

    def _criticism(
        self, reason: Completion, first: int, score: float, candidate: Candidate, step: Step
    ) -> Criticism:
        least = self._scale.middle if self.threshold is None else self.threshold
        criticism = Criticism(
            id=step.id(first + reason.sample),
            node=step.node,
            round=step.round,
            candidate=candidate.id,
            text=(self.prefix + reason.text).strip(),
            accepted=score >= least,
            seed=reason.seed,
            tokens=reason.tokens,
        )
        step.emit(CritiqueAdded(critique=criticism))
        return criticism

    async def match(
        self, first: Candidate, second: Candidate, number: int, state: State, step: Step
    ) -> float | None:
        """The probability that ``first`` is better than ``second``, averaged over both orders.

        An empty one is the worse, without a call.
        """
        if first.is_blank or second.is_blank:
            return 0.5 + (second.is_blank - first.is_blank) / 2
        there = await self._prefers(first, second, 2 * number, state, step)
        back = await self._prefers(second, first, 2 * number + 1, state, step)
        return None if there is None or back is None else (there + 1 - back) / 2

    async def _prefers(
        self, first: Candidate, second: Candidate, number: int, state: State, step: Step
    ) -> float | None:
        """The probability that the first shown is better; one half if no preference is readable."""
        messages = truncate_texts(
            lambda texts: step.messages(self.versus, state, first=texts[0], second=texts[1]),
            [first.text, second.text],
            step.models(self.model),
            room=OPTION_TOKENS + (self.max_tokens if self.verdict == "text" else 0),
        )
        if self.verdict == "logits":
            found = await self._probabilities(messages, self.lead, self.labels, step)
            return found[0] if found else None
        texts = await self._written(messages, number * self.samples, step)
        read = [_first(self.prefix + text.text, self.labels) for text in texts]
        mean = _mean([each for each in read if each is not None], texts, step)
        return 0.5 if mean is None and texts else mean


def _first(text: str, options: Sequence[str]) -> float | None:
    """1 if a text names the first of the options, 0 if another, None if none."""
    found = written_option(text, options)
    return None if found is None else float(found == 0)


def _mean(scores: Sequence[float], texts: Sequence[Completion], step: Step) -> float | None:
    """The mean of the scores that could be read in texts; if none could, record a failure."""
    if scores:
        return math.fsum(scores) / len(scores)
    if texts:
        said = " ".join(texts[-1].text.split())
        step.failures.append(f"no score can be read in {said[-80:]!r}")
    return None
