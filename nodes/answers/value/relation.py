r"""Left sides and relations: `x = 5`, `f(2) = 5`, `\angle ABC = 60`, `x > 5`, `1 < x \le 2`."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from thinkgraph.nodes.answers.value.brackets import encloses, split
from thinkgraph.nodes.answers.value.collection import parts_of, unordered
from thinkgraph.nodes.answers.value.value import (
    Collection,
    Either,
    Expression,
    Named,
    Value,
    Words,
    plain,
)

Read = Callable[[str], Value]

_GREEK = (
    "alpha|beta|gamma|delta|epsilon|varepsilon|zeta|eta|theta|lambda|mu|nu|xi|rho|sigma|tau|phi"
    "|varphi|chi|psi|omega|Gamma|Delta|Theta|Lambda|Sigma|Phi|Psi|Omega|ell"
)
_INDEX = r"(?:\s?_\s?(?:\w|\{[^{}]*\}|\\[a-z]+))?"
_LETTER = rf"(?:[A-Za-z]|\\(?:{_GREEK})(?![a-zA-Z])){_INDEX}'*"
_POINTS = r"[A-Z](?:'|_\w)?"
_MARKED = r"\\(?:vec|hat|bar|overline|overrightarrow|widehat|tilde|overset\{[^{}]*\})\s?\{[^{}]*\}"
_NAME = re.compile(
    rf"{_LETTER}"
    rf"|(?:{_POINTS}){{2,5}}"  # a segment, a triangle
    rf"|(?:\\triangle|m?\s?\\(?:measured)?angle)\s?(?:{_POINTS}|\d|{_LETTER}){{1,4}}"
    rf"|{_MARKED}"
    rf"|\|\s?(?:(?:{_POINTS}){{1,3}}|{_MARKED})\s?\|"
    rf"|[fghpqFGHPEVATSWNCDLMQRUuvsr]{_INDEX}'*(?:\s?\^\s?(?:\w|\{{-?\w+\}}))?\s?\([^()=<>]*\)"
    rf"|[abcdt]{_INDEX}\(\w\)"
    rf"|\\(?:det|gcd|lcm|max|min|deg|dim|Pr)(?![a-z])[^=<>]*"
    rf"|\(\s*{_LETTER}(?:\s*,\s*{_LETTER})+\s*\)"
)
_SEGMENTS = rf"(?:{_POINTS}){{1,4}}|[A-Z]{_INDEX}"
_RATIO = re.compile(
    rf"(?:{_SEGMENTS})\s*[:/]\s*(?:{_SEGMENTS})|\\frac\{{(?:{_SEGMENTS})\}}\{{(?:{_SEGMENTS})\}}"
)
_PRODUCT = re.compile(r"[a-z]{2,3}")
_SHORT_WORDS = frozenset(re.findall(r"\S+", "sum age max min ans gcd lcm avg tax fee net pay num"))
_LABEL = re.compile(r"(?:the\s)?[A-Za-z][a-z]+(?:[\s-][\w()'-]+){0,6}")
_ORDER = re.compile(r"<|>|\\[lg]e(?![a-z])")
_RELATION = re.compile(r"[<>]|\\[lgn]e(?![a-z])")
_UNLIKE = re.compile(rf"(?P<name>{_LETTER})\s*\\ne\s*(?P<value>[^=<>]+)")
_MEMBER = re.compile(rf"(?P<name>{_NAME.pattern})\s*\\in(?![a-zA-Z])(?P<set>.+)")
_NEARLY = re.compile(
    r"(?:=|\\approx(?![a-z])|~|(?:approximately|approx\.?|about|around|roughly|exactly|nearly"
    r"|equals?|equal to)\s)\s*",
    re.IGNORECASE,
)
_SIDE = re.compile(
    r"=|\\approx(?![a-zA-Z])|\b(?:is )?(?:approximately|equals|equal to)\b|\bis(?=\s[-\d\\(])"
)
_ABOUT = re.compile(r"\\approx|approx")


def name_of(text: str) -> str | None:
    """The normalized name on a left side; empty for words, None if it is not a name."""
    text = text.strip()
    if _NAME.fullmatch(text) or _RATIO.fullmatch(text):
        bare = re.sub(r"[\s{}]|\\(?:text|mathrm|overline)|\bm(?=\s?\\)", "", text)
        return "y" if bare in ("f(x)", "y(x)") else bare
    letters = text.lower()
    if _PRODUCT.fullmatch(letters) and letters not in _SHORT_WORDS:
        return None
    consecutive = (
        "".join(chr(ord(letters[0]) + place) for place in range(len(letters)))[:26]
        if letters
        else ""
    )
    return "" if _LABEL.fullmatch(text) and letters != consecutive else None


def named(name: str, value: Value) -> Value:
    """A value with its left side, unless that is words: other answers would not repeat them."""
    if not name or isinstance(value, Named):
        return value
    return Named(name, value)


def nearly(text: str, read: Read) -> Value | None:
    r"""`\approx 11`, `= 11` and `about 11` are 11."""
    sign = _NEARLY.match(text)
    if sign is None or sign.end() == len(text) or _SIDE.search(text, sign.end()):
        return None
    value = read(text[sign.end() :])
    return None if isinstance(value, Words) else value


def member(text: str, read: Read) -> Value | None:
    r"""`x \in (1, 2)`."""
    match = _MEMBER.fullmatch(text)
    return named(name_of(match["name"]) or "", read(match["set"])) if match else None


def assigned(text: str, read: Read) -> Value | None:
    """`x = 5` and `x = 2 + 3 = 5` are 5, `x = 1, x = 2` a set, `x = 1, y = 2` two values."""
    if not _SIDE.search(text) or _RELATION.search(text):
        return None
    halves = split(text, ";")
    if len(halves) > 1 and any(len(parts_of(half)) > 1 for half in halves):
        systems = [assigned(half, read) for half in halves]
        known = tuple(system for system in systems if system is not None)
        members = tuple(sorted(dict.fromkeys(known), key=repr))
        return Collection("set", members) if len(known) == len(systems) else None
    parts = [_sides(part) for part in parts_of(text)]
    if not parts or len(parts[0]) < 2:
        return None
    return _together([_assignment(sides, read) for sides in parts])


def _together(values: list[Value | None]) -> Value | None:
    known = [value for value in values if value is not None]
    if len(known) < len(values):
        return None
    words = [bare.words for value in known if isinstance(bare := plain(value), Words)]
    if len(known) > 1 and any(" " in each for each in words):  # prose
        return None
    return known[0] if len(known) == 1 else unordered("set", known)


def _sides(text: str) -> list[tuple[str, str]]:
    """The sides of `x = 2 + 3 = 5`, each with the sign before it."""
    sides, start, sign = [], 0, ""
    for match in _SIDE.finditer(text):
        inside = text[: match.start()]
        if inside.count("{") > inside.count("}") or inside.count("(") > inside.count(")"):
            continue
        sides.append((sign, text[start : match.start()].strip()))
        start, sign = match.end(), match[0]
    return [*sides, (sign, text[start:].strip())]


def _assignment(sides: list[tuple[str, str]], read: Read) -> Value | None:
    first, last = sides[0][1], sides[-1][1]
    if not last:
        return None
    if len(sides) == 1:
        return read(first)
    name = name_of(first)
    if name is None and len(sides) == 2 and _constant(first) and name_of(last):
        return named(name_of(last) or "", read(first))
    middle = sides[1:-1] if name is not None else sides[:-1]
    if not all(_constant(side) for _, side in middle):
        return None
    value = read(last)
    if name is None and not _constant(last):
        return None
    exact = [side for sign, side in sides[:-1] if not _ABOUT.search(sign)][name is not None :]
    if _ABOUT.search(sides[-1][0]) and exact:
        value = Either(read(exact[-1]), value)
    return named(name or "", value)


def _constant(text: str) -> bool:
    r"""Whether a text has no letters except those of commands, `\pi`, e, i and units."""
    bare = re.sub(r"\\[a-zA-Z]+|(?<![a-zA-Z])[ei](?![a-zA-Z])|\s[a-zA-Z]{3,}$", "", text)
    return bool(text) and not re.search(r"[a-zA-Z]", bare)


def inequality(text: str, read: Read) -> Value | None:
    r"""`1 < x \le 2` and `2 \ge x > 1` are (1, 2], and `x > 1` is (1, \infty)."""
    if unlike := _UNLIKE.fullmatch(text):
        return named(unlike["name"], all_but(read(unlike["value"])))
    bounds = _ascending(text)
    if bounds is None:
        return None
    low, name, high = bounds.low, bounds.name, bounds.high
    if any(_mentions(side, name) for side in (low, high) if not _constant(side)):
        return None
    kind: Any = ("[" if "e" in bounds.first else "(") + ("]" if "e" in bounds.second else ")")
    ends = (
        read(low) if low else Expression(r"-\infty"),
        read(high) if high else Expression(r"\infty"),
    )
    return named(name, Collection(kind, ends))


class _Bounds(NamedTuple):
    low: str
    first: str
    name: str
    second: str
    high: str


def _ascending(text: str) -> _Bounds | None:
    """An inequality's parts from the lower to the upper bound; an open side is empty."""
    orders = _ORDER.findall(text)
    sides = [side.strip() for side in _ORDER.split(text)]
    if not 1 <= len(orders) <= 2 or any(not side or "=" in side for side in sides):
        return None
    up = {order in ("<", r"\le") for order in orders}
    if len(up) > 1:
        return None
    if not up.pop():
        sides, orders = sides[::-1], orders[::-1]
    if len(sides) == 3:
        bounds = (sides[0], orders[0], name_of(sides[1]), orders[1], sides[2])
    elif name_of(sides[0]) is not None and name_of(sides[1]) is None:
        bounds = ("", "<", name_of(sides[0]), orders[0], sides[1])
    else:
        bounds = (sides[0], orders[0], name_of(sides[1]), "<", "")
    return None if bounds[2] is None else _Bounds(*bounds)  # type: ignore[arg-type]


