"""Values of answers: a number, an expression, a collection of values, or words."""

import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Literal

from thinkgraph.nodes.answers.brackets import depth, encloses, split
from thinkgraph.nodes.answers.normal import normal

LONGEST = 600
"""Answers longer than this many characters are compared as words."""
_DEEPEST = 30
_MOST_DIGITS = 400


@dataclass(frozen=True)
class Number:
    """An exact rational number."""

    number: Fraction


@dataclass(frozen=True)
class Expression:
    """A mathematical expression or relation, as normal LaTeX without needless spaces."""

    latex: str


@dataclass(frozen=True)
class Words:
    """Anything else, in lower case and single spaces."""

    words: str


@dataclass(frozen=True)
class Collection:
    """Several values: a tuple or interval (with its brackets), a set, a union, a matrix.

    A set and a union hold each member once, in a fixed order; the order in the others counts.
    """

    kind: Literal["()", "[]", "(]", "[)", "set", "union", "matrix", "row"]
    members: "tuple[Value, ...]"

    @property
    def ordered(self) -> bool:
        """Whether the members' order is part of the value."""
        return self.kind not in ("set", "union")


Value = Number | Expression | Words | Collection

_BARE = r"(?:\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+\.?\d*|\.\d+)"
_SIGN = r"(?P<sign>[-+]?)\s*"
_NUMBER = re.compile(
    rf"{_SIGN}(?:(?P<whole>\d+)\s*(?:\s|(?=\\)))?"
    rf"(?:\\frac\{{(?P<over>\s*-?{_BARE})\s*\}}\{{\s*(?P<under>-?{_BARE})\s*\}}"
    rf"|(?P<over_>\d+)\s*/\s*(?P<under_>-?\d+))"
    rf"|{_SIGN.replace('sign', 'sign_')}(?P<plain>{_BARE})"
    r"(?:[eE](?P<e>[-+]?\d{1,3})"
    r"|\s*(?:\\times|\\cdot|\*|x)\s*10\s*\^\s*\{?\s*(?P<ten>[-+]?\s*\d{1,3})\s*\}?)?"
    rf"(?:\s*/\s*(?P<plain_under>-?{_BARE}))?"
)
_REPEATING = re.compile(r"(-?)\s*(\d{0,30})\.(\d{0,30})\\overline\{\s*(\d{1,30})\s*\}")
_THOUSANDS = re.compile(r"(?<![\d.,])\d{1,3}(?:,\d{3})+(?!\d)")
_SCALES = {
    "dozen": 12,
    "hundred": 100,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}
_SHORT_UNITS = "mm|cm|dm|km|mg|kg|lb|lbs|oz|ft|in|yd|mi|ml|mL|cc|hr|hrs|ms|mph|kph|kW|Hz|sq"
_NOT_UNITS = (
    "and|or|to|half|plus|minus|times|over|if|is|are|was|less|more|fewer|squared|cubed|factorial"
    "|choose|mod|sin|cos|tan|log|sec|csc|cot|sqrt"
)
_UNIT = re.compile(
    rf"(?P<value>.*[\d}}\])]|.*\\pi)\s*(?P<unit>(?!(?:{_NOT_UNITS})\b)"
    rf"(?:(?<=\d)(?:{_SHORT_UNITS}|[A-Za-z]{{4,}})"
    rf"|(?<=[\s\]}})])(?:(?:{_SHORT_UNITS})\b|[A-Za-z]{{3,}}))"
    r"(?:[\s/.-]+[A-Za-z]+)*\.?)\s*(?:\^\s*\{?[23]\}?)?"
)
_NAME = re.compile(
    r"\\?[A-Za-z]+(?:_\w)?|[a-zA-Z]\([a-zA-Z]\)|\(\s*[a-zA-Z](?:\s*,\s*[a-zA-Z])+\s*\)"
)
_MEMBER_OF = re.compile(r"[A-Za-z]\s*\\in(?![a-zA-Z])(.+)")
_RATIO = re.compile(r"\d+(?:\.\d+)?(?:\s*:\s*\d+(?:\.\d+)?)+")  # or a time of day
_MATRIX = re.compile(r"\\begin\{([pbB]?matrix|array)\}(.*)\\end\{\1\}", re.DOTALL)
_LETTERS = re.compile(r"[^\W\d_]{2,}(?:(?:['-]|[.,]?\s+)[^\W\d_]{2,})*")
_SHORT_WORDS = ("no", "ok")  # other pairs of letters are products
_IN_BASE = re.compile(r"(\w+?)_\{?\s*(\w+)\s*\}?")
_ORDER = r"(<|>|\\[lg]e(?![a-z]))"
_INEQUALITY = re.compile(
    rf"(?:(?P<left>[^<>=]+?){_ORDER.replace('(', '(?P<first>', 1)})?\s*(?P<name>\\?[A-Za-z]+)\s*"
    rf"(?:{_ORDER.replace('(', '(?P<second>', 1)}(?P<right>[^<>=]+))?"
)
_ASKS_PERCENT = re.compile(r"(?<![\d}] )(?<![\d}])(?:\bpercent(?:age)?\b|\\?%)", re.IGNORECASE)


