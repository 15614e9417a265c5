"""ask: question → a string or a list of strings in a state field."""

from __future__ import annotations

import re
from typing import ClassVar

from pydantic import Field

from thinkgraph.models.errors import PromptTooLong
from thinkgraph.models.model import NOT_WRITTEN, Completion, continued
from thinkgraph.nodes.base.cost import Cost, PopulationBounds, TextBound, token_bound
from thinkgraph.nodes.base.sampling_node import SamplingNode
from thinkgraph.nodes.population import State, Update
from thinkgraph.nodes.prompts.prompt import PromptSetting
from thinkgraph.nodes.prompts.truncation import truncate_texts
from thinkgraph.nodes.step import Step, gather


class Ask(SamplingNode):
    """Ask the model for an intermediate text: a plan, a principle, sub-questions.

    The completion is written to the state field ``into`` by that field's reducer, and later prompts
    can use it. With ``each``, the model is asked once per item of a list field, in parallel, and a
    list is written. The node leaves enough of the budget for an answer. A candidate that doesn't
    fit in the model's context is shown by its end; what doesn't fit at all isn't asked, and its
    text is empty. Thinking is off by default; ``template: {enable_thinking: true}`` turns it on.
    """

    kind: ClassVar[str] = "ask"
    about: ClassVar[str] = "question → a string or a list of strings in a state field"
    variables: ClassVar[frozenset[str]] = frozenset({"candidate", "answer", "item"})

    prompt: PromptSetting = Field(description="the prompt")
    into: str = Field(description="name of the state field to write")
    each: str | None = Field(
        None, description="name of a list field; the model is asked once per `item` of it"
    )
    lines: bool = Field(
        False,
        description="whether to write a list: the lines with a bullet or number, or all lines if "
        "none has one; of several, the last one is left out if it was cut off",
    )
    conversation: bool = Field(
        True, description="whether the model sees the conversation before the question"
    )
    most: int = Field(8, ge=1, le=64, description="with `lines`: maximum number of lines")

    @property
    def field_types(self) -> dict[str, str]:
        """``into`` is a string, or a list with ``each`` or ``lines``; ``each`` is a list."""
        written = {self.into: "list" if self.lines or self.each else "string"}
        return written | ({self.each: "list"} if self.each else {})

    async def run(self, state: State, step: Step) -> Update:
        """Sample one completion, or one for each item."""
        if self.each is None:
            item = str(state.fields.get("item", ""))  # set by an edge that fans out over a list
            reply = await self._asked(item, 0, 1, state, step)
            written = whole_items(reply)[: self.most] if self.lines else reply.text
            return Update(fields={self.into: written})
        found = state.fields.get(self.each)
        items = found if isinstance(found, list) else []
        work = [self._asked(str(x), i, len(items), state, step) for i, x in enumerate(items)]
        return Update(fields={self.into: [reply.text for reply in await gather(*work)]})

    def cost(self, before: PopulationBounds) -> Cost:
        """One request, or one for each item."""
        shows: dict[str, TextBound] = {
            "candidate": before.longest,
            "answer": before.longest,
            "item": before.fields.get("item", ""),
        }
        text: TextBound = self.longest
        if self.each is None:
            written = (text,) * self.most if self.lines else text
            return Cost(before, (self.requests(shows=shows),), written={self.into: written})
        found = before.fields.get(self.each, ())
        items = found if isinstance(found, tuple) else ()
        shows["item"] = max((token_bound(item) for item in items), default=0)
        asked = self.requests(shows=shows, prompts=len(items))
        written = (text,) * len(items)
        return Cost(before, (asked,), exact=not items, written={self.into: written})

    async def _asked(self, item: str, index: int, of: int, state: State, step: Step) -> Completion:
        """The reply, whose text includes the prefix."""
        draft = next(iter(state.live), None)
        if not self.conversation:
            kept = tuple(turn for turn in state.messages if turn.role == "system")
            state = state.model_copy(update={"messages": kept})
        known = {"item": item, "answer": (draft.answer if draft else None) or ""}
        messages = truncate_texts(
            lambda texts: step.messages(self.prompt, state, candidate=texts[0], **known),
            [draft.text if draft else ""],
            step.models(self.model),
            room=self.max_tokens,
        )
        try:
            completion = await step.prepare(
                continued(messages, self.prefix),
                self.without_thinking(step),
                texts=of,
                first=index,
                role=self.model,
            )
        except PromptTooLong as error:
            step.failures.append(f"nothing was asked for {self.into!r}: {error}")
            return Completion(sample=0, seed=0, text="", tokens=0, finish_reason="error")
        text = (self.prefix + completion.text).strip()
        if not text and completion.finish_reason not in NOT_WRITTEN:
            step.failures.append(f"the model wrote nothing for {self.into!r}")
        return completion.model_copy(update={"text": text})


_NUMBER = re.compile(
    r"^\s*(?:(?:Q|Step|Question)?\s*\d{1,3}\s*[.:)](?=\s|[^\W\d])|[-*•](?=\s))\s*", re.IGNORECASE
)  # not the numbers and signs of the item itself: 12.5% of 80, 3:30 pm, -5


def listed(text: str) -> list[str]:
    """The items of a list, without bullets and numbers.

    Items are the lines with a bullet or number; if there are none, all lines except those that end
    with a colon.
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    items = [line for line in lines if _NUMBER.match(line)]
    items = items or [line for line in lines if not line.endswith(":")] or lines
    return [item for line in items if (item := _NUMBER.sub("", line).strip())]


def whole_items(reply: Completion) -> list[str]:
    """The items of a list, without the last of several if it was cut off."""
    items = listed(reply.text)
    is_cut = reply.finish_reason in ("length", "budget")
    return items[:-1] if is_cut and len(items) > 1 else items
