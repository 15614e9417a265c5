"""Budget forcing: limit and extend how long a model thinks before it answers.

This follows s1 (arXiv 2501.19393, section 3.1): a thought that has used up its tokens is closed by
force, and the model is prompted for the answer; a thought that ends too early is extended with
"Wait". Each part has the text before it as its prefix, so it reuses the KV cache of that text.
"""

from __future__ import annotations

import math
import re
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
_TAG = re.compile(r"<[^<>]*>|\[/[^\[\]]*\]|◁[^▷]*▷")


class Thinking(Frozen):
    """How long to think, and the words that open, extend and close a thought."""

    tokens: Annotated[int, AllowsParam()] = Field(
        256, ge=0, description="maximum number of thinking tokens per candidate"
    )
    waits: Annotated[int, AllowsParam()] = Field(
        0,
        ge=0,
        le=16,
        description="maximum number of times that a thought which ends early is extended",
    )
    open: Annotated[str, AllowsParam()] = Field(
        "<think>\n", description="start of the thought; empty for models without think tags"
    )
    close: Annotated[str, AllowsParam()] = Field(
        "\n</think>\n\n", min_length=1, description="text that ends the thought"
    )
    wait: Annotated[str, AllowsParam()] = Field(
        "\nWait,", description="text that extends the thought"
    )
    lead: Annotated[str, AllowsParam()] = Field(
        "The answer is",
        description="start of the answer if the thought was cut off, or if no answer was found",
    )

    @property
    def announces(self) -> str:
        """The words of ``close`` that begin the answer, such as "Final answer:"; none in a tag."""
        return _TAG.split(self.close)[-1].lstrip()

    @property
    def longest(self) -> int:
        """Maximum tokens of a candidate's thoughts, including the texts inserted between them."""
        put = token_bound(
            self.open, *[self.wait] * self.waits, self.close, "\n", self.lead, self.lead
        )
        return self.tokens + put + RESCUE_TOKENS

    def requests(self, answer: RequestBounds) -> list[RequestBounds]:
        """The requests for the thoughts, the answer, and the rescue if no answer is extracted."""
        after = replace(answer, prefix=answer.prefix + self.longest)
        rescue = replace(after, prefix=after.prefix + answer.max_tokens, max_tokens=RESCUE_TOKENS)
        first = replace(
            answer, prefix=answer.prefix + token_bound(self.open), max_tokens=self.tokens
        )
        # A continuation after a wait gets only the tokens that the parts before it left over.
        more = replace(after, turns=answer.turns * self.waits, max_tokens=0)
        return [*([first, more] if self.tokens else []), after, rescue]


class Thought:
    """The text of one candidate, generated in parts that each continue the one before.

    Args:
        messages: the prompt, including the prefix of the text.
        sampling: the sampling settings; ``max_tokens`` applies to the answer.
        sample: index of the candidate among the samples of the node's run.
        step: the node's run.
        role: role of the model.
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
        """Think, then answer; return the answer as a completion, with the thought as reasoning."""
        self._insert(how.open)
        forced = await self._ponder(how)
        self._insert(how.close)
        thought, self._answer_at = self._text, len(self._text) - len(how.announces)
        self._insert(how.lead if forced else "")
        await self._write(self._sampling)
        ended = self._parts[-1].finish_reason in ("stop", "length")
        if ended and extract(self._text[self._answer_at :], extractor) is None:
            self._insert("\n" + how.lead)
            await self._write(self._sampling.model_copy(update={"max_tokens": RESCUE_TOKENS}))
        return self._whole(thought.removeprefix(how.open).removesuffix(how.close).strip())

    async def _ponder(self, how: Thinking) -> bool:
        """Think; return whether the thought was cut off instead of ending by itself."""
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
        self._late += part.reasoning  # a thought after the forced one is not part of the answer
        self._add(part.model_copy(update={"reasoning": ""}))

    def _add(self, part: Completion) -> None:
        self._text += part.reasoning + part.text
        self._parts.append(part)
        if (
            part.text or part.reasoning
        ):  # an inserted text that nothing follows is not part of the text
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
    """The confidence of a text generated in parts, from each part's confidence and token count.

    Means are weighted by tokens, minima are the smallest, and the tail is that of the last part.
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
