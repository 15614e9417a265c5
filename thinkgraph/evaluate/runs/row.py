"""The result of one strategy on one question."""

from __future__ import annotations

from typing import Self

from pydantic import Field

from thinkgraph.graphs.runtime.result import Result
from thinkgraph.models.model import FinishReason, Frozen


class Draft(Frozen):
    """A candidate answer of the run."""

    id: str
    text: str
    answer: str | None
    tokens: int
    live: bool
    finish_reason: FinishReason
    score: float | None = None


class Remark(Frozen):
    """A critic's comment on a draft."""

    draft: str
    text: str
    accepted: bool


class Row(Frozen):
    """One question answered by one strategy, with its cost as if the strategy had run alone."""

    question: str = Field(description="id of the question")
    strategy: str = Field(description="label of the strategy")
    answer: str | None = Field(
        description="extracted answer in comparable form; None: the strategy abstained"
    )
    text: str = Field(description="whole text from which the answer was extracted")
    tokens: int = Field(
        description="number of sampled tokens, including those of cancelled and rejected samples"
    )
    prompt_tokens: int = Field(description="number of prompt tokens, counted once per model call")
    calls: int = Field(
        description="number of model calls; a prompt with all its samples is one call"
    )
    votes: dict[str, int] = Field(default_factory=dict, description="votes by answer, most first")
    tie: bool = False
    cut: str | None = Field(None, description="why the run was cut short; None: it wasn't")
    failure: str | None = Field(
        None, description="why the run failed and has no answer; None: it didn't fail"
    )
    lost: str | None = Field(
        None,
        description="error of a request that failed without ending the run, so that the answer "
        "rests on fewer samples or judgements; None: there is none",
    )
    drafts: tuple[Draft, ...] = ()
    remarks: tuple[Remark, ...] = ()

    @classmethod
    def of(cls, question: str, strategy: str, result: Result, lost: str | None = None) -> Self:
        """The row of a finished run."""
        answer, usage = result.answer, result.usage
        return cls(
            question=question,
            strategy=strategy,
            answer=answer.value,
            text=answer.text,
            tokens=usage.completion_tokens,
            prompt_tokens=usage.prompt_tokens,
            calls=usage.model_calls,
            votes=result.votes,
            tie=answer.tie,
            cut=result.cut,
            lost=lost,
            drafts=tuple(
                Draft(**{name: getattr(c, name) for name in Draft.model_fields})
                for c in result.candidates
            ),
            remarks=tuple(
                Remark(draft=c.candidate, text=c.text, accepted=c.accepted)
                for c in result.critiques
            ),
        )

    @classmethod
    def failed(cls, question: str, strategy: str, failure: str) -> Self:
        """The row of a failed run."""
        return cls(
            question=question,
            strategy=strategy,
            answer=None,
            text="",
            tokens=0,
            prompt_tokens=0,
            calls=0,
            failure=failure,
        )
