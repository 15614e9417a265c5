"""Extractors for the answers to a question, derived from its right answer."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from thinkgraph.evaluate.metrics.number import exact_number
from thinkgraph.evaluate.tasks.option import LETTERS
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.nodes.answers import expected_extractor

if TYPE_CHECKING:
    from thinkgraph.evaluate.runs.comparison import Comparison

YES_OR_NO = re.compile(r"(?i)\s*(?:yes|no|true|false)\s*\.?\s*")
"""Matches a right answer of yes or no, or true or false."""
TEXT = {"auto": "text"}
_SHARED = {"one-of", "choice"}
_KINDS = {
    "choice": "options",
    "yes-no": "yes or no",
    "auto:number": "numbers",
    "auto:text": "texts",
}


def expecting(questions: Sequence[Question]) -> tuple[Question, ...]:
    """The questions, each with the extractor for its answers.

    If the right answers of all questions are a few labels, or letters without options, all
    questions share one extractor for these: `maybe` is then a label next to yes and no, and not a
    text. Otherwise each question's own right answers decide between number, text, and yes or no.
    """
    free = [each for each in questions if not each.choices]
    right = [text for each in free for text in (each.reference, *each.alternatives)]
    shared = _short(right) if len(free) == len(questions) else None
    if not (isinstance(shared, dict) and shared.keys() <= _SHARED):
        shared = None
    return tuple(
        each.model_copy(update={"extract": shared or expected(each)}) for each in questions
    )


def expected(question: Question) -> Any:
    """The short form of the extractor that fits the right answer; None for `auto`."""
    letters = LETTERS[: len(question.choices)]
    return _short([question.reference, *question.alternatives], letters)


def _short(right: Sequence[str], letters: str = "") -> Any:
    short = expected_extractor([each for each in right if each], letters).short()
    return None if short == "auto" else short


def kinds(questions: Sequence[Question]) -> str:
    """A description of the extractors with their numbers of questions: `90 numbers, 10 texts`."""
    counts = Counter(_kind(each.extract) for each in questions)
    return ", ".join(f"{name} ({count})" for name, count in counts.most_common())


def _kind(short: Any) -> str:
    if isinstance(short, dict):
        ((name, setting),) = short.items()
        if name == "one-of":
            return f"one of {', '.join(setting)}"
        return _KINDS.get(str(name)) or _KINDS.get(f"{name}:{setting}") or str(name)
    return (_KINDS.get(str(short)) if short else None) or "any kind"


def texts_for_numbers(questions: Sequence[Question], extract: Any) -> str:
    """A warning before a run that extracts numbers though right answers are texts, or empty."""
    texts = _textual(questions)
    if not texts or extract not in ("number", {"auto": "number"}):
        return ""
    return (
        f"the right answers to {len(texts)} of {len(questions)} questions are texts, and only "
        "numbers are looked for: --extract text or final takes texts"
    )


def _textual(questions: Sequence[Question]) -> set[str]:
    """The ids of questions without options whose right answers are neither numbers nor LaTeX."""
    return {
        each.id
        for each in questions
        if not each.choices
        and exact_number(each.reference, each.text) is None
        and not any(c in "\\$^" for c in each.reference)
    }


def number_warning(comparison: Comparison) -> str:
    """A warning after a run that found numbers though right answers are texts, or empty."""
    texts = _textual(comparison.questions)
    answers = [row.answer for row in comparison.rows if row.question in texts and row.answer]
    numbers = sum(exact_number(answer) is not None for answer in answers)
    if not numbers or 3 * numbers < len(answers):
        return ""
    return (
        f"the right answers to {len(texts)} of {len(comparison.questions)} questions are texts, "
        f"and {numbers} of the {len(answers)} answers found there are numbers: --extract text or "
        "final takes texts, and --metric contains or one-of:LABEL,LABEL judges them"
    )