def canonical(answer: str, question: str = "") -> Value:
    """Read an answer as a value.

    A percent sign divides by a hundred. Where the question asks for a percentage, a bare number
    of 1 or more is a number of percents, so `50`, `50%` and `1/2` are one answer there. Units,
    currency signs and a leading `x =` are dropped; `5 million` is multiplied out.

    Args:
        answer: the answer's text; more than `LONGEST` characters are compared as words.
        question: what was asked; only whether it asks for a percentage matters.

    Returns:
        A hashable value. Two answers with equal values are equal; the reverse needs `equal`.
    """
    return _canonical(answer, asks_percent(question))


def asks_percent(question: str) -> bool:
    """Whether a question says percent other than right after a number ("20% off")."""
    return bool(_ASKS_PERCENT.search(question))


@lru_cache(maxsize=8192)
def _canonical(answer: str, percent: bool) -> Value:
    if len(answer) > LONGEST or depth(answer) > _DEEPEST:
        return _words(answer)
    value = _read(normal(answer))
    if percent and isinstance(value, Number) and "%" not in answer and abs(value.number) >= 1:
        return Number(value.number / 100)
    return value


def _words(text: str) -> Words:
    return Words(re.sub(r"\s+", " ", text).strip().strip("\"'.,;:!").strip().casefold())


def _read(text: str) -> Value:
    """Read a normal spelling; what is inside brackets is read by the same rules."""
    text = text.strip()
    for reader in _READERS:
        if (value := reader(text)) is not None:
            return value
    return _scalar(text)


def _scalar(text: str) -> Value:
    word = _LETTERS.fullmatch(text)
    if not text or (word and (len(text) > 2 or text.lower() in _SHORT_WORDS)):
        return _words(text)
    if _RATIO.fullmatch(text):
        return Words(text.replace(" ", ""))
    if re.search(r"\d\s+\d", text):  # without its space another number
        return _words(text)
    if (digits := _IN_BASE.fullmatch(text)) and digits[1][0].isdigit():
        return Words(f"{digits[1]} in base {digits[2]}".casefold())
    if "\\" not in text and re.search(r"[A-Za-z]{4,}", text):
        return _words(text)
    latex = re.sub(r"\s+(?![A-Za-z])|(?<!\\)(?<![A-Za-z])\s+", "", text)
    return Expression(latex.removeprefix("+"))


def _number(text: str) -> Number | None:
    scale = Fraction(1)
    if text.endswith("%"):
        text, scale = text[:-1].rstrip(), Fraction(1, 100)
    head, _, tail = text.rpartition(" ")
    if tail.lower().rstrip("s") in _SCALES and head:
        text, scale = head, scale * _SCALES[tail.lower().rstrip("s")]
    if repeating := _REPEATING.fullmatch(text):
        return Number(scale * _repeated(*repeating.groups()))
    match = _NUMBER.fullmatch(text) if len(text) <= _MOST_DIGITS else None
    if match is None:
        return None
    try:
        return Number(scale * _rational(match.groupdict()))
    except ZeroDivisionError:
        return None


def _rational(parts: dict[str, str | None]) -> Fraction:
    if plain := parts["plain"]:
        ten = int((parts["e"] or parts["ten"] or "0").replace(" ", ""))
        value = _decimal(plain) * Fraction(10) ** ten / _decimal(parts["plain_under"] or "1")
    else:
        over, under = parts["over"] or parts["over_"] or "", parts["under"] or parts["under_"] or ""
        value = int(parts["whole"] or 0) + _decimal(over) / _decimal(under)
    return -value if "-" in (parts["sign"] or "", parts["sign_"] or "") else value


def _repeated(sign: str, whole: str, fixed: str, period: str) -> Fraction:
    """The value of whole.fixed period period period …"""
    nines = (10 ** len(period) - 1) * 10 ** len(fixed)
    value = Fraction(int(whole + fixed or "0"), 10 ** len(fixed)) + Fraction(int(period), nines)
    return -value if sign else value


def _decimal(text: str) -> Fraction:
    return Fraction(text.replace(",", "").replace(" ", "").rstrip("."))


