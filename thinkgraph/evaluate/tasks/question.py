"""A question with its right answer."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from thinkgraph.models.model import Frozen, Message


class Question(Frozen):
    """One question of a task."""

    id: str = Field(description="unique in its task")
    text: str = Field(description="the question, with its options where it has some")
    reference: str = Field(
        description="the right answer; the letter of an option; empty where none is known"
    )
    alternatives: tuple[str, ...] = Field((), description="further answers that are right too")
    messages: tuple[Message, ...] = Field(
        (), description="the conversation before it, oldest first: system prompt, earlier turns"
    )
    choices: tuple[str, ...] = Field((), description="the options of a choice, in the order A, B")
    extract: Any = Field(
        None,
        description="how its answer is found in a text, in short form; None is the graph's way",
    )
    group: str = Field("", description="by which results are broken down; empty for none")

    @property
    def key(self) -> tuple[str, ...]:
        """Equal for two questions that differ only in case, white space, id or answer."""
        said = [*(each.content for each in self.messages), self.text]
        return tuple(" ".join(text.casefold().split()) for text in said)
