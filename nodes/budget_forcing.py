"""Budget forcing: limits and extends how long a model thinks before it answers.

After s1 (arXiv 2501.19393, section 3.1): a thought that has used up its tokens is closed by force
and the answer is asked for; one that ends too early is extended with "Wait". What was thought is
the prefix of what follows, so each part goes on from the KV cache of the one before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Annotated, Any

from pydantic import Field

from thinkgraph.models.model import Completion, Confidence, Frozen, Message, Sampling, continued
from thinkgraph.nodes.answers import Extract, extract
from thinkgraph.nodes.base.cost import RequestBounds, token_bound
from thinkgraph.nodes.base.param import AllowsParam
from thinkgraph.nodes.event import TextDelta
from thinkgraph.nodes.step import Step

RESCUE_TOKENS = 24


class Thinking(Frozen):
    """How long to think, and the words that open, extend and close a thought."""

    tokens: Annotated[int, AllowsParam()] = Field(
        256, ge=0, description="thinking tokens per candidate"
    )
    waits: Annotated[int, AllowsParam()] = Field(
        0, ge=0, le=16, description="how often a thought that ends early is extended"
    )
    open: Annotated[str, AllowsParam()] = Field(
        "<think>\n", description="start of the thought; empty for models without think tags"
    )
    close: Annotated[str, AllowsParam()] = Field(
        "\n</think>\n\n", min_length=1, description="end of the thought"
    )
    wait: Annotated[str, AllowsParam()] = Field(
        "\nWait,", description="text that extends the thought"
    )
    lead: Annotated[str, AllowsParam()] = Field(
        "The answer is", description="start of the answer after a thought that was cut off"
    )

    @property
    def longest(self) -> int:
        """Tokens that the thoughts of a candidate have at most, with what is put between them."""
        put = token_bound(
            self.open, *[self.wait] * self.waits, self.close, "\n", self.lead, self.lead
        )
        return self.tokens + put + RESCUE_TOKENS

    def requests(self, answer: RequestBounds) -> list[RequestBounds]:
        """The requests of the thoughts, the answer, and the rescue of an answer without one."""
        after = replace(answer, prefix=answer.prefix + self.longest)
        rescue = replace(after, prefix=after.prefix + answer.max_tokens, max_tokens=RESCUE_TOKENS)
        first = replace(
            answer, prefix=answer.prefix + token_bound(self.open), max_tokens=self.tokens
        )
        # What goes on after a wait has only the tokens that were left: all, if nothing was said.
        more = replace(after, turns=answer.turns * self.waits, max_tokens=0)
        return [*([first, more] if self.tokens else []), after, rescue]


class Thought:
    """One candidate's text, written in parts that each go on from the last.

    Args:
        messages: the prompt, with what the text begins with.
        sampling: how to sample; its ``max_tokens`` is for the answer.
        sample: the candidate's number among what the node's run writes.
        step: the node's run.
        role: whose model is asked.
    """

    def __init__(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        sample: int,
        step: Step,
        *,
        role: str = "",
    ) -> None:
        self._messages, self._sampling, self._sample, self._step = messages, sampling, sample, step
        self._role = role
        self._text = self._written = self._late = ""
        self._answer_at = 0
        self._parts: list[Completion] = []

    async def think(self, how: Thinking, extractor: Extract) -> Completion:
        """Think, then answer; the completion is the answer, and has the thought beside it."""
        self._insert(how.open)
        forced = await self._ponder(how)
        self._insert(how.close)
        thought, self._answer_at = self._text, len(self._text)
        self._insert(how.lead if forced else "")
        await self._write(self._sampling)
        ended = self._parts[-1].finish_reason in ("stop", "length")
        if ended and extract(self._text, extractor) is None:
            self._insert("\n" + how.lead)
            await self._write(self._sampling.model_copy(update={"max_tokens": RESCUE_TOKENS}))
        return self._whole(thought.removeprefix(how.open).removesuffix(how.close).strip())

    async def _ponder(self, how: Thinking) -> bool:
        """Think until the budget is spent (true) or the thought has ended by itself."""
        stop = (*self._sampling.stop, how.close.strip() or how.close)
        for waits in range(how.waits + 1):
            left = how.tokens - self._spent
            if left < 1:
                return True
            if waits:
                self._insert(how.wait)
            sampling = self._sampling.model_copy(update={"max_tokens": left, "stop": stop})
            self._add(await self._step.prepare(self._so_far, sampling, **self._rest))
            if self._parts[-1].finish_reason != "stop":
                return True
        return False

    @property
    def _spent(self) -> int:
        return sum(part.tokens for part in self._parts)

    def _insert(self, text: str) -> None:
        self._text = (self._text.rstrip() if text.startswith("\n") else self._text) + text
        name = self._step.id(self._sample)
        if text:
            self._step.emit(TextDelta(node=self._step.node, id=name, text=text, tokens=self._spent))

    @property
    def _rest(self) -> dict[str, Any]:
        return {"first": self._sample, "part": len(self._parts), "role": self._role}

    @property
    def _so_far(self) -> list[Message]:
        return continued(self._messages, self._text)

    async def _write(self, sampling: Sampling) -> None:
        (part,) = await self._step.sample(self._so_far, sampling, **self._rest)
        self._late += part.reasoning  # thought again, behind the forced thought: no answer
        self._add(part.model_copy(update={"reasoning": ""}))

    def _add(self, part: Completion) -> None:
        self._text += part.reasoning + part.text
        self._parts.append(part)
        if (
            part.text or part.reasoning
        ):  # what was only inserted, and nothing followed, is no part of the text
            self._written = self._text

    def _whole(self, thought: str) -> Completion:
        return Completion(
            sample=self._sample,
            seed=self._parts[0].seed,
            text=self._written[self._answer_at :].lstrip(),
            reasoning="\n\n".join(filter(None, (thought, self._late))),
            tokens=self._spent,
            finish_reason=self._parts[-1].finish_reason,
            confidence=joined([(part.confidence, part.tokens) for part in self._parts]),
        )


def joined(parts: Sequence[tuple[Confidence | None, int]]) -> Confidence | None:
    """The confidence of a text written in parts, each with its count of tokens.

    Means are weighted by the tokens, minima are the least, and the tail is the last part's.
    """
    known = [(confidence, tokens) for confidence, tokens in parts if confidence and tokens]
    if not known:
        return None
    total = sum(tokens for _, tokens in known)

    def mean(name: str) -> float | None:
        values = [getattr(confidence, name) for confidence, _ in known]
        if None in values:
            return None
        return math.fsum(v * n for v, (_, n) in zip(values, known, strict=True)) / total

    groups = [c.lowest_group for c, _ in known if c.lowest_group is not None]
    return Confidence(
        mean_logprob=mean("mean_logprob") or 0.0,
        min_logprob=min(confidence.min_logprob for confidence, _ in known),
        entropy=mean("entropy"),
        self_certainty=mean("self_certainty"),
        lowest_group=min(groups, default=None),
        tail=known[-1][0].tail,
    )
