"""Parsing of numbers as people and models write them: `$1,299.00`, `about 1.5 million`, `12k`."""

from __future__ import annotations

import re
from fractions import Fraction

from thinkgraph.nodes.answers.extract import LastNumber
from thinkgraph.nodes.answers.value import Either, Value, as_number, asks_percent, canonical

_SCALE = re.compile(r"\s?([kK]|M|mn|thousand|million|billion)\b")
_FACTORS = {
    "k": 10**3,
    "thousand": 10**3,
    "m": 10**6,
    "mn": 10**6,
    "million": 10**6,
    "billion": 10**9,
}
_LARGEST = Fraction(10) ** 100  # the squares of larger errors may overflow a float


def exact_number(text: str, question: str = "") -> Fraction | None:
    """The number that a text is, or the only one in it; None if it is ambiguous.

    Args:
        text: an answer. A range or two prices are ambiguous.
        question: the question's text; see `canonical` for its effect on percentages.
    """
    number = _as_number(canonical(text, question))
    if number is not None:
        return number
    found = LastNumber().find(text)
    if not found:
        return None
    before, _, after = text.rpartition(found)
    if re.search(r"\d", before + after):
        return None
    number = _as_number(canonical(found, question))
    return None if number is None else number * _scale(after)


def _as_number(value: Value) -> Fraction | None:
    """The number of a value; of `12,5`, which could be a list too, the decimal number."""
    number = as_number(value)
    if number is None and isinstance(value, Either):
        return as_number(value.second)
    return number


def _scale(after: str) -> int:
    """The factor that follows a number: 1000 for `k` or `thousand`, 1 for none."""
    match = _SCALE.match(after)
    return _FACTORS[match[1].casefold()] if match else 1


def estimated_number(text: str, question: str = "") -> Fraction | None:
    """The number of an estimate, by the rules of `exact_number` except for percentages.

    If the question asks for a percentage, the percent sign is ignored: 40 % and 40 are the same
    estimate. (`exact_number` would read 0.8 there as a share and 1.2 as a percentage.)

    Returns:
        None also for a number beyond 10^100, which would dominate all other errors.
    """
    if asks_percent(question):
        text = text.replace("\\%", "").replace("%", "")
    number = exact_number(text)
    return number if number is not None and abs(number) < _LARGEST else None
