"""score: each candidate → a number; a higher one is better."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import count
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from thinkgraph.models.capabilities import Capability
from thinkgraph.models.errors import NoProbabilities
from thinkgraph.models.model import NOT_WRITTEN, Completion, Message, Sampling, continued
from thinkgraph.nodes.base.cost import Cost, PopulationBounds, RequestBounds, TextBound, token_bound
from thinkgraph.nodes.base.param import is_reference
from thinkgraph.nodes.base.sampling_node import SamplingNode
from thinkgraph.nodes.event import CandidateUpdated, CritiqueAdded
from thinkgraph.nodes.judging.judgement import LONGEST_REASON
from thinkgraph.nodes.judging.scale import Scale
from thinkgraph.nodes.judging.tournament import knock_out
from thinkgraph.nodes.judging.verifying import hosted, verify
from thinkgraph.nodes.judging.written import written_option
from thinkgraph.nodes.population import Candidate, Criticism, State, Update
from thinkgraph.nodes.prompts.prompt import Prompt, PromptSetting
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
    "scale",
    "pairwise",
    "verifier",
    "reward",
]
ASKING = frozenset({"judge", "scale", "pairwise"})
"""Scores that ask a model."""
LEAD = "Score:"
"""What goes before the score that a judge gives on a scale."""


class Score(SamplingNode):
    """Give every live candidate a score, for a select or search node.

    ``judge``, ``scale`` and ``pairwise`` ask a model and read the probabilities of its answer from
    the logits; the other scores need no model.

    - ``judge`` is the probability of ``accept`` against ``reject``, with one call per candidate.
    - ``scale`` is the expected score on the integers from the first of ``scale`` to the second, as
      in G-Eval (arXiv 2303.16634): the mean of the scores, weighted by their probabilities. With
      ``reason`` the model first writes a reason, which becomes a critique of the candidate; it
      accepts the candidate from the score ``threshold`` on.
    - ``pairwise`` is a knockout tournament: in each match the model sees two candidates in both
      orders, to cancel its position bias; the score is the number of matches won.
    - ``verifier`` is a function of the host's, by its name in ``verifier``, or the built-in
      ``tests``: the share of the tests in the field ``tests`` that the candidate's code passes.
      What it says becomes a critique of the candidate; a score without a verdict is accepted from
      ``threshold`` on.
    - ``reward`` is the score of a reward model: a GGUF with a classification head, in the role
      ``model``.

    With ``verdict: text`` the answer is read from what the model writes, for models that give no
    probabilities; ``samples`` such answers are averaged.
    """

    kind: ClassVar[str] = "score"
    about: ClassVar[str] = "each candidate → a number; a higher one is better"
    input_channels: ClassVar[frozenset[str]] = frozenset({"question", "candidates"})
    output_channels: ClassVar[frozenset[str]] = frozenset({"candidates"})
    variables: ClassVar[frozenset[str]] = frozenset(
        {"candidate", "answer", "first", "second", "rubric", "low", "high", "reason", "written"}
    )

    by: Scorer = Field("logprob", description="the score")
    prompt: PromptSetting = Field("judge", description="prompt; of `scale` the default is `rate`")
    versus: PromptSetting = Field("compare", description="prompt of `pairwise`")
    verdict: Literal["logits", "text"] = Field(
        "logits", description="read the model's answer from the logits or the text"
    )
    samples: int = Field(
        1, ge=1, le=64, description="reasons or written answers per candidate; scores are averaged"
    )
    lead: str = Field(
        "",
        description="text before the option, at the start of the completion or after the reason; "
        "of `scale` the default is `Score:`",
    )
    accept: str = Field("Yes", description="the option of `judge` in favour of a candidate")
    reject: str = Field("No", description="the option of `judge` against it")
    labels: tuple[str, str] = Field(("A", "B"), description="the options of `pairwise`")
    scale: tuple[int, int] = Field((1, 10), description="the worst and the best score of `scale`")
    rubric: str = Field("", description="what `scale` rates, and what the scores mean")
    reason: bool = Field(False, description="`scale` writes a reason before the score")
    threshold: float | None = Field(
        None,
        description="minimum score to accept; null: the middle of the scale, 0.5 for `verifier`",
    )
    verifier: str = Field(
        "", description="name of a verifier that the host binds; it implies `by: verifier`"
    )
    timeout: float = Field(10.0, gt=0, description="seconds that the verifier may take")

    @model_validator(mode="after")
    def _is_whole(self) -> Score:
        if not is_reference(self.scale):
            Scale(*self.scale)
        if self.by == "verifier" and not self.verifier:
            raise ValueError("`by: verifier` needs the name of one: `verifier: NAME`")
        return self

    @property
    def scorer(self) -> str:
        """What gives the score."""
        implied = self.verifier and "by" not in self.model_fields_set
        return "verifier" if implied else self.by

    @property
    def needs(self) -> frozenset[Capability]:
        """Probabilities of the options, where a model is asked and not read in its words."""
        if self.scorer == "reward":
            return frozenset({"rewards"})
        if self.scorer not in ASKING:
            return frozenset()
        return super().needs | ({"probabilities"} if self.verdict == "logits" else frozenset())

    @property
    def verifiers_wanted(self) -> tuple[str, ...]:
        """The verifier, if the score is its."""
        return hosted(self.verifier) if self.scorer == "verifier" else ()

    @property
    def channels_written(self) -> frozenset[str]:
        """Critiques too, where there are reasons."""
        criticises = self._has_reasons or self.scorer == "verifier" or is_reference(self.by)
        return super().channels_written | ({"critiques"} if criticises else frozenset())

    @property
    def _has_reasons(self) -> bool:
        return self.scorer == "scale" and self.reason

    async def run(self, state: State, step: Step) -> Update:
        """All candidates side by side; those that the budget left unscored stay as they were."""
        critiques: list[Criticism] = []
        if self.scorer == "verifier":
            scores, critiques = await self._verified(state, step)
        elif self.scorer == "reward":
            scores = await self._rewarded(state, step)
        elif self.scorer in ("judge", "scale"):
            scores, critiques = await self._judged(state, step)
        elif self.scorer == "pairwise":
            numbers = count()
            scores = await knock_out(
                state.live, lambda a, b: self._match(a, b, next(numbers), state, step)
            )
        else:
            scores = {c.id: QUALITIES[self.scorer](c, state) for c in state.live}
        scored = [
            candidate.model_copy(update={"score": scores[candidate.id], "scorer": step.node})
            for candidate in state.live
            if math.isfinite(scores.get(candidate.id, math.nan))
        ]
        for candidate in scored:
            step.emit(CandidateUpdated(candidate=candidate))
        return Update(candidates=tuple(scored), critiques=tuple(critiques))

    def cost(self, before: PopulationBounds) -> Cost:
        """A question for each candidate, or two for each match of the knockout, or none."""
        if self.scorer == "verifier":
            return Cost(before.judged(LONGEST_REASON))
        if self.scorer == "reward":
            asked = RequestBounds("question", prompts=before.live, samples=0, prefix=before.longest)
            return Cost(before.judged(), (asked,), exact=before.exact and before.first)
        if self.scorer not in ASKING:
            return Cost(before)
        text = before.longest
        if self.scorer == "pairwise":
            shows: dict[str, TextBound] = {"first": text, "second": text}
            asked = self.requests(shows=shows, prompts=max(0, before.live - 1), turns=2)
            asked = replace(asked, prompt=self.versus, room=16)
            return Cost(before, (self._answered(asked, self.labels),), exact=before.exact)
        shows = {"candidate": text, "answer": text, **self._terms}
        # Another score node may have judged some since; then it judges them again.
        asked = self.requests(shows=shows, prompts=before.live)
        asked = replace(asked, prompt=self._question)
        after = before.judged(self.samples * self.longest if self._has_reasons else 0)
        exact = before.exact and before.first
        if not self._has_reasons or self.verdict == "text":
            return Cost(after, (self._answered(asked, self._options),), exact=exact)
        scores = replace(asked, calls=self.samples, prefix=self.longest)
        reasons = replace(asked, samples=self.samples)
        return Cost(after, (reasons, self._answered(scores, self._options)), exact=exact)

    def _answered(self, asked: RequestBounds, options: Sequence[str]) -> RequestBounds:
        """A request whose answer is one of some options."""
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
        """The prompt, by default that of the score."""
        is_default = "prompt" not in self.model_fields_set
        return "rate" if self.scorer == "scale" and is_default else self.prompt

    @property
    def _lead(self) -> str:
        is_default = "lead" not in self.model_fields_set
        return LEAD if self.scorer == "scale" and is_default else self.lead

    @property
    def _terms(self) -> dict[str, str]:
        """What the prompt of a scale shows beside the candidate."""
        low, high = self.scale
        flags = {"reason": self.reason, "written": self.verdict == "text"}
        return {"rubric": self.rubric, "low": str(low), "high": str(high)} | {
            name: "yes" if value else "" for name, value in flags.items()
        }

    def _fresh(self, state: State, step: Step) -> list[Candidate]:
        """The candidates that this node has not scored yet."""
        return [candidate for candidate in state.live if candidate.scorer != step.node]

    async def _rewarded(self, state: State, step: Step) -> dict[str, float]:
        """The scores of a reward model."""
        fresh = self._fresh(state, step)
        question = [*state.messages, Message(role="user", content=state.question)]
        texts = [candidate.text for candidate in fresh]
        scores = await step.rate(question, texts, role=self.model) if fresh else []
        return dict(zip((candidate.id for candidate in fresh), scores or [], strict=False))

    async def _verified(self, state: State, step: Step) -> tuple[dict[str, float], list[Criticism]]:
        """The scores of a verifier, and what it says."""
        fresh = self._fresh(state, step)
        found = await verify(fresh, self.verifier, state, step, self.timeout)
        least = 0.5 if self.threshold is None else self.threshold
        critiques = [
            found[candidate.id].criticism(candidate, self.verifier, i, least, step)
            for i, candidate in enumerate(fresh)
            if candidate.id in found
        ]
        for criticism in critiques:
            step.emit(CritiqueAdded(critique=criticism))
        return {name: judgement.score for name, judgement in found.items()}, critiques

    async def _judged(self, state: State, step: Step) -> tuple[dict[str, float], list[Criticism]]:
        """The scores of the candidates that this node has not scored, and the reasons for them."""
        fresh = self._fresh(state, step)
        work = [self._judge(candidate, i, state, step) for i, candidate in enumerate(fresh)]
        found = dict(zip((candidate.id for candidate in fresh), await gather(*work), strict=True))
        scores = {name: score for name, (score, _) in found.items() if score is not None}
        return scores, [reason for _, reasons in found.values() for reason in reasons]

    async def _judge(
        self, candidate: Candidate, index: int, state: State, step: Step
    ) -> tuple[float | None, list[Criticism]]:
        """A candidate's score, None if none could be read; and the reasons for it."""
        messages = step.messages(
            self._question,
            state,
            candidate=candidate.text,
            answer=candidate.answer or "",
            **self._terms,
        )
        if self.verdict == "logits" and not self._has_reasons:
            return await self._chosen(messages, self._lead, step), []
        first = index * self.samples
        texts = await self._written(messages, first, step)
        found = await gather(*(self._read(text, messages, step) for text in texts))
        read = [
            (text, score) for text, score in zip(texts, found, strict=True) if score is not None
        ]
        score = _mean([score for _, score in read], texts, step)
        if not self._has_reasons:
            return score, []
        return score, [self._criticism(text, first, each, candidate, step) for text, each in read]

    async def _written(self, messages: list[Message], first: int, step: Step) -> list[Completion]:
        """What the model writes, without what the budget or a fault kept it from writing."""
        sampling: Sampling = self.sampling
        if self.verdict == "logits" and self._lead.strip():
            # A score that it writes after its reason by itself would be read before it is asked.
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
        """The score that a text states, or that follows it as a reason."""
        said = self.prefix + text.text
        if self.verdict == "logits":
            return await self._chosen(messages, f"{said.rstrip()}\n\n{self._lead}", step)
        if self.scorer == "scale":
            return self._scale.written(said)
        return _first(said, self._options)

    async def _chosen(self, messages: list[Message], begun: str, step: Step) -> float | None:
        """The score by the probabilities of the options; None if the budget ran out first."""
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

    async def _match(
        self, first: Candidate, second: Candidate, number: int, state: State, step: Step
    ) -> float | None:
        """The probability that the first is better, over both orders."""
        there = await self._prefers(first, second, 2 * number, state, step)
        back = await self._prefers(second, first, 2 * number + 1, state, step)
        return None if there is None or back is None else (there + 1 - back) / 2

    async def _prefers(
        self, first: Candidate, second: Candidate, number: int, state: State, step: Step
    ) -> float | None:
        messages = truncate_texts(
            lambda texts: step.messages(self.versus, state, first=texts[0], second=texts[1]),
            [first.text, second.text],
            step.models(self.model),
        )
        if self.verdict == "logits":
            found = await self._probabilities(messages, self.lead, self.labels, step)
            return found[0] if found else None
        texts = await self._written(messages, number * self.samples, step)
        read = [_first(self.prefix + text.text, self.labels) for text in texts]
        return _mean([each for each in read if each is not None], texts, step)


def _first(text: str, options: Sequence[str]) -> float | None:
    """1 if a text names the first of the options, 0 if another, None if none."""
    found = written_option(text, options)
    return None if found is None else float(found == 0)


def _mean(scores: Sequence[float], texts: Sequence[Completion], step: Step) -> float | None:
    """The mean of the scores that could be read in texts; that none could is noted."""
    if scores:
        return math.fsum(scores) / len(scores)
    if texts:
        said = " ".join(texts[-1].text.split())
        step.failures.append(f"no score can be read in {said[-80:]!r}")
    return None
