"""The training set of a distillation: the selection of a strategy's samples."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Literal, NamedTuple

from pydantic import Field

from thinkgraph.evaluate.metrics.metric import Metric
from thinkgraph.evaluate.runs.row import Draft, Row
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.models.model import Frozen, Message
from thinkgraph.nodes.answers.extract import Text
from thinkgraph.train.example import Conversation

Target = Literal["text", "answer", "both"]
"""The training target: a sample's text, its answer alone, or both, the answer on a last line."""

NOT_WHOLE = ("length", "cancelled", "error", "budget")
"""Finish reasons of incomplete samples."""
ALIKE = 0.9
"""Similarity ratio from which two samples count as near-copies."""


class Selection(Frozen):
    """How samples are selected."""

    verify: Literal["metric", "vote"] = Field(
        "metric",
        description="`metric`: keep samples that the metric judges right, as in STaR (arXiv "
        "2203.14465, section 3.1) and ReST-EM (arXiv 2312.06585, section 3); `vote`: keep samples "
        "that agree with a clear vote of the run, which needs no right answers",
    )
    clear: float = Field(
        0.6, gt=0, le=1, description="for `vote`: share of the samples that must agree"
    )
    per_question: int = Field(
        2,
        ge=1,
        description="maximum number of samples per question, so that easy questions don't dominate",
    )
    order: Literal["shortest", "first"] = Field(
        "shortest",
        description="which samples of a question to keep first: the shortest, or in the order of "
        "sampling",
    )
    learn: Target = Field(
        "text", description="training target: the sample's text, its answer, or both"
    )


class Counts(NamedTuple):
    """Numbers of samples by outcome."""

    samples: int = 0
    verified: int = 0
    """Samples that the metric finds right, or with the answer of a clear vote."""
    copies: int = 0
    """Verified samples that were dropped as near-copies."""
    kept: int = 0
    questions: int = 0
    """Questions with at least one kept sample."""


def select(
    rows: Iterable[Row], questions: Sequence[Question], metric: Metric, how: Selection
) -> tuple[list[Conversation], Counts]:
    """Select the conversations of the training set, and count the samples by outcome.

    Args:
        rows: the strategy's runs.
        questions: the questions of the runs, whose right answers verify the samples.
        metric: judges the samples.
        how: the criteria of the selection.
    """
    by_question = {row.question: row for row in rows}
    made: list[Conversation] = []
    counts = Counts()
    for question in questions:  # not the rows, whose order differs when a run is resumed
        row = by_question.get(question.id)
        if row is None:
            continue
        drafts = [each for each in row.drafts if each.text.strip()]
        right = [each for each in drafts if _verified(question, row, each, metric, how)]
        kept, copies = _chosen([_target(each, how.learn) for each in right], how)
        made += [_conversation(question, each) for each in kept]
        counts = Counts(
            counts.samples + len(drafts),
            counts.verified + len(right),
            counts.copies + copies,
            counts.kept + len(kept),
            counts.questions + bool(kept),
        )
    return made, counts


def _verified(question: Question, row: Row, draft: Draft, metric: Metric, how: Selection) -> bool:
    if draft.answer is None or draft.finish_reason in NOT_WHOLE:
        return False
    if how.verify == "vote":
        # A sample without an answer casts no vote, but counts as one that doesn't agree.
        of = max(sum(row.votes.values()), sum(each.live for each in row.drafts))
        agreed = row.votes.get(row.answer or "", 0)
        clear = agreed > 1 and not row.tie and agreed >= how.clear * of
        return clear and draft.answer == row.answer
    sample = row.model_copy(update={"answer": draft.answer, "text": draft.text})
    return metric.score_row(question, sample).right


def _target(draft: Draft, learn: Target) -> str:
    text = (Text()(draft.text) or draft.text).strip()
    answer = draft.answer or ""
    return {"text": text, "answer": answer, "both": f"{text}\n{answer}"}[learn]


def _chosen(targets: Sequence[str], how: Selection) -> tuple[list[str], int]:
    """The selected targets of one question, and the number of near-copies of these."""
    if how.order == "shortest":
        targets = sorted(targets, key=len)
    kept: list[str] = []
    copies = 0
    for target in targets:
        if any(alike(target, other) for other in kept):
            copies += 1
        elif len(kept) < how.per_question:
            kept.append(target)
    return kept, copies


def alike(one: str, other: str) -> bool:
    """Whether two samples are near-copies, ignoring case and white space."""
    one, other = (" ".join(each.casefold().split()) for each in (one, other))
    matcher = difflib.SequenceMatcher(None, one, other, autojunk=False)
    return matcher.quick_ratio() >= ALIKE and matcher.ratio() >= ALIKE


def _conversation(question: Question, target: str) -> Conversation:
    asked = Message(role="user", content=question.text)
    return Conversation((*question.messages, asked, Message(role="assistant", content=target)))
