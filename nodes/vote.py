"""vote: candidates → the answer that most of them give."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from thinkgraph.nodes.answers import tally
from thinkgraph.nodes.event import Answered
from thinkgraph.nodes.node import Node
from thinkgraph.nodes.population import Answer, Candidate, State, Update
from thinkgraph.nodes.step import Step


class Vote(Node):
    """Count the live candidates' answers by value; the largest class gives the answer.

    Candidates without an answer abstain: they are counted apart and never win. Of tied classes
    the one that was answered first wins, and the tie is told.
    """

    kind: ClassVar[str] = "vote"
    about: ClassVar[str] = "candidates → the answer that most of them give"
    needs: ClassVar[frozenset[str]] = frozenset({"question", "candidates"})
    gives: ClassVar[frozenset[str]] = frozenset({"answer"})

    tolerance: float | None = Field(
        None, gt=0, description="numbers this close, relative to their size, are one answer"
    )

    async def run(self, state: State, step: Step) -> Update:
        """Tally the population."""
        answer = elect(state.live, state.question, self.tolerance)
        step.emit(Answered(node=step.node, answer=answer))
        return Update(answer=answer)


def elect(live: list[Candidate], question: str, tolerance: float | None = None) -> Answer:
    """The answer of a population: the winner of its vote, else its first candidate's text."""
    votes = tally([candidate.answer for candidate in live], question=question, tolerance=tolerance)
    winner = votes.winner
    speaker = live[winner.members[0]] if winner else next(iter(live), None)
    return Answer(
        value=winner.value if winner else None,
        text=speaker.text if speaker else "",
        candidate=speaker.id if speaker else None,
        votes=winner.votes if winner else 0,
        of=len(live),
        tie=votes.tie,
        tally=votes,
    )
