"""What answers look like, by the right ones: how to look for them in texts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from thinkgraph.evaluate.metrics.number import exact_number
from thinkgraph.evaluate.tasks.option import LETTERS
from thinkgraph.evaluate.tasks.question import Question

if TYPE_CHECKING:
    from thinkgraph.evaluate.runs.comparison import Comparison

YES_OR_NO = re.compile(r"(?i)\s*(?:yes|no|true|false)\s*\.?\s*")
"""A right answer that is yes or no."""
_WORD = r"(yes|no|true|false)\b"
YES_NO = [
    {"regex": rf"(?i)\banswer\b(?:\s+is)?[\s:*\"']*{_WORD}"},
    {"regex": rf"(?i)\A[\s*\"']*{_WORD}"},
    {"regex": rf"(?i)\b{_WORD}"},
]
"""A marked answer, the text's first word, or the last one in it."""
TEXTS = ["boxed", "final", "text"]


def expected_extractor(question: Question) -> Any:
    """The short form of the extractor that fits the right answer; None for `auto`.

    A letter where there are options, yes or no where that is the answer, and a text where it
    has no number and no mathematics in it.
    """
    if question.choices:
        return [{"choice": LETTERS[: len(question.choices)]}, "auto"]
    if YES_OR_NO.fullmatch(question.reference):
        return YES_NO
    return None if any(c.isdigit() or c in "\\$^" for c in question.reference) else TEXTS


def kinds(questions: Sequence[Question]) -> str:
    """What is looked for in how many questions, in words; empty if it is the same in all."""
    names = {"choice": "options", "regex": "yes or no", "boxed": "texts"}
    counts = Counter(
        "numbers and mathematics" if each.extract is None else names[_head(each.extract[0])]
        for each in questions
    )
    return ", ".join(f"{count} {name}" for name, count in counts.items()) if counts else ""


def _head(short: Any) -> str:
    return short if isinstance(short, str) else str(next(iter(short)))


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
