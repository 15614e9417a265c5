"""revise: candidate + critique (or its peers' answers) → a better candidate."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from thinkgraph.models.errors import PromptTooLong
from thinkgraph.models.model import NOT_WRITTEN, Message, continued
from thinkgraph.nodes.base.cost import Cost, PopulationBounds
from thinkgraph.nodes.base.sampling_node import CandidateNode
from thinkgraph.nodes.event import CandidateUpdated
from thinkgraph.nodes.population import Candidate, State, Update
from thinkgraph.nodes.prompts.prompt import PromptSetting
from thinkgraph.nodes.prompts.truncation import prompt_limit, truncate_texts
from thinkgraph.nodes.quality import QUALITIES, Quality, unknown
from thinkgraph.nodes.step import Step, gather


class Revise(CandidateNode):
    """Rewrite every live candidate that its critics have not accepted.

    The new candidate replaces its parent in the population. With ``keep: better`` it does so only
    if it scores higher; otherwise it is retired, but still reported and counted. ``keep: both``
    keeps both, so that a critic and a select node can choose.

    A candidate is not rewritten if most of its last critiques accept it. With ``pairs`` it is
    rewritten several times, each time with one of its last critiques (rejecting ones first), unless
    all of them accept it. A candidate is kept as it is where the model writes nothing, or where it
    is finished and its rewrite is cut off, as by ``max_tokens``. A prompt may also show the
    ``history``: the answers that led to the candidate, oldest first, each with its critiques. A
    prompt that doesn't fit in the model's context leaves out the oldest history first, and then
    shortens the texts of the peers.
    """

    kind: ClassVar[str] = "revise"
    about: ClassVar[str] = "candidate + critique (or its peers' answers) → a better candidate"
    input_channels: ClassVar[frozenset[str]] = frozenset({"question", "candidates"})
    output_channels: ClassVar[frozenset[str]] = frozenset({"candidates"})
    variables: ClassVar[frozenset[str]] = frozenset(
        {"candidate", "answer", "critique", "peers", "history"}
    )

    prompt: PromptSetting = "revise"
    keep: Literal["always", "better", "both"] = Field(
        "always",
        description="`always`: a rewrite replaces its parent; `better`: only if it is better; "
        "`both`: both stay live",
    )
    by: Quality = Field("logprob", description="the measure that `keep: better` compares")
    pairs: int = Field(
        0,
        ge=0,
        le=64,
        description="maximum number of rewrites per candidate, each with one critique; 0: one "
        "rewrite with all critiques",
    )

    async def run(self, state: State, step: Step) -> Update:
        """Rewrite all candidates concurrently."""
        done = state.passes if self.pairs else state.accepts
        parents = [candidate for candidate in state.live if not done(candidate)]
        work = [self._rewrite(parent, i, state, step) for i, parent in enumerate(parents)]
        return Update(candidates=tuple(c for family in await gather(*work) for c in family))

    def cost(self, before: PopulationBounds) -> Cost:
        """One request per live candidate or pair; accepted candidates need none."""
        shows = {
            "candidate": before.longest,
            "answer": before.longest,
            "critique": before.critique_tokens,
            "peers": (before.longest,) * (before.live - 1),
            "history": ((before.longest, before.critique_tokens),) * before.round,
        }
        certain = before.exact and not before.critique_tokens
        born = before.live * max(self.pairs, 1)
        alive = born + (before.live if self.keep == "both" else 0)
        if self.keep == "better":
            alive = before.live
        exact = before.exact and not self.pairs and self.keep != "both"
        after = before.added(born, self.longest, live=alive, exact=exact)
        return Cost(
            after, (self.requests(shows=shows, prompts=born),), exact=certain and not self.pairs
        )

    async def _rewrite(
        self, parent: Candidate, index: int, state: State, step: Step
    ) -> list[Candidate]:
        """A candidate and its rewrites; those that aren't kept are retired."""
        told = self._told(parent, state)
        first = index * max(self.pairs, 1)
        known = {
            "candidate": parent.text,
            "answer": parent.answer or "",
            "peers": [c.text for c in state.live if c.id != parent.id and not c.is_blank],
            "history": [(c.text, _said(c, state)) for c in state.lineage(parent)[:-1]],
        }
        work = [
            self._child(parent, {**known, "critique": critique}, first + i, state, step)
            for i, critique in enumerate(told)
        ]
        children = [child for child in await gather(*work) if child is not None]
        if self.keep == "better":
            step.failures += unknown(self.by, children, state, step.params)
        family = self._kept(parent, children, state)
        for candidate in family:
            step.emit(CandidateUpdated(candidate=candidate))
        return family

    def _told(self, parent: Candidate, state: State) -> list[str]:
        """The critique texts of a candidate, one for each rewrite."""
        last = state.last_critiques(parent)
        if not self.pairs or not last:
            return [_said(parent, state)]
        ranked = sorted(last, key=lambda critique: critique.accepted)  # stable: rejecting first
        return [critique.text.strip() for critique in ranked[: self.pairs]]

    async def _child(
        self, parent: Candidate, known: dict[str, Any], sample: int, state: State, step: Step
    ) -> Candidate | None:
        """A rewrite; None if its prompt doesn't fit in the model's context."""
        messages = self._fitted(known, state, step)
        try:
            (completion,) = await step.sample(
                messages, self.sampling, first=sample, role=self.model
            )
        except PromptTooLong as error:
            step.failures.append(f"{parent.id} is kept as it is: {error}")
            return None
        child = self.candidate(completion, step, first=sample, parents=[parent])
        fault = _fault(child, parent)
        if fault and child.finish_reason not in NOT_WRITTEN:
            step.failures.append(f"{parent.id} is kept as it is: {fault}")
        return child

    def _fitted(self, known: dict[str, Any], state: State, step: Step) -> list[Message]:
        """The messages, without the oldest history and with shorter peers where they don't fit."""
        model, peers, history = step.models(self.model), known["peers"], known["history"]

        def render(peers: list[str]) -> list[Message]:
            shown = {**known, "peers": peers, "history": history}
            return continued(step.messages(self.prompt, state, **shown), self.prefix)

        limit = prompt_limit(model, self.max_tokens)
        while history and model.count_tokens(render(peers)) > limit:
            history = history[1:]
        return truncate_texts(render, peers, model, room=self.max_tokens)

    def _kept(self, parent: Candidate, children: list[Candidate], state: State) -> list[Candidate]:
        cut = (*NOT_WRITTEN, "cancelled")
        whole = [c for c in children if c.finish_reason not in cut and not _fault(c, parent)]
        kept = whole
        if self.keep == "better":
            measure = QUALITIES[self.by]
            best = max([parent, *whole], key=lambda candidate: measure(candidate, state))
            kept = [] if best is parent else [best]
        if self.keep == "both" or not kept:
            kept = [parent, *kept]
        live = {candidate.id for candidate in kept}
        return [c if c.id in live else c.retired() for c in (parent, *children)]


def _fault(child: Candidate, parent: Candidate) -> str:
    """Why a rewrite can't take the place of its parent; empty if it can."""
    if child.is_blank:
        return "the model wrote nothing"
    return "its rewrite was cut off" if parent.is_finished and not child.is_finished else ""


def _said(candidate: Candidate, state: State) -> str:
    """The last critiques that reject a candidate as one text; all the last ones if none rejects."""
    last = state.last_critiques(candidate)
    against = [critique for critique in last if not critique.accepted] or last
    return "\n\n".join(critique.text.strip() for critique in against)
