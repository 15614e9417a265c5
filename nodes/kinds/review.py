"""review: candidates → what a person chooses, edits or remarks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from pydantic import Field, ValidationError, model_validator

from thinkgraph.models.model import Frozen
from thinkgraph.nodes.answers import Extract, extract, parse_extractor
from thinkgraph.nodes.base.cost import Cost, PopulationBounds
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.event import CandidateUpdated, CritiqueAdded
from thinkgraph.nodes.person import ask_person
from thinkgraph.nodes.population import Candidate, Criticism, State, Update
from thinkgraph.nodes.step import Step

HOW = (
    "a candidate's number or id to choose it, {choose, edit: TEXT} to write it anew, "
    "{choose, remark: TEXT} to have it revised, true to accept all, or false to reject all"
)
CHOSEN, EDITED, ACCEPTED, REJECTED = (
    "A person chose this answer.",
    "A person wrote this answer.",
    "A person accepts this answer.",
    "A person rejects this answer.",
)


class Reply(Frozen):
    """A person's reply about candidates.

    ``accept`` says whether they are accepted; by default they are, unless there is a remark.
    """

    choose: str | int | None = Field(
        None, description="the chosen candidate: its id, or its number from 1"
    )
    edit: str | None = Field(None, min_length=1, description="the new text of the answer")
    remark: str | None = Field(
        None,
        min_length=1,
        description="what is wrong with the candidates, as a critique for a revision",
    )
    accept: bool | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Reply:
        if all(value is None for value in self.model_dump().values()):
            raise ValueError("the reply is empty")
        return self

    @property
    def accepts(self) -> bool:
        """Whether the reply accepts the candidates that it is about."""
        return self.remark is None if self.accept is None else self.accept

    @property
    def words(self) -> str:
        """The text of the reply as a critique."""
        if self.remark is not None:
            return self.remark
        if not self.accepts:
            return REJECTED
        if self.edit is not None:
            return EDITED
        return ACCEPTED if self.choose is None else CHOSEN

    @classmethod
    def parse(cls, given: Any, candidates: Sequence[Candidate]) -> Reply:
        """Parse a reply.

        A boolean accepts or rejects all candidates, a number or an id chooses one, and a text of
        more than one word is a remark. A mapping has the fields of this class.

        Raises:
            ValueError: the reply has another form, or names no candidate.
        """
        if isinstance(given, bool):
            return cls(accept=given)
        if isinstance(given, int) or (isinstance(given, str) and given.strip().isdecimal()):
            given = {"choose": int(given)}
        elif isinstance(given, str):
            text = given.strip()
            is_remark = len(text.split()) > 1
            given = {"remark": text} if is_remark else {"choose": text}
        if not isinstance(given, dict):
            raise ValueError(f"{given!r} is not a reply")
        try:
            reply = cls.model_validate(given)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"]))
            said = first["msg"].removeprefix("Value error, ")
            raise ValueError(f"{place}: {said}" if place else said) from None
        if reply.choose is not None:
            return reply.model_copy(update={"choose": _named(reply.choose, candidates).id})
        if reply.edit is not None and len(candidates) > 1:
            raise ValueError(
                f"an edit needs `choose`, since there are {len(candidates)} candidates"
            )
        return reply


def _named(name: str | int, candidates: Sequence[Candidate]) -> Candidate:
    """A candidate by its id, or its number from 1."""
    for number, candidate in enumerate(candidates, 1):
        if name in (number, str(number), candidate.id):
            return candidate
    known = ", ".join(candidate.id for candidate in candidates)
    raise ValueError(f"there is no candidate {name!r}; there are 1 to {len(candidates)}: {known}")


class Review(Node):
    """Show the live candidates to a person, and wait for a choice, an edit or a remark.

    The run is interrupted (LangGraph's ``interrupt()``) with the candidates, and resumes with the
    reply: ``Command(resume=...)``, ``Interrupted.resume()``, or input in a terminal. A choice keeps
    one candidate and retires the others. An edit replaces a candidate by a new one with the edited
    text. A remark becomes a rejecting critique, which a revise node can use. Every reply adds a
    critique to the candidates that stay live, so that ``accepted`` says whether the person accepts
    them. After an invalid reply the run is interrupted again, with an error message.
    """

    kind: ClassVar[str] = "review"
    about: ClassVar[str] = "candidates → what a person chooses, edits or remarks"
    input_channels: ClassVar[frozenset[str]] = frozenset({"question", "candidates"})
    output_channels: ClassVar[frozenset[str]] = frozenset({"candidates", "critiques"})
    waits: ClassVar[bool] = True

    ask: str = Field("", description="instruction to the person; empty: none")
    extract: Extract = Field(
        parse_extractor("auto"), description="extractor that finds the answer in an edited text"
    )

    @property
    def asks_person(self) -> bool:
        """Always True."""
        return True

    async def run(self, state: State, step: Step) -> Update:
        """Ask a person and apply the reply; do nothing without live candidates.

        In a stopped run nobody is asked: it ends with its best answer so far.
        """
        if not state.live or not step.may_ask_person():
            return Update()
        reply = self._reply(state, step)
        named = [c for c in state.live if reply.choose in (None, c.id)]
        kept = [self._edited(named[0], reply.edit, step)] if reply.edit is not None else named
        ids = {candidate.id for candidate in kept}
        gone = [candidate.retired() for candidate in state.live if candidate.id not in ids]
        changed = [
            *gone,
            *(candidate for candidate in kept if candidate.id not in state.candidates),
        ]
        critiques = [self._criticism(c, i, reply, step) for i, c in enumerate(kept)]
        for candidate in changed:
            step.emit(CandidateUpdated(candidate=candidate))
        for criticism in critiques:
            step.emit(CritiqueAdded(critique=criticism))
        return Update(candidates=tuple(changed), critiques=tuple(critiques))

    def cost(self, before: PopulationBounds) -> Cost:
        """No requests; the text that a person writes isn't counted."""
        after = before.added(1, before.longest, live=before.live, exact=False)
        return Cost(after.judged())

    def _reply(self, state: State, step: Step) -> Reply:
        """Ask the person until the reply is valid."""
        request: dict[str, Any] = {
            "review": step.node,
            "question": state.question,
            "candidates": [_shown(candidate, state) for candidate in state.live],
            "reply": HOW,
        }
        if self.ask:
            request["ask"] = self.ask
        while True:
            given = ask_person(request)
            try:
                return Reply.parse(given, state.live)
            except ValueError as error:
                request = {**request, "error": str(error)}

    def _edited(self, parent: Candidate, text: str, step: Step) -> Candidate:
        return Candidate(
            id=step.id(0),
            node=step.node,
            round=step.round,
            text=text,
            answer=extract(text, self.extract),
            parents=(parent.id,),
            seed=parent.seed,
            tokens=0,
            finish_reason="stop",
        )

    def _criticism(self, candidate: Candidate, index: int, reply: Reply, step: Step) -> Criticism:
        return Criticism(
            id=step.id(index),
            node=step.node,
            round=step.round,
            candidate=candidate.id,
            text=reply.words,
            accepted=reply.accepts,
            seed=0,
            tokens=0,
        )


def _shown(candidate: Candidate, state: State) -> dict[str, Any]:
    """The data of a candidate that a person is shown."""
    critiques = [
        {"text": each.text, "accepted": each.accepted} for each in state.critiques_of(candidate)
    ]
    shown: dict[str, Any] = candidate.model_dump(include={"id", "text", "answer", "score"})
    return {**shown, "critiques": critiques}