def _mentions(side: str, name: str) -> bool:
    return name in re.sub(r"\\[a-zA-Z]+", "", side)


def all_but(value: Value) -> Value:
    """All real numbers but one."""
    low: Value = Expression(r"-\infty")
    high: Value = Expression(r"\infty")
    return unordered("union", [Collection("()", (low, value)), Collection("()", (value, high))])


def without(text: str, read: Read) -> Value | None:
    r"""`\mathbb{R} \setminus \{3\}`: all numbers but one."""
    match = re.fullmatch(
        r"\(-\\infty\s?,\s?\\infty\)\s?(?:\\setminus|\\backslash|-|\\)\s?\\\{([^{}]+)\\\}", text
    )
    return all_but(read(match[1])) if match and "," not in match[1] else None


def both(text: str, read: Read) -> Value | None:
    """`x > 1 and x < 2` is the interval in which both hold."""
    parts = re.split(r"\band\b|,|\\wedge", text)
    if len(parts) != 2 or not all(_ORDER.search(part) for part in parts):
        return None
    first, second = (inequality(part.strip(), read) for part in parts)
    if not (isinstance(first, Named) and isinstance(second, Named) and first.name == second.name):
        return None
    rays = [value.value for value in (first, second)]
    lows = [
        ray
        for ray in rays
        if isinstance(ray, Collection) and ray.members[1] == Expression(r"\infty")
    ]
    highs = [
        ray
        for ray in rays
        if isinstance(ray, Collection) and ray.members[0] == Expression(r"-\infty")
    ]
    if len(lows) != 1 or len(highs) != 1:
        return None
    kind: Any = lows[0].kind[0] + highs[0].kind[1]
    return Named(first.name, Collection(kind, (lows[0].members[0], highs[0].members[1])))


def set_builder(text: str, read: Read) -> Value | None:
    r"""`\{x \mid x > 2\}` is the value of its condition."""
    if not (text.startswith(r"\{") and text.endswith(r"\}") and encloses(text[1:-2] + "}")):
        return None
    for bar in (r"\mid", "|", ":"):
        sides = split(text[2:-2], bar)
        if len(sides) == 2 and re.fullmatch(rf"{_LETTER}(?:\s*\\in(?![a-z]).*)?", sides[0]):
            value = read(sides[1])
            return value if isinstance(value, Named) else None
    return None


def is_relation(latex: str) -> bool:
    """Whether an expression is an equation or another relation, and so has no value."""
    return bool(re.search(r"[=<>]|\\(?:[lgn]e|in|approx|equiv|sim)(?![a-zA-Z])", latex))
