"""What answers look like, by the right ones: how to look for them in texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from thinkgraph.evaluate.metrics.number import exact_number
from thinkgraph.evaluate.tasks.data import YES_OR_NO
from thinkgraph.evaluate.tasks.option import LETTERS
from thinkgraph.evaluate.tasks.question import Question

if TYPE_CHECKING:
    from thinkgraph.evaluate.runs.comparison import Comparison

_WORD = r"(yes|no|true|false)\b"
YES_NO = [
    {"regex": rf"(?i)\banswer\b(?:\s+is)?[\s:*\"']*{_WORD}"},
    {"regex": rf"(?i)\A[\s*\"']*{_WORD}"},
    {"regex": rf"(?i)\b{_WORD}"},
]
"""A marked answer, the text's first word, or the last one in it."""
TEXTS = ["boxed", "final", "text"]


def expected_extractor(questions: Sequence[Question]) -> Any:
    """The short form of the extractor that fits the right answers; None for `auto`.

    Letters where all questions have options, yes and no where all answers are one of these, and
    texts where no answer is a number.
    """
    if not questions:
        return None
    if all(each.choices for each in questions):
        most = max(len(each.choices) for each in questions)
        return [{"choice": LETTERS[:most]}, "auto"]
    if all(YES_OR_NO.fullmatch(each.reference) for each in questions):
        return YES_NO
    if not any(_is_value(each) for each in questions):
        return TEXTS
    return None


def _is_value(question: Question) -> bool:
    """Whether the right answer has a number in it, or mathematics."""
    return any(c.isdigit() or c in "\\$^" for c in question.reference)


def number_warning(comparison: Comparison) -> str:
    """What to say where the right answers are texts and the answers found are numbers."""
    texts = {
        each.id
        for each in comparison.questions
        if not each.choices
        and exact_number(each.reference, each.text) is None
        and not any(c in "\\$^" for c in each.reference)
    }
    answers = [row.answer for row in comparison.rows if row.question in texts and row.answer]
    numbers = sum(exact_number(answer) is not None for answer in answers)
    if not numbers or 3 * numbers < len(answers):
        return ""
    return (
        f"the right answers to {len(texts)} of {len(comparison.questions)} questions are texts, "
        f"and {numbers} of the {len(answers)} answers found there are numbers: --extract text or "
        "final takes texts, and --metric contains or one-of:LABEL,LABEL judges them"
    )
