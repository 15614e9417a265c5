"""A number as a person or a model writes it: `$1,299.00`, `about 1.5 million`, `12k`."""

from __future__ import annotations

import re
from fractions import Fraction

from thinkgraph.nodes.answers.extract import LastNumber
from thinkgraph.nodes.answers.value import as_number, asks_percent, canonical

_SCALE = re.compile(r"\s?(?:(?P<k>[kK])|(?P<m>M|mn)|(?P<word>thousand|million|billion))\b")
_LARGEST = Fraction(10) ** 100  # beyond it the squares of errors leave the floats


def exact_number(text: str, question: str = "") -> Fraction | None:
    """The number that a text is, or the only one that stands in it; None if it isn't clear which.

    Args:
        text: an answer. A range or two prices have no one number.
        question: what was asked; see `canonical` for its percents.
    """
    number = as_number(canonical(text, question))
    if number is not None:
        return number
    found = LastNumber().find(text)
    if not found:
        return None
    before, _, after = text.rpartition(found)
    if re.search(r"\d", before + after):
        return None
    return as_number(canonical(found + _scale(after), question))


def _scale(after: str) -> str:
    """The word for what a number is multiplied by: ` thousand` for a `k` after it."""
    match = _SCALE.match(after)
    if match is None:
        return ""
    return f" {match['word'] or ('thousand' if match['k'] else 'million')}"


def estimated_number(text: str, question: str = "") -> Fraction | None:
    """The number that an estimate is, by the rules of `exact_number`, but for percents.

    Where the question asks for a percentage, the percent sign changes nothing: 40 % and 40 are
    one estimate. (By value 0.8 and 1.2 would be a share and a percentage there.)

    Returns:
        None also for a number beyond 10^100, which would drown all other errors.
    """
    if asks_percent(question):
        text = text.replace("\\%", "").replace("%", "")
    number = exact_number(text)
    return number if number is not None and abs(number) < _LARGEST else None
