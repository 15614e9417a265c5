"""The choice of an extractor by the reference answers of a task."""

import re
from collections.abc import Sequence
from string import ascii_uppercase

from thinkgraph.nodes.answers.extract.auto import Auto
from thinkgraph.nodes.answers.extract.choice import Choice
from thinkgraph.nodes.answers.extract.extractor import Extractor
from thinkgraph.nodes.answers.extract.label import OneOf, YesNo
from thinkgraph.nodes.answers.value import Words, as_number, canonical
from thinkgraph.nodes.answers.value.value import plain

_MOST_LABELS = 12
_FEWEST = 4
"""Minimum number of letters of a choice whose options aren't known."""
_LETTER = re.compile(r"\(?([A-J])[).]?")


def expected_extractor(references: Sequence[str], letters: str = "") -> Extractor:
    """The extractor that suits the reference answers of a task.

    Args:
        references: reference answers of the task, one or more.
        letters: the options' letters in a multiple choice, such as `ABCD`; else empty.

    Returns:
        `choice` with the letters, also if all are capitals from A to J and not all the same;
        `yes-no` if all are yes or no; `one-of` if all are true or false, or a few recurring words;
        `{auto: number}` or `{auto: text}` if all are numbers or words; `auto` for anything else,
        such as expressions.
    """
    bare = [reference.strip() for reference in references]
    folded = {re.sub(r"[.!]$", "", reference).casefold() for reference in bare}
    values = [canonical(reference) for reference in bare]
    if asked := _letters(bare, letters):
        return Choice(letters=asked)
    if folded and folded <= {"yes", "no"}:
        return YesNo()
    if folded and folded <= {"true", "false"}:
        return OneOf(labels=("true", "false"))
    if values and all(as_number(value) is not None for value in values):
        return Auto(kind="number")
    if values and all(isinstance(plain(value), Words) for value in values):
        labels = _labels(bare)
        return OneOf(labels=labels) if labels else Auto(kind="text")
    return Auto()


def _letters(references: Sequence[str], known: str) -> str:
    """The letters of a choice; those after the last that a reference names may be options too."""
    if known:
        return known if all(reference.upper() in known for reference in references) else ""
    chosen = {found[1] for each in references if (found := _LETTER.fullmatch(each))}
    if len(chosen) < 2 or not all(map(_LETTER.fullmatch, references)):
        return ""
    return ascii_uppercase[: max(_FEWEST, ascii_uppercase.index(max(chosen)) + 1)]


def _labels(references: Sequence[str]) -> tuple[str, ...]:
    """The distinct recurring words, without regard to case; empty if there are too many."""
    spelled = {each.rstrip(".!").casefold(): each.rstrip(".!") for each in sorted(references)}
    few = 2 <= len(spelled) <= min(_MOST_LABELS, len(references) // 4)
    return tuple(spelled[folded] for folded in sorted(spelled)) if few else ()
