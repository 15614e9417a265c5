"""The parser of values: reads the normalized spelling of an answer as a value."""

import re
from functools import lru_cache

from thinkgraph.nodes.answers.value import collection, quantity, relation
from thinkgraph.nodes.answers.value.arithmetic import evaluate
from thinkgraph.nodes.answers.value.brackets import depth
from thinkgraph.nodes.answers.value.numeral import decimal_comma, foreign, repeating, scale
from thinkgraph.nodes.answers.value.spelling import normal
from thinkgraph.nodes.answers.value.unit import Unit, asked_unit
from thinkgraph.nodes.answers.value.value import (
    Either,
    Expression,
    Named,
    Number,
    Quantity,
    Value,
    Words,
)
from thinkgraph.nodes.answers.value.words import in_words

LONGEST = 600
"""Answers longer than this many characters are compared as words."""
_DEEPEST = 30
_ASKS_PERCENT = re.compile(r"(?<![\d}] )(?<![\d}])(?:\bpercent(?:age)?\b|\\?%)", re.IGNORECASE)


def canonical(answer: str, question: str = "") -> Value:
    """Read an answer as a value.

    A percent sign divides by a hundred. If the question asks for a percentage, a bare number of 1
    or more is read as percent, so that `50`, `50%` and `1/2` are the same answer. If it asks for a
    unit ("how many MB", "in dollars"), a quantity is read as the number of these units: 50 cents
    are 0.5. `5 million` is multiplied out.

    Args:
        answer: the answer's text; more than `LONGEST` characters are compared as words.
        question: the question; it matters only whether it asks for a percentage or a unit.

    Returns:
        A hashable value. Two answers with equal values are equal; the reverse needs `equal`.
    """
    return _canonical(answer, asks_percent(question), _asked_unit(question))


def asks_percent(question: str) -> bool:
    """Whether a question mentions percent, other than right after a number ("20% off")."""
    return bool(_ASKS_PERCENT.search(question))


@lru_cache(maxsize=256)
def _asked_unit(question: str) -> Unit | None:
    return asked_unit(question) if question else None


@lru_cache(maxsize=8192)
def _canonical(answer: str, percent: bool, unit: Unit | None) -> Value:
    if len(answer) > LONGEST or depth(answer) > _DEEPEST:
        return _words(answer)
    return _as_asked(read(normal(answer)), percent and "%" not in answer, unit)


def _as_asked(value: Value, percent: bool, unit: Unit | None) -> Value:
    """Convert a value to the percentage or the unit that the question asks for."""
    match value:
        case Named():
            return Named(value.name, _as_asked(value.value, percent, unit))  # type: ignore[arg-type]
        case Number() if percent and abs(value.number) >= 1:
            return Number(value.number / 100)
        case Quantity(Number(number), of) if unit and of.dimension and of.of_one_kind(unit):
            return Number(number * of.factor / unit.factor)
    return value


def _words(text: str) -> Words:
    return Words(re.sub(r"\s+", " ", text).strip().strip("\"'.,;:!").strip().casefold())


def read(text: str) -> Value:
    """Parse a normalized spelling; the contents of brackets are parsed by the same rules."""
    text = text.strip()
    for reader in _READERS:
        if (value := reader(text, read)) is not None:
            return value
    return _scalar(text)


_RATIO = re.compile(r"\d+(?:\.\d+)?(?:\s*:\s*\d+(?:\.\d+)?)+")  # or a time of day
_CLOCK = re.compile(r"(\d{1,2})(?::(\d\d))?\s*([ap])\.?\s?m\b\.?", re.IGNORECASE)
_DATE = re.compile(r"\d{1,4}\s*[/-]\s*\d{1,2}\s*[/-]\s*\d{1,4}")
_RANGE = re.compile(
    r"((?:\d[\d.,]*)?\d)(?:-|\s+to\s+)((?:\d[\d.,]*)?\d)(\s?%|\s[A-Za-z]{3,}[A-Za-z ]*)?"
)
_OPTION = re.compile(r"(?:option|choice|answer)\s*:?\s*\(?([A-Za-z])\)?", re.IGNORECASE)


def _as_told(text: str, _: object) -> Value | None:
    """Times, dates, ratios and ranges, whose digits are not arithmetic, and lettered options."""
    if clock := _CLOCK.fullmatch(text):
        return Words(f"{int(clock[1])}:{clock[2] or '00'} {clock[3].lower()}m")
    if _RATIO.fullmatch(text):
        return Words(text.replace(" ", ""))
    if _DATE.fullmatch(text):
        return Words(text.replace(" ", ""))
    if span := _RANGE.fullmatch(text):
        return Words(f"{span[1]}-{span[2]}{(span[3] or '').rstrip()}".casefold())
    if option := _OPTION.fullmatch(text):
        return Expression(option[1].upper())
    return None


def _number(text: str, _: object) -> Value | None:
    percent = text.endswith("%") and text[:-1].strip()
    head, _space, tail = text.rpartition(" ")
    if (told := in_words(text)) is not None:
        return Number(told)
    if head and (times := scale(tail)) and (count := _number(head, None)):
        return Number(count.number * times) if isinstance(count, Number) else None
    for reader in (repeating, evaluate, foreign):
        value = reader(text)
        if value is None and percent and (value := reader(percent)) is not None:
            value /= 100
        if value is not None:
            return Number(value)
    if percent and (part := decimal_comma(percent)) is not None:
        return Number(part / 100)
    comma = decimal_comma(text)
    if comma is None:
        return None
    several = collection.unordered("set", [read(part) for part in text.split(",")])
    decimal = Number(comma)
    # Two digits after the comma are more often cents than another number of a list.
    return Either(decimal, several) if text[-3:-2] == "," else Either(several, decimal)


_LETTERS = re.compile(r"[^\W\d_]{2,}(?:(?:['-]|[.,]?\s+)[^\W\d_]{2,})*")
_SHORT_WORDS = ("no", "ok")  # other pairs of letters are products
_IN_BASE = re.compile(r"(\w+?)_\{?\s*(\w+)\s*\}?")


def _scalar(text: str) -> Value:
    word = _LETTERS.fullmatch(text)
    if not text or (word and (len(text) > 2 or text.lower() in _SHORT_WORDS)):
        return _words(text)
    if re.search(r"\d\s+\d|\.\.\.|^\d+(?:st|nd|rd|th)$", text):  # 3 5 is not 35
        return _words(text)
    if (digits := _IN_BASE.fullmatch(text)) and digits[1][0].isdigit():
        return Words(f"{digits[1]} in base {digits[2]}".casefold())
    if "\\" not in text and re.search(r"[A-Za-z]{4,}", text):
        return _words(text)
    latex = re.sub(r"\s+(?![A-Za-z])|(?<!\\)(?<![A-Za-z])\s+", "", text)
    return Expression(latex.removeprefix("+"))


_READERS = (
    _as_told,
    _number,
    relation.nearly,
    relation.member,
    relation.assigned,
    relation.set_builder,
    relation.inequality,
    relation.both,
    relation.without,
    collection.matrix,
    collection.union,
    collection.bracketed,
    quantity.compound,
    quantity.measured,
    quantity.counted_in_words,
    collection.listed,
    collection.plus_minus,
)
"""The readers, tried in order; each returns None for what it can't read."""
