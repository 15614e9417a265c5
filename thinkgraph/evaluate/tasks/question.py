"""A question with its right answer."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from thinkgraph.models.model import Frozen, Message


class Question(Frozen):
    """One question of a task."""

    id: str = Field(description="unique in its task")
    text: str = Field(description="the question, including its options if it has any")
    reference: str = Field(
        description="the right answer, or the letter of the right option; empty: unknown"
    )
    alternatives: tuple[str, ...] = Field((), description="further answers that count as right")
    messages: tuple[Message, ...] = Field(
        (),
        description="conversation before the question, oldest message first: system prompt, "
        "earlier turns",
    )
    choices: tuple[str, ...] = Field(
        (), description="options of a multiple-choice question, in the order A, B"
    )
    extract: Any = Field(
        None, description="extractor of the answer, in short form; None: the extractor of the graph"
    )
    group: str = Field("", description="group by which results are broken down; empty: none")

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for two questions that differ only in case, white space, id or answer."""
        said = [*(each.content for each in self.messages), self.text]
        return tuple(" ".join(text.casefold().split()) for text in said)
