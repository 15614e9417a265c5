"""Numbers with units: `5 km`, `3 red apples`, `2 hours 30 minutes`, `seven apples`."""

import re
from collections.abc import Callable
from fractions import Fraction

from thinkgraph.nodes.answers.value.arithmetic import evaluate
from thinkgraph.nodes.answers.value.numeral import decimal_comma, scale
from thinkgraph.nodes.answers.value.relation import is_relation
from thinkgraph.nodes.answers.value.unit import is_unit, read_unit
from thinkgraph.nodes.answers.value.value import Expression, Number, Quantity, Value
from thinkgraph.nodes.answers.value.words import in_words

Read = Callable[[str], Value]

_NOT_UNITS = (
    "and|or|to|half|plus|minus|times|over|if|is|are|was|less|more|fewer|squared|cubed|factorial"
    "|choose|mod|sin|cos|tan|log|sec|csc|cot|sqrt|am|pm|base"
)
_MINUTES = re.compile(r"(?<=\d)\s?\\min\b")
"""`min` after a number, which is spelt as the function."""
_INCHES = re.compile(r"(?<=\d)\s?in\.?$")
_MEASURED = re.compile(
    rf"(?P<value>.*[\d}}\])%]|.*\\pi)(?P<space>\s*)(?P<unit>(?!(?:{_NOT_UNITS})\b)"
    r"(?P<first>°?[A-Za-zμ¢€£]+)(?:[\s/.-]+[A-Za-z°']+(?:\s?\^\s?\{?[23]\}?)?)*\.?)"
    r"\s*(?P<power>\^\s*\{?[23]\}?)?"
)


def measured(text: str, read: Read) -> Value | None:
    """`5 km`, `3 red apples`, `5 million dollars`."""
    match = _MEASURED.fullmatch(_spelt_out(text))
    if match is None or match["value"].count("{") != match["value"].count("}"):
        return None
    value_text, unit_text = match["value"], match["unit"] + (match["power"] or "")
    first = match["first"]
    if not _may_be_unit(first, bool(match["space"]) or value_text[-1] in "}])", value_text, text):
        return None
    if times := scale(first):
        number, unit_text = evaluate(value_text), unit_text[len(first) :].strip()
        value: Value | None = None if number is None else Number(number * times)
    elif (decimal := decimal_comma(value_text.strip())) is not None:
        value = Number(decimal)  # 2,5 kg: one number before a unit
    else:
        value = read(value_text)
    if not isinstance(value, Number | Expression) or is_relation(value_text):
        return None
    return Quantity(value, read_unit(unit_text)) if unit_text else value


def _may_be_unit(word: str, apart: bool, value: str, text: str) -> bool:
    """Whether a word after a number is a unit and not a product of variables."""
    if len(word) == 1:
        whole = text == f"{value} {word}" or text.startswith(f"{value} {word}/")
        return is_unit(word) and (word in "¢€£" or (whole and evaluate(value) is not None))
    if (len(word) < 4 and is_unit(word)) or (word == "of" and value.endswith("%")) or word == "sq":
        return True
    return len(word) >= (3 if apart else 4) or word.startswith("°")


def _spelt_out(text: str) -> str:
    """Spell out the abbreviations that are also something else: `min` and `in`."""
    return _INCHES.sub(" inches", _MINUTES.sub(" minutes", text))


_COMPOUND = re.compile(
    r"(\d+(?:\.\d+)?)\s?([A-Za-z]+),?\s(?:and\s)?(\d+(?:\.\d+)?)\s?([A-Za-z]+)\.?"
)


def compound(text: str, _: Read) -> Value | None:
    """`2 hours 30 minutes`, `5 feet and 3 inches`, `1 h 30 min`."""
    match = _COMPOUND.fullmatch(_spelt_out(text))
    if match is None:
        return None
    first, second = match[2], "minutes" if match[4] == "m" else match[4]  # 1h 30m
    if not (is_unit(first) and is_unit(second)):
        return None
    large, small = read_unit(first), read_unit(second)
    if not large.of_one_kind(small) or large.factor <= small.factor:
        return None
    ratio = small.factor / large.factor
    return Quantity(Number(Fraction(match[1]) + Fraction(match[3]) * ratio), large)


def counted_in_words(text: str, _: Read) -> Value | None:
    """`seven apples`: the number is the longest beginning that spells one."""
    words = text.split(" ")
    for count in range(min(len(words) - 1, 8), 0, -1):
        number = in_words(" ".join(words[:count]))
        rest = words[count:]
        if number is None or (count == 1 and words[0].lower() in ("one", "a", "an", "second")):
            continue
        if len(rest) > 3 or not all(word.isalpha() for word in rest):
            return None
        if re.fullmatch(_NOT_UNITS, rest[0]):
            return None
        return Quantity(Number(number), read_unit(" ".join(rest)))
    return None
