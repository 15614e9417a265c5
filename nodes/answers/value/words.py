"""Numbers in English words: `twenty-one`, `two thirds`, `minus one and a half`."""

import re
from fractions import Fraction

from thinkgraph.nodes.answers.value.numeral import SCALES

_SMALL = re.findall(
    r"\w+",
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen "
    "fifteen sixteen seventeen eighteen nineteen",
)
_TENS = re.findall(r"\w+", "twenty thirty forty fifty sixty seventy eighty ninety")
_UNITS = {word: number for number, word in enumerate(_SMALL)} | {"a": 1, "an": 1}
_DECADES = {word: 10 * (number + 2) for number, word in enumerate(_TENS)} | {"fourty": 40}
_PARTS = {"half": 2, "halve": 2, "third": 3, "quarter": 4, "fourth": 4, "fifth": 5, "sixth": 6} | {
    "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10, "hundredth": 100, "thousandth": 1000
}  # fmt: skip
_MULTIPLES = {word: size for word, size in SCALES.items() if word not in ("dozen", "hundred")}


def in_words(text: str) -> Fraction | None:
    """The number that a text spells out; None if it is anything else."""
    if len(text) > 120 or not re.fullmatch(r"[A-Za-z]+(?:[\s-]+[A-Za-z]+)*", text):
        return None
    words = re.split(r"[\s-]+", text.lower())
    if words[0] in ("minus", "negative") and len(words) > 1:
        value = _value(words[1:])
        return -value if value is not None else None
    return _value(words)


def _value(words: list[str]) -> Fraction | None:
    if words in (["a"], ["an"]):
        return None
    return _decimal(words) or _part(words) or _whole(words)


def _part(words: list[str]) -> Fraction | None:
    """`half`, `two thirds`, `one and a half`."""
    last = words[-1].removesuffix("s")
    size = _PARTS.get("half" if last == "halve" else last)
    if size is None:
        return None
    if "and" in words[:-1]:
        place = len(words) - 1 - words[::-1].index("and")
        whole, part = _whole(words[:place]), _part(words[place + 1 :])
        return whole + part if whole is not None and part is not None and part < 1 else None
    count = _whole(words[:-1]) if words[:-1] else Fraction(1) if size in (2, 4) else None
    return count / size if count is not None else None


def _decimal(words: list[str]) -> Fraction | None:
    """`three point one four`."""
    if words.count("point") != 1:
        return None
    place = words.index("point")
    whole = _whole(words[:place]) if place else Fraction(0)
    digits = words[place + 1 :]
    if whole is None or not digits or not all(word in _SMALL[:10] for word in digits):
        return None
    return Fraction(f"{whole}." + "".join(str(_UNITS[word]) for word in digits))


def _whole(words: list[str]) -> Fraction | None:
    """`two thousand and five`: hundreds, then thousands and more, each smaller than the last."""
    total, least = 0, 10**18
    group: list[str] = []
    for word in words:
        size = _MULTIPLES.get(word)
        if size is None:
            group.append(word)
            continue
        count = _hundreds(group)
        if count is None or size >= least:
            return None
        total, least, group = total + count * size, size, []
    if group and least < 10**18 and group[0] == "and":
        group = group[1:] or ["and"]
    rest = _hundreds(group) if group else 0
    if rest is None or not words or rest >= least:
        return None
    return Fraction(total + rest)


def _hundreds(words: list[str]) -> int | None:
    """A number below a thousand, or dozens; None for other words."""
    if words[-1:] == ["dozen"]:
        count = _tens(words[:-1]) if words[:-1] else 1
        return count * 12 if count is not None else None
    if "hundred" not in words:
        return _tens(words)
    place = words.index("hundred")
    count, rest = _tens(words[:place]), words[place + 1 :]
    if rest[:1] == ["and"]:
        rest = rest[1:] or ["and"]
    below = _tens(rest) if rest else 0
    return count * 100 + below if count and count < 100 and below is not None else None


def _tens(words: list[str]) -> int | None:
    match words:
        case [word] if word in _UNITS:
            return _UNITS[word]
        case [word] if word in _DECADES:
            return _DECADES[word]
        case [tens, ones] if tens in _DECADES and 0 < _UNITS.get(ones, 0) < 10:
            return _DECADES[tens] + _UNITS[ones] if ones not in ("a", "an") else None
    return None
