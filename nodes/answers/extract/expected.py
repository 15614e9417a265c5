"""What to look for where the right answers are known."""

import re
from collections.abc import Sequence

from thinkgraph.nodes.answers.extract.auto import Auto
from thinkgraph.nodes.answers.extract.choice import Choice
from thinkgraph.nodes.answers.extract.extractor import Extractor
from thinkgraph.nodes.answers.extract.label import OneOf, YesNo
from thinkgraph.nodes.answers.value import Words, as_number, canonical
from thinkgraph.nodes.answers.value.value import plain

_MOST_LABELS = 12


def expected_extractor(references: Sequence[str], letters: str = "") -> Extractor:
    """The extractor for answers like these.

    Args:
        references: right answers of a task, one or more.
        letters: the options' letters in a multiple choice, such as `ABCD`; else empty.

    Returns:
        `choice` with the letters; `yes-no` where all are yes or no; `one-of` where a few words
        come again and again; `{auto: number}` or `{auto: text}` where all are numbers or words;
        `auto` for anything else, expressions among it.
    """
    bare = [reference.strip() for reference in references]
    if letters and all(reference.upper() in letters for reference in bare):
        return Choice(letters=letters)
    folded = {re.sub(r"[.!]$", "", reference).casefold() for reference in bare}
    if folded and folded <= {"yes", "no"}:
        return YesNo()
    values = [canonical(reference) for reference in bare]
    if values and all(as_number(value) is not None for value in values):
        return Auto(kind="number")
    if values and all(isinstance(plain(value), Words) for value in values):
        labels = sorted(set(bare), key=str.casefold)
        few = 2 <= len(folded) == len(labels) <= min(_MOST_LABELS, len(bare) // 4)
        return OneOf(labels=tuple(labels)) if few else Auto(kind="text")
    return Auto()
