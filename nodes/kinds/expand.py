"""expand: each candidate → its next steps."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import Field

from thinkgraph.models.capabilities import Capability
from thinkgraph.models.errors import PromptTooLong
from thinkgraph.models.model import NOT_WRITTEN, Completion, Message, Sampling, continued
from thinkgraph.nodes.answers import Extract, extract, parse_extractor
from thinkgraph.nodes.answers.extract.final import Final, Phrase
from thinkgraph.nodes.answers.extract.label import LEADING
from thinkgraph.nodes.base.cost import Cost, PopulationBounds, token_bound
from thinkgraph.nodes.base.sampling_node import CandidateNode
from thinkgraph.nodes.budget_forcing import joined
from thinkgraph.nodes.event import CandidateUpdated
from thinkgraph.nodes.population import Candidate, State, Update
from thinkgraph.nodes.prompts.prompt import PromptSetting
from thinkgraph.nodes.step import Step, gather

_WORD = re.compile(r"[^\W\d_]{2,}")
_FEW_WORDS = 2
"""A marked phrase with more words and no number is a sentence about the answer."""


class Branch(NamedTuple):
    """Where children are added: their parent, the text they continue, and the first one's index."""

    parent: Candidate | None
    begun: str
    first: int


class Expand(CandidateNode):
    """Continue every live candidate, or start from the question if there is none.

    The text of a candidate is the prefix of its children, so they reuse its KV cache. The children
    replace their parent in the population; of several children with the same step, or that add
    nothing to the text of the parent, only one stays live. A step is a non-blank line, with the
    blank lines before it. Complete candidates are not expanded: those that the model ended, and
    those in whose last step the extractor ``ends`` finds an answer. A sentence about the answer is
    none ("the answer is the sum of both"). A candidate that fills the model's context is kept as it
    is. ``write: rest`` completes every candidate. Thinking is off by default for steps and for
    texts that continue others; ``template: {enable_thinking: true}`` turns it on.

    With ``start: depth`` a child keeps as many steps of its parent as the parent is deep in the
    tree, and rewrites the rest. Each child is a rollout: a whole answer. A candidate is
    ``terminal`` if its own children would have nothing to rewrite: they would keep all of it, or
    the steps that they would keep contain an answer.
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
        "all",
        description="what a child keeps of its parent's text: all, or as many steps as the "
        "parent's depth",
    )
    ends: Extract = Field(
        parse_extractor(["boxed", "final"]),
        description="extractor that completes a candidate when it finds an answer",
    )

    @property
    def needs(self) -> frozenset[Capability]:
        """The capability to continue a given text: children continue their parents."""
        return super().needs | {"beginnings"}

    async def run(self, state: State, step: Step) -> Update:
        """Sample all children of all candidates concurrently."""
        messages = continued(step.messages(self.prompt, state), self.prefix)
        parents: list[Candidate | None] = [c for c in state.live if self._grows(c)]
        if not state.live:
            parents = [None]
        work = [self._grow(p, i, messages, state, step) for i, p in enumerate(parents)]
        return Update(candidates=tuple(c for family in await gather(*work) for c in family))

    def cost(self, before: PopulationBounds) -> Cost:
        """One request per live candidate, or one for the question; complete ones need none."""
        parents = max(1, before.live)
        certain = before.exact and (before.live == 0 or self.start == "depth")
        distinct = certain and self.write == "rest"  # of equal steps one stays live
        begun = token_bound(self.prefix) + before.longest
        request = self.requests(calls=parents, samples=self.samples, prefix=begun)
        born = parents * self.samples
        text = begun + self.max_tokens + token_bound(self.step)
        return Cost(before.added(born, text, live=born, exact=distinct), (request,), exact=certain)

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
        first = index * self.samples
        try:
            completions = await step.sample(
                continued(messages, begun),
                self._sampling(begun, step),
                n=self.samples,
                first=first,
                role=self.model,
            )
        except PromptTooLong as error:
            if parent is None:
                raise
            step.failures.append(f"{parent.id} is kept as it is: {error}")
            return []
        if not begun and all(map(_is_empty, completions)):
            why = "raise `max_tokens` for a model that thinks before it answers"
            step.failures.append(f"the model wrote nothing; {why}")
        branch = Branch(parent, begun, first)
        children = [self._child(completion, branch, state, step) for completion in completions]
        if parent is None:
            family = self._without_clones(children, begun)
        elif all(child.finish_reason in NOT_WRITTEN for child in children):
            family = [child.retired() for child in children]
        else:
            family = [parent.retired(), *self._without_clones(children, begun)]
        for candidate in family:
            step.emit(CandidateUpdated(candidate=candidate))
        return family

    def _sampling(self, begun: str, step: Step) -> Sampling:
        """The sampling settings; a step, and a text that continues another, begin no thought."""
        if self.write == "rest":
            return self.without_thinking(step) if begun else self.sampling
        stop = {"stop": (*self.stop, self.step), "stop_after_text": True}
        return self.without_thinking(step).model_copy(update=stop)

    def _without_clones(self, children: list[Candidate], begun: str) -> list[Candidate]:
        """The children; of equal steps, and of texts that add nothing, all but one are retired."""
        if self.start == "depth":
            return children
        texts = [child.text.removeprefix(self.prefix).rstrip() for child in children]
        merges = [self.write == "step" or text == begun.rstrip() for text in texts]
        return [
            child.retired() if merges[i] and texts[i] in texts[:i] else child
            for i, child in enumerate(children)
        ]

    def _begun(self, parent: Candidate | None, state: State) -> str:
        if parent is None:
            return ""
        text = parent.text.removeprefix(self.prefix)
        return text if self.start == "all" else self._kept(text, len(state.lineage(parent)))

    def _kept(self, text: str, depth: int) -> str:
        """The part of a text that the children of a candidate at this depth keep."""
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
        if self.write == "step" and child.finish_reason == "length":
            child = child.model_copy(update={"partial": True})
        if self.start == "depth":
            kept = self._kept(text, len(state.lineage(branch.parent)) + 1)
            ended = kept == text or self._answers(kept)
            child = child.model_copy(update={"terminal": ended})
        return child

    def _goes_on(self, completion: Completion) -> bool:
        """Whether the separator ended the completion, after a non-blank step without an answer."""
        if self.write == "rest" or completion.finish_reason != "stop":
            return False
        by_separator = completion.stop_text in (self.step, None)  # None: unknown
        says_something = bool(completion.text.strip())
        return by_separator and says_something and not self._answers(completion.text)

    def _answers(self, text: str) -> bool:
        """Whether the extractor ``ends`` finds an answer in a text, and no sentence about one."""
        found = extract(text, self.ends)
        marked = Final.last(text)
        if marked is not None and marked.text == found:
            return not _is_about_answer(marked)
        return found is not None


def _is_about_answer(marked: Phrase) -> bool:
    """Whether a phrase after "the answer is" says something about the answer without giving it."""
    if marked.remark or (marked.after_purpose and not re.match(r"\W*\d", marked.text)):
        return True
    given = re.search(r"\d", marked.text) or LEADING.match(marked.text)
    return not given and len(_WORD.findall(marked.text)) > _FEW_WORDS


def _is_empty(completion: Completion) -> bool:
    return completion.finish_reason not in NOT_WRITTEN and not completion.text.strip()


def _tokens_of_text(candidate: Candidate, state: State) -> int:
    """Tokens of a candidate's text, summed over the candidates that generated its parts."""
    lineage = state.lineage(candidate)
    return sum(each.tokens for each in lineage if candidate.text.startswith(each.text))


def steps(text: str, end: str) -> list[str]:
    """Split a text into steps, each with its separator; blank ones belong to the step before."""
    found: list[str] = []
    for piece in text.split(end):
        if piece.strip() or not found:
            found.append(piece + end)
        else:
            found[-1] += piece + end
    if found:
        found[-1] = found[-1][: -len(end)]
    return found
