"""expand: each candidate → its next steps."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from thinkgraph.models.capabilities import Capability
from thinkgraph.models.model import NOT_WRITTEN, Completion, Message, continued
from thinkgraph.nodes.answers import Extract, extract, parse_extractor
from thinkgraph.nodes.base.cost import Cost, PopulationBounds, token_bound
from thinkgraph.nodes.base.sampling_node import CandidateNode
from thinkgraph.nodes.budget_forcing import joined
from thinkgraph.nodes.event import CandidateUpdated
from thinkgraph.nodes.population import Candidate, State, Update
from thinkgraph.nodes.prompts.prompt import PromptSetting
from thinkgraph.nodes.step import Step, gather


class Branch(NamedTuple):
    """Where children grow: from which candidate, after which text, numbered from where."""

    parent: Candidate | None
    begun: str
    first: int


class Expand(CandidateNode):
    """Continue every live candidate, or start from the question if there is none.

    The text of a candidate is the prefix of its children, so they start from its KV cache. The
    children replace their parent in the population; of those that add nothing to it one does. A
    step is a line that says something, with the blank lines before it. A complete candidate is
    left as it is: one that the model ended, or in whose last step the extractor ``ends`` finds an
    answer. ``write: rest`` completes every candidate.

    With ``start: depth`` a child keeps only as many steps of its parent as the parent is deep in
    the tree, and rewrites the rest. This is a rollout: every candidate is a whole answer. One is
    ``terminal`` where its own children would have nothing to rewrite: all of it is kept, or the
    kept steps hold an answer.
    """

    kind: ClassVar[str] = "expand"
    about: ClassVar[str] = "each candidate → its next steps"
    output_channels: ClassVar[frozenset[str]] = frozenset({"candidates"})

    prompt: PromptSetting = "step-by-step"
    samples: int = Field(3, ge=1, le=64, description="children per candidate")
    write: Literal["step", "rest"] = Field(
        "step", description="write one step, or the rest of the answer"
    )
    step: str = Field("\n", min_length=1, description="separator between steps")
    start: Literal["all", "depth"] = Field(
        "all", description="what a child keeps of its parent: all, or as many steps as it is deep"
    )
    ends: Extract = Field(
        parse_extractor(["boxed", "final"]),
        description="extractor whose match completes a candidate",
    )

    @property
    def needs(self) -> frozenset[Capability]:
        """Its children go on from their parents."""
        return super().needs | {"beginnings"}

    async def run(self, state: State, step: Step) -> Update:
        """All children of all candidates side by side."""
        messages = continued(step.messages(self.prompt, state), self.prefix)
        parents: list[Candidate | None] = [c for c in state.live if self._grows(c)]
        if not state.live:
            parents = [None]
        work = [self._grow(p, i, messages, state, step) for i, p in enumerate(parents)]
        return Update(candidates=tuple(c for family in await gather(*work) for c in family))

    def cost(self, before: PopulationBounds) -> Cost:
        """A request for each live candidate, or for the question; complete ones need none."""
        parents = max(1, before.live)
        certain = before.exact and (before.live == 0 or self.start == "depth")
        begun = token_bound(self.prefix) + before.longest
        request = self.requests(calls=parents, samples=self.samples, prefix=begun)
        born = parents * self.samples
        text = begun + self.max_tokens + token_bound(self.step)
        return Cost(before.added(born, text, live=born, exact=certain), (request,), exact=certain)

    def _grows(self, candidate: Candidate) -> bool:
        if self.start == "depth":
            return not candidate.terminal
        return candidate.finish_reason == "length"

    async def _grow(
        self,
        parent: Candidate | None,
        index: int,
        messages: list[Message],
        state: State,
        step: Step,
    ) -> list[Candidate]:
        begun = self._begun(parent, state)
        sampling = self.sampling
        if self.write == "step":
            stop = {"stop": (*self.stop, self.step), "stop_after_text": True}
            sampling = sampling.model_copy(update=stop)
        first = index * self.samples
        completions = await step.sample(
            continued(messages, begun),
            sampling,
            n=self.samples,
            first=first,
            role=self.model,
        )
        branch = Branch(parent, begun, first)
        children = [self._child(completion, branch, state, step) for completion in completions]
        if parent is None:
            family = children
        elif all(child.finish_reason in NOT_WRITTEN for child in children):
            family = [child.retired() for child in children]
        else:
            family = [parent.retired(), *self._without_clones(children, parent)]
        for candidate in family:
            step.emit(CandidateUpdated(candidate=candidate))
        return family

    def _without_clones(self, children: list[Candidate], parent: Candidate) -> list[Candidate]:
        """The children, but for one all retired that leave their parent's text as it was."""
        if self.start == "depth":
            return children
        same = [c.id for c in children if c.text.rstrip() == parent.text.rstrip()]
        return [child.retired() if child.id in same[1:] else child for child in children]

    def _begun(self, parent: Candidate | None, state: State) -> str:
        if parent is None:
            return ""
        text = parent.text.removeprefix(self.prefix)
        return text if self.start == "all" else self._kept(text, len(state.lineage(parent)))

    def _kept(self, text: str, depth: int) -> str:
        """What the children of a candidate at this depth begin with."""
        return "".join(steps(text, self.step)[:depth])

    def _child(self, completion: Completion, branch: Branch, state: State, step: Step) -> Candidate:
        goes_on = self._goes_on(completion)
        text = branch.begun + completion.text + (self.step if goes_on else "")
        confidence = completion.confidence
        if self.start == "all" and branch.parent:
            above = (branch.parent.confidence, _tokens_of_text(branch.parent, state))
            confidence = joined([above, (confidence, completion.tokens)])
        changed: dict[str, Any] = {"text": text, "confidence": confidence}
        if goes_on:
            changed["finish_reason"] = "length"
        parents = [branch.parent] if branch.parent else []
        whole = completion.model_copy(update=changed)
        child = self.candidate(whole, step, first=branch.first, parents=parents)
        if self.start == "depth":
            kept = self._kept(text, len(state.lineage(branch.parent)) + 1)
            ended = kept == text or extract(kept, self.ends) is not None
            child = child.model_copy(update={"terminal": ended})
        return child

    def _goes_on(self, completion: Completion) -> bool:
        """Whether the separator ended a step that says something and gives no answer."""
        if self.write == "rest" or completion.finish_reason != "stop":
            return False
        by_separator = completion.stop_text in (self.step, None)  # None: the model doesn't tell
        says_something = bool(completion.text.strip())
        return by_separator and says_something and extract(completion.text, self.ends) is None


def _tokens_of_text(candidate: Candidate, state: State) -> int:
    """How many tokens its text has: those of the candidates that wrote the text piece by piece."""
    lineage = state.lineage(candidate)
    return sum(each.tokens for each in lineage if candidate.text.startswith(each.text))


def steps(text: str, end: str) -> list[str]:
    """The steps of a text, each with what ends it; empty ones belong to the step before."""
    found: list[str] = []
    for piece in text.split(end):
        if piece.strip() or not found:
            found.append(piece + end)
        else:
            found[-1] += piece + end
    if found:
        found[-1] = found[-1][: -len(end)]
    return found
