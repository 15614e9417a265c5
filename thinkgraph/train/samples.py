"""The training set of a distillation: which samples of a strategy it holds."""

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
"""The ratio of equal characters from which two samples are near-copies."""


class Selection(Frozen):
    """How samples are chosen."""

    verify: Literal["metric", "vote"] = Field(
        "metric",
        description="by the metric and the right answers, as in STaR (arXiv 2203.14465, section "
        "3.1) and ReST-EM (2312.06585, section 3); or by a clear vote of the run, which needs none",
    )
    clear: float = Field(0.6, gt=0, le=1, description="of a vote: the share that must agree")
    per_question: int = Field(
        2, ge=1, description="samples of a question at most, so that easy ones don't outweigh"
    )
    order: Literal["shortest", "first"] = Field("shortest", description="which of them")
    learn: Target = Field("text", description="the training target")


class Counts(NamedTuple):
    """What became of the samples."""

    samples: int = 0
    verified: int = 0
    """Right by the metric, or of the clear vote's answer."""
    copies: int = 0
    """Verified ones that were dropped as near-copies."""
    kept: int = 0
    questions: int = 0
    """With at least one sample that was kept."""


def select(
    rows: Iterable[Row], questions: Sequence[Question], metric: Metric, how: Selection
) -> tuple[list[Conversation], Counts]:
    """The conversations of the training set, and what became of the samples.

    Args:
        rows: the strategy's runs.
        questions: of the runs; their right answers verify the samples.
        metric: what is right.
        how: which samples are taken.
    """
    known = {each.id: each for each in questions}
    made: list[Conversation] = []
    counts = Counts()
    for row in rows:
        question = known[row.question]
        drafts = [each for each in row.drafts if each.text.strip()]
        right = [each for each in drafts if _verified(question, row, each, metric, how)]
        kept, copies = _chosen(right, how)
        made += [_conversation(question, each, how.learn) for each in kept]
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
        # A sample without an answer is in no vote, and still a sample that didn't agree.
        of = max(sum(row.votes.values()), sum(each.live for each in row.drafts))
        agreed = row.votes.get(row.answer or "", 0)
        clear = agreed > 1 and not row.tie and agreed >= how.clear * of
        return clear and draft.answer == row.answer
    sample = row.model_copy(update={"answer": draft.answer, "text": draft.text})
    return metric.score_row(question, sample).right


def _chosen(drafts: Sequence[Draft], how: Selection) -> tuple[list[Draft], int]:
    """The samples of one question that are taken, and how many were near-copies of those."""
    if how.order == "shortest":
        drafts = sorted(drafts, key=lambda each: len(each.text))
    kept: list[Draft] = []
    copies = 0
    for draft in drafts:
        if any(alike(draft.text, other.text) for other in kept):
            copies += 1
        elif len(kept) < how.per_question:
            kept.append(draft)
    return kept, copies


def alike(one: str, other: str) -> bool:
    """Whether two samples are near-copies; capitals and white space don't matter."""
    one, other = (" ".join(each.casefold().split()) for each in (one, other))
    matcher = difflib.SequenceMatcher(None, one, other, autojunk=False)
    return matcher.quick_ratio() >= ALIKE and matcher.ratio() >= ALIKE


def _conversation(question: Question, draft: Draft, learn: Target) -> Conversation:
    text = (Text()(draft.text) or draft.text).strip()
    answer = draft.answer or ""
    said = {"text": text, "answer": answer, "both": f"{text}\n{answer}"}[learn]
    asked = Message(role="user", content=question.text)
    return Conversation((*question.messages, asked, Message(role="assistant", content=said)))
