"""score: each candidate → a number; a higher one is better."""

from __future__ import annotations

import math
from itertools import count
from typing import ClassVar, Literal

from pydantic import Field, model_validator

from thinkgraph.models.capabilities import Capability
from thinkgraph.models.model import Message
from thinkgraph.nodes.base.cost import Cost, PopulationBounds, RequestBounds
from thinkgraph.nodes.base.param import is_reference
from thinkgraph.nodes.event import CandidateUpdated, CritiqueAdded
from thinkgraph.nodes.judging.asking import ASKING, ModelJudge
from thinkgraph.nodes.judging.judgement import LONGEST_REASON
from thinkgraph.nodes.judging.scale import Scale
from thinkgraph.nodes.judging.tournament import knock_out
from thinkgraph.nodes.judging.verifying import hosted, verify
from thinkgraph.nodes.population import Candidate, Criticism, State, Update
from thinkgraph.nodes.quality import QUALITIES, unknown
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


class Score(ModelJudge):
    """Give every live candidate a score, for a select or search node.

    ``judge``, ``scale`` and ``pairwise`` ask a model and read the probabilities of its answer from
    the logits. ``judge`` is the probability of ``accept`` against ``reject``, with one call per
    candidate. ``pairwise`` is a knockout tournament: in each match the model sees two candidates in
    both orders, to cancel its position bias; the score is the number of rounds survived. Without a
    preference, the older one goes on.

    ``scale`` is the expected score on a scale of integers, from the first value of ``scale`` to the
    second, as in G-Eval (arXiv 2303.16634): the mean of the scores, weighted by their
    probabilities. With ``reason`` the model first writes a reason, which becomes a critique of the
    candidate; the critique accepts a candidate whose score is at least ``threshold``.

    ``verifier`` is the score of a function that the host binds to the name in ``verifier``, or of
    the built-in ``tests``: the share of the tests in the field ``tests`` that the candidate's code
    passes. The judgement becomes a critique of the candidate; without a verdict, it accepts scores
    of at least ``threshold``. ``reward`` is the score of a reward model: a GGUF with a
    classification head, in the role ``model``. The other scores need no model.

    With ``verdict: text`` the answer is read from the text that the model writes, for models that
    give no probabilities; ``samples`` such answers are averaged.

    No model is asked about an empty candidate: it has the worst score, loses its matches, and has
    no ``reward``.
    """

    kind: ClassVar[str] = "score"
    about: ClassVar[str] = "each candidate → a number; a higher one is better"
    input_channels: ClassVar[frozenset[str]] = frozenset({"question", "candidates"})
    output_channels: ClassVar[frozenset[str]] = frozenset({"candidates"})
    variables: ClassVar[frozenset[str]] = frozenset(
        {"candidate", "answer", "first", "second", "rubric", "low", "high", "reason", "written"}
    )

    by: Scorer = Field("logprob", description="how the score is computed")
    among: Literal["live", "all"] = Field(
        "live",
        description="`all`: scores every complete candidate, retired ones included, if the score "
        "calls neither a model nor a verifier; `agreement` is then among all of them",
    )
    verifier: str = Field(
        "", description="name of a verifier, bound by the host or built in; implies `by: verifier`"
    )
    timeout: float = Field(
        10.0, gt=0, description="time limit of one call of the verifier, in seconds"
    )

    @model_validator(mode="after")
    def _is_whole(self) -> Score:
        if not is_reference(self.scale):
            Scale(*self.scale)
        if self.by == "verifier" and not self.verifier:
            raise ValueError("`by: verifier` needs the name of one: `verifier: NAME`")
        return self

    @property
    def scorer(self) -> str:
        """The effective value of ``by``: ``verifier`` alone implies ``by: verifier``."""
        implied = self.verifier and "by" not in self.model_fields_set
        return "verifier" if implied else self.by

    @property
    def needs(self) -> frozenset[Capability]:
        """Capabilities that a model judge needs, or a classification head for ``reward``."""
        if self.scorer == "reward":
            return frozenset({"rewards"})
        return super().needs

    @property
    def verifiers_wanted(self) -> tuple[str, ...]:
        """The verifier, if it gives the score and the host has to bind it."""
        return hosted(self.verifier) if self.scorer == "verifier" else ()

    @property
    def channels_written(self) -> frozenset[str]:
        """The channels that the node writes: critiques as well, where there are reasons."""
        criticises = self.has_reasons or self.scorer == "verifier" or is_reference(self.by)
        return super().channels_written | ({"critiques"} if criticises else frozenset())

    async def run(self, state: State, step: Step) -> Update:
        """Score the candidates concurrently; those without a new score stay unchanged."""
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
                state.live, lambda a, b: self.match(a, b, next(numbers), state, step)
            )
        else:
            seen = state if self.among == "live" else _all_live(state)
            scores = {c.id: QUALITIES[self.scorer](c, seen) for c in seen.live}
            step.failures += unknown(self.scorer, seen.live, seen, step.params)
        scored = [
            candidate.model_copy(update={"score": scores[candidate.id], "scorer": step.node})
            for candidate in state.candidates.values()
            if math.isfinite(scores.get(candidate.id, math.nan))
        ]
        for candidate in scored:
            step.emit(CandidateUpdated(candidate=candidate))
        return Update(candidates=tuple(scored), critiques=tuple(critiques))

    def cost(self, before: PopulationBounds) -> Cost:
        """One request per candidate, two per match of the tournament, or none."""
        if self.scorer == "verifier":
            return Cost(before.judged(LONGEST_REASON))
        if self.scorer == "reward":
            asked = RequestBounds("question", prompts=before.live, samples=0, prefix=before.longest)
            return Cost(before.judged(), (asked,), exact=False)
        if self.scorer not in ASKING:
            return Cost(before)
        return self.asking_cost(before)

    def _fresh(self, state: State, step: Step) -> list[Candidate]:
        """The candidates that this node has not scored yet."""
        return [candidate for candidate in state.live if candidate.scorer != step.node]

    async def _rewarded(self, state: State, step: Step) -> dict[str, float]:
        """The scores of a reward model."""
        fresh = [candidate for candidate in self._fresh(state, step) if not candidate.is_blank]
        question = [*state.messages, Message(role="user", content=state.question)]
        texts = [candidate.text for candidate in fresh]
        scores = await step.rate(question, texts, role=self.model) if fresh else []
        return dict(zip((candidate.id for candidate in fresh), scores or [], strict=False))

    async def _verified(self, state: State, step: Step) -> tuple[dict[str, float], list[Criticism]]:
        """The scores of a verifier, and its judgements as critiques."""
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
        work = [self.judge(candidate, i, state, step) for i, candidate in enumerate(fresh)]
        found = dict(zip((candidate.id for candidate in fresh), await gather(*work), strict=True))
        scores = {name: score for name, (score, _) in found.items() if score is not None}
        return scores, [reason for _, reasons in found.values() for reason in reasons]


def _all_live(state: State) -> State:
    """A copy of the state in which every complete candidate is live."""
    whole = {c.id: c.model_copy(update={"live": True}) for c in state.whole}
    return state.model_copy(update={"candidates": whole})
