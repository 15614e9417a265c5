"""The population: candidate answers, their critiques, and the answer.

A candidate is never deleted, only retired: the next node works on the live candidates, and the
retired ones can still be read, and are checkpointed and reported. All merges are by identifier
and idempotent, so that parallel nodes, subgraphs and resumed runs may write the same value twice.
"""

from __future__ import annotations

from typing import Any

from pydantic import Field

from thinkgraph.models.model import Confidence, FinishReason, Frozen, Message, TokenLogprob, Usage
from thinkgraph.nodes.answers import Tally

__all__ = [
    "Answer",
    "CallRecord",
    "Candidate",
    "Confidence",
    "Criticism",
    "State",
    "TokenLogprob",
    "Update",
]


class CallRecord(Frozen):
    """One call of a tool, with its result."""

    tool: str
    arguments: dict[str, Any] = Field(default_factory=dict)
    result: str = Field("", description="the result, as shown to the model")
    failed: bool = Field(False, description="whether the result is an error")
    seconds: float = Field(
        0.0, description="duration in seconds; ignored when records are compared"
    )

    def __eq__(self, other: object) -> bool:
        return isinstance(other, CallRecord) and self._made == other._made

    def __hash__(self) -> int:
        return hash((self.tool, self.result, self.failed))

    @property
    def _made(self) -> tuple[str, dict[str, Any], str, bool]:
        return self.tool, self.arguments, self.result, self.failed


class Candidate(Frozen):
    """One candidate answer: its text, the node that wrote it, and what was derived from it."""

    id: str = Field(description="NODE.ROUND.SAMPLE, unique in a run")
    node: str
    round: int = Field(description="index of the node's run that wrote it, from 0")
    text: str = Field(description="text of the answer, without the reasoning before it")
    reasoning: str = Field(
        "", description="the model's reasoning before the text; no prompt shows it"
    )
    answer: str | None = Field(
        None, description="answer extracted from the text; None: the candidate abstains"
    )
    parents: tuple[str, ...] = Field((), description="ids of the candidates it was written from")
    live: bool = Field(True, description="whether the candidate is live, as opposed to retired")
    rejected: bool = Field(
        False, description="whether a select node dropped the candidate as not accepted"
    )
    score: float | None = Field(
        None, description="score from the last node that scored the candidate; None if none did"
    )
    scorer: str | None = Field(None, description="name of the node that gave the score")
    terminal: bool = Field(
        False, description="whether the candidate is a leaf of a tree search that can't be expanded"
    )
    partial: bool = Field(
        False, description="whether the text is the steps so far of an answer that a search extends"
    )
    seed: int
    tokens: int
    finish_reason: FinishReason
    confidence: Confidence | None = None
    calls: tuple[CallRecord, ...] = Field((), description="tool calls that led to the answer")

    @property
    def is_blank(self) -> bool:
        """Whether the text is empty, as where a model thought until its tokens were used up."""
        return not self.text.strip()

    @property
    def is_finished(self) -> bool:
        """Whether there is a text, and the model ended it itself."""
        return self.finish_reason == "stop" and not self.is_blank

    def retired(self) -> Candidate:
        """A copy of the candidate that is not live."""
        return self.model_copy(update={"live": False})


class Criticism(Frozen):
    """A critique of one candidate, and its verdict."""

    id: str
    node: str
    round: int
    candidate: str = Field(description="id of the criticised candidate")
    text: str
    accepted: bool
    probability: float | None = Field(
        None,
        description="probability of acceptance, from the logits or a verifier; None if unknown",
    )
    seed: int
    tokens: int


class Answer(Frozen):
    """The answer of a run, and the vote that led to it."""

    value: str | None = Field(description="the extracted answer; None if there is none")
    text: str = Field(description="text of the candidate that gave the answer")
    candidate: str | None = Field(
        description="id of the candidate that gave the answer; None without candidates"
    )
    votes: int = Field(description="number of candidates with this answer")
    of: int = Field(description="number of candidates in the vote, abstentions included")
    tie: bool = False
    tally: Tally | None = Field(
        None, description="every distinct answer with its votes; None without a vote"
    )
    voters: tuple[str, ...] = Field(
        (),
        description="ids of the candidates in the vote; the tally's `members` are indices into it",
    )
    cancelled: int = Field(
        0, description="number of samples that a stopping rule cancelled; they did not vote"
    )
    note: str = Field("", description="one sentence on how certain the vote is")


class State(Frozen):
    """The state that a node reads."""

    question: str
    messages: tuple[Message, ...] = Field((), description="the conversation before the question")
    candidates: dict[str, Candidate] = Field(default_factory=dict)
    critiques: dict[str, Criticism] = Field(default_factory=dict)
    answer: Answer | None = None
    fields: dict[str, object] = Field(
        default_factory=dict,
        description="values of the inputs and state fields that the spec declares, by name",
    )

    @property
    def live(self) -> list[Candidate]:
        """The live candidates, oldest first."""
        return [candidate for candidate in self.candidates.values() if candidate.live]

    @property
    def whole(self) -> list[Candidate]:
        """Every complete candidate, retired ones included; all candidates if none is complete."""
        cut = ("budget", "error", "cancelled")
        everyone = list(self.candidates.values())
        return [c for c in everyone if c.finish_reason not in cut] or everyone

    def critiques_of(self, candidate: Candidate) -> list[Criticism]:
        """The critiques of a candidate, oldest first."""
        return [c for c in self.critiques.values() if c.candidate == candidate.id]

    def last_critiques(self, candidate: Candidate) -> list[Criticism]:
        """The critiques of a candidate from the node run that criticised it last."""
        found = self.critiques_of(candidate)
        return [c for c in found if (c.node, c.round) == (found[-1].node, found[-1].round)]

    def lineage(self, candidate: Candidate | None) -> list[Candidate]:
        """A candidate and its ancestors by first parents, oldest first; empty for None."""
        found: list[Candidate] = []
        while candidate is not None:
            found.append(candidate)
            above = next(iter(candidate.parents), None)
            candidate = self.candidates.get(above) if above else None
        return found[::-1]

    def accepts(self, candidate: Candidate) -> bool:
        """Whether most of a candidate's last critiques accept it."""
        last = [critique.accepted for critique in self.last_critiques(candidate)]
        return sum(last) * 2 > len(last)

    def passes(self, candidate: Candidate) -> bool:
        """Whether a candidate has critiques, and all of the last ones accept it."""
        last = self.last_critiques(candidate)
        return bool(last) and all(critique.accepted for critique in last)

    @property
    def is_rejected(self) -> bool:
        """Whether no candidate is live because none was accepted."""
        return not self.live and any(candidate.rejected for candidate in self.candidates.values())

    @property
    def accepted(self) -> bool:
        """Whether there are live candidates and the critics accept all of them."""
        return bool(self.live) and all(self.accepts(candidate) for candidate in self.live)


class Update(Frozen):
    """The update that a node writes.

    Candidates and critiques are merged by id, fields by their reducers; the answer is replaced.
    """

    candidates: tuple[Candidate, ...] = ()
    critiques: tuple[Criticism, ...] = ()
    answer: Answer | None = None
    fields: dict[str, object] = Field(default_factory=dict)
    usage: Usage = Usage()
