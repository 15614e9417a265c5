"""The events that a run streams."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from thinkgraph.models.model import Frozen
from thinkgraph.nodes.population import Answer, CallRecord, Candidate, Criticism


class NodeStarted(Frozen):
    """A node begins its run number ``round`` (from 0)."""

    event: Literal["node"] = "node"
    node: str
    round: int


class TextDelta(Frozen):
    """New text of a candidate or critique; ``tokens`` counts all of its tokens so far.

    ``reasoning`` is new text of the thought that precedes it.
    """

    event: Literal["delta"] = "delta"
    node: str
    id: str
    text: str
    tokens: int
    reasoning: str = ""


class CandidateUpdated(Frozen):
    """A candidate is complete, or was changed (scored, retired)."""

    event: Literal["candidate"] = "candidate"
    candidate: Candidate


class CritiqueAdded(Frozen):
    """A critique is complete."""

    event: Literal["critique"] = "critique"
    critique: Criticism


class ToolCalled(Frozen):
    """A tool was called for the candidate ``id``."""

    event: Literal["tool"] = "tool"
    node: str
    id: str
    call: CallRecord


class AnswerReached(Frozen):
    """A node has reached an answer; a later answer may replace it."""

    event: Literal["answer"] = "answer"
    node: str
    answer: Answer


NodeEvent = Annotated[
    NodeStarted | TextDelta | CandidateUpdated | CritiqueAdded | ToolCalled | AnswerReached,
    Field(discriminator="event"),
]