def _assigned(text: str) -> Value | None:
    """`x = 5` and `x = 2 + 3 = 5` are 5, `x = 1, x = 2` a set, `x = 1, y = 2` two equations."""
    if match := _MEMBER_OF.fullmatch(text):
        return _read(match[1])
    parts = _parts(text)
    sides = [[side.strip() for side in part.split("=")] for part in parts]
    if (
        not sides
        or len(sides[0]) < 2
        or not _NAME.fullmatch(sides[0][0])
        or re.search(r"[<>]|\\[lgn]e\b", text)
    ):
        return None
    if len({chain[0] for chain in sides if len(chain) > 1}) > 1:
        return _unordered("set", [_scalar(part) for part in parts])
    if any(re.search(r"(?<!\\)\b[a-z]", middle) for chain in sides for middle in chain[1:-1]):
        return None
    return _read(", ".join(chain[-1] for chain in sides))


def _inequality(text: str) -> Value | None:
    """`1 < x \\le 2` and `2 \\ge x > 1` are (1, 2], and `x > 1` is (1, \\infty)."""
    match = _INEQUALITY.fullmatch(text)
    if match is None or not (match["first"] or match["second"]):
        return None
    first, second = match["first"] or "", match["second"] or ""
    directions = {order in ("<", r"\le") for order in (first, second) if order}
    if len(directions) > 1:
        return None
    left, right = (_read(match[side]) if match[side] else None for side in ("left", "right"))
    if not directions.pop():
        left, right, first, second = right, left, second, first
    kind = ("[" if "e" in first else "(") + ("]" if "e" in second else ")")
    low = left or Expression(r"-\infty")
    return Collection(kind, (low, right or Expression(r"\infty")))  # type: ignore[arg-type]


def _matrix(text: str) -> Value | None:
    match = _MATRIX.fullmatch(text)
    if match is None:
        return None
    body = re.sub(r"^\s*\{[lcr|\s]*\}", "", match[2]) if match[1] == "array" else match[2]
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?", body) if row.strip()]
    return Collection(
        "matrix",
        tuple(Collection("row", tuple(_read(cell) for cell in row.split("&"))) for row in rows),
    )


def _union(text: str) -> Value | None:
    parts = split(text, r"\cup")
    return _unordered("union", [_read(part) for part in parts]) if len(parts) > 1 else None


def _bracketed(text: str) -> Value | None:
    if text.startswith(r"\{") and text.endswith(r"\}") and encloses(text[1:-2] + "}"):
        return _unordered("set", [_read(part) for part in split(text[2:-2], ",") if part.strip()])
    if not (text[:1] in "([" and text[-1:] in ")]" and text and encloses(text)):
        return None
    parts = split(text[1:-1], ",")
    if len(parts) > 1:
        kind: Literal["()", "[]", "(]", "[)"] = text[0] + text[-1]  # type: ignore[assignment]
        return Collection(kind, tuple(_read(part) for part in parts))
    inner = _read(parts[0])
    return inner if text[0] + text[-1] == "()" or isinstance(inner, Collection) else None


def _listed(text: str) -> Value | None:
    parts = _parts(text)
    if len(parts) < 2:
        return None
    values = [_read(part) for part in parts]
    prose = any(isinstance(value, Words) and " " in value.words for value in values)
    either = re.search(r"[<>]|\\[lg]e\b", text) and re.search(r"\bor\b", text)
    return None if prose else _unordered("union" if either else "set", values)


def _plus_minus(text: str) -> Value | None:
    if text.count(r"\pm") != 1:
        return None
    return _unordered("set", [_read(text.replace(r"\pm", sign)) for sign in "+-"])


def _measured(text: str) -> Value | None:
    match = _UNIT.fullmatch(text)
    if match is None or match["value"].count("{") != match["value"].count("}"):
        return None
    first = match["unit"].split()[0]
    scaled = first.lower().rstrip("s") in _SCALES
    value = _number(f"{match['value']} {first}") if scaled else _read(match["value"])
    return value if isinstance(value, Number | Expression) else None


def _unordered(kind: Literal["set", "union"], members: list[Value]) -> Value:
    flat: dict[Value, None] = {}
    for member in members:
        same = isinstance(member, Collection) and member.kind == kind
        flat |= dict.fromkeys(member.members if same else [member])  # type: ignore[union-attr]
    return next(iter(flat)) if len(flat) == 1 else Collection(kind, tuple(sorted(flat, key=repr)))


_READERS = (
    _number,
    _assigned,
    _inequality,
    _matrix,
    _union,
    _bracketed,
    _measured,
    _listed,
    _plus_minus,
)


def _parts(text: str) -> list[str]:
    """Split at commas, `and` and `or`; without brackets `1,200` is one number, not two."""
    if not re.search(r"[(\[{]", text):
        text = _THOUSANDS.sub(lambda match: match[0].replace(",", ""), text)
    parts = [part for comma in split(text, ",") for part in re.split(r"\b(?:and|or)\b", comma)]
    return [part.strip() for part in parts if part.strip()]


def is_relation(latex: str) -> bool:
    """Whether an expression states something (an equation, an inequality), and has no value."""
    return bool(re.search(r"[=<>]|\\(?:[lgn]e|in|approx|equiv|sim)(?![a-zA-Z])", latex))
