"""vote: candidates → the answer that most of them give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from thinkgraph.models.model import NOT_WRITTEN
from thinkgraph.nodes.answers import Tally, Tolerance, decided, median, tally
from thinkgraph.nodes.answers.equal import parse_tolerance
from thinkgraph.nodes.base.cost import Cost, PopulationBounds
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.event import AnswerReached
from thinkgraph.nodes.population import Answer, Candidate, State, Update
from thinkgraph.nodes.quality import QUALITIES
from thinkgraph.nodes.step import Step

Weight = Literal["count", "logprob", "certainty", "tail", "lowest_group", "heuristic", "verdict"]


def _tolerance(value: Tolerance) -> Tolerance:
    parse_tolerance(value)
    return value


class Vote(Node):
    """Count the answers of the live candidates by value; the most frequent one is the answer.

    Candidates without an answer abstain: they are counted separately and never win. A tie goes to
    the answer that came first, and is reported. Candidates that the budget cut short vote only if
    no other has an answer. If a run was cut short and no live candidate has an answer, the retired
    ones vote, so that no answer is lost, except those that a select node dropped as not accepted.

    Votes may be weighted: by the probability of a candidate's text (arXiv 2203.11171, section 2),
    by self-certainty with ``borda`` (arXiv 2502.18581, section 4), or by DeepConf's ``tail`` or
    ``lowest_group`` confidence with ``keep`` (arXiv 2508.15260). If an answer lacks the measure,
    all votes weigh the same, and the note of the answer says so. It also says how many texts were
    cut off at ``max_tokens``, and whether cancelled samples could have changed the vote.
    """

    kind: ClassVar[str] = "vote"
    about: ClassVar[str] = "candidates → the most frequent answer"
    input_channels: ClassVar[frozenset[str]] = frozenset({"question", "candidates"})
    output_channels: ClassVar[frozenset[str]] = frozenset({"answer"})

    by: Weight = Field("count", description="weight of a vote; `count`: each vote weighs 1")
    borda: float = Field(
        0.0,
        ge=0,
        le=10,
        description="rank weighting: a vote weighs (n - rank + 1) to this power; 0 is off",
    )
    keep: float = Field(
        1.0,
        gt=0,
        le=1,
        description="fraction of the answers that vote, the best ones by the measure `by`",
    )
    combine: Literal["mode", "median"] = Field(
        "mode", description="majority, or the median of numeric answers"
    )
    tolerance: Annotated[float | str, AfterValidator(_tolerance)] = Field(
        0.0,
        description='largest difference of two numbers that count as one answer: 0.5, or "1%" of '
        "the larger",
    )

    @model_validator(mode="after")
    def _ranks_by_a_measure(self) -> Vote:
        if self.by == "count" and (self.borda or self.keep != 1):
            raise ValueError("`borda` and `keep` need a measure; set `by`, as in `by: certainty`")
        return self

    @property
    def is_plain(self) -> bool:
        """Whether this is an unweighted majority vote with exact equality."""
        exact = parse_tolerance(self.tolerance)[0] == 0
        return self.by == "count" and self.combine == "mode" and exact

    async def run(self, state: State, step: Step) -> Update:
        """Tally the population."""
        answer = self.elect(state, cut=bool(step.budget and step.budget.cut))
        step.emit(AnswerReached(node=step.node, answer=answer))
        return Update(answer=answer)

    def cost(self, before: PopulationBounds) -> Cost:
        """No requests."""
        return Cost(before)

    def elect(self, state: State, *, cut: bool = False) -> Answer:
        """The answer of a population: the winner of its vote, else its first candidate's text.

        Args:
            state: the population.
            cut: whether the run was cut short.
        """
        voters = _voters(state, cut)
        measured = self._measured(voters, state)
        if measured is not None:
            voters, measured = self._best(voters, measured)
        weights = None if measured is None else self._weights(measured)
        answer = self._tallied(voters, weights, state.question)
        cancelled = sum(c.finish_reason == "cancelled" for c in state.candidates.values())
        notes = [answer.note] if len(voters) > 1 or answer.value is None else []
        if state.is_rejected:
            rejected = sum(c.rejected for c in state.candidates.values())
            what = "the candidate was" if rejected == 1 else f"all {rejected} candidates were"
            notes = [f"Nothing was accepted: {what} rejected."]
        if self.by != "count" and measured is None and voters:
            notes.append(f"No {self.by} is known, so every vote weighs the same.")
        if answer.tally and not self._is_settled(answer.tally, cancelled):
            what = "1 sample was" if cancelled == 1 else f"{cancelled} samples were"
            notes.append(f"{what} cancelled that might have changed this vote.")
        unfinished = sum(voter.finish_reason == "length" for voter in voters)
        if unfinished and len(voters) > 1:
            notes.append(f"{unfinished} of {len(voters)} texts were cut off before their end.")
        return answer.model_copy(update={"cancelled": cancelled, "note": " ".join(notes)})

    def _is_settled(self, tally: Tally, cancelled: int) -> bool:
        """Whether the cancelled samples couldn't have changed the vote."""
        votes = [each.votes for each in tally.classes]
        return not cancelled or (self.is_plain and decided(votes, cancelled))

    def _measured(self, voters: Sequence[Candidate], state: State) -> list[float] | None:
        if self.by == "count":
            return None
        values = [QUALITIES[self.by](candidate, state) for candidate in voters]
        answered = (v for voter, v in zip(voters, values, strict=True) if voter.answer is not None)
        return values if all(map(math.isfinite, answered)) else None

    def _best(
        self, voters: list[Candidate], values: list[float]
    ) -> tuple[list[Candidate], list[float]]:
        """The voters without an answer, and the best share ``keep`` of the others, with ties."""
        answered = [v for voter, v in zip(voters, values, strict=True) if voter.answer is not None]
        if not answered:
            return voters, values
        least = sorted(answered, reverse=True)[math.ceil(self.keep * len(answered)) - 1]
        kept = [i for i, v in enumerate(values) if v >= least or voters[i].answer is None]
        return [voters[index] for index in kept], [values[index] for index in kept]

    def _weights(self, values: list[float]) -> list[float]:
        if self.borda:
            ranks = [1 + sum(other > value for other in values) for value in values]
            return [(len(values) - rank + 1.0) ** self.borda for rank in ranks]
        if self.by == "logprob":
            return [math.exp(value) for value in values]
        return [max(value, 0.0) for value in values]

    def _tallied(
        self, voters: Sequence[Candidate], weights: list[float] | None, question: str
    ) -> Answer:
        answers = [candidate.answer for candidate in voters]
        tolerance = self.tolerance or None
        votes = tally(answers, weights, question=question, tolerance=tolerance)
        winner = votes.winner
        speaker = voters[winner.members[0]] if winner else next(iter(voters), None)
        answer = Answer(
            value=winner.value if winner else None,
            text=speaker.text if speaker else "",
            candidate=speaker.id if speaker else None,
            votes=winner.votes if winner else 0,
            of=len(voters),
            tie=votes.tie,
            tally=votes,
            voters=tuple(candidate.id for candidate in voters),
            note=votes.note,
        )
        if self.combine == "mode":
            return answer
        middle = median(answers, weights, question=question)
        if middle.member is None:
            return answer
        return answer.model_copy(
            update={
                "value": middle.value,
                "text": voters[middle.member].text,
                "candidate": voters[middle.member].id,
                "votes": next(c.votes for c in votes.classes if middle.member in c.members),
                "tie": False,
                "note": f"The median of {middle.numeric} numbers, of which the middle half lies "
                f"from {middle.low} to {middle.high}.",
            }
        )


def _voters(state: State, cut: bool) -> list[Candidate]:
    """The first group with an answer: complete live candidates, all live ones, retired ones."""
    live = state.live
    retired = [c for c in state.candidates.values() if not c.rejected] if cut else []
    pools = [[c for c in live if c.finish_reason not in NOT_WRITTEN], live, retired]
    answered = (pool for pool in pools if any(c.answer is not None for c in pool))
    return next(answered, [candidate for candidate in live if candidate.text] or live)
