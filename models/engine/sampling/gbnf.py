"""Translation of GBNF, llama.cpp's notation for grammars, to the Lark that llguidance reads.

The notation: https://github.com/ggml-org/llama.cpp/tree/master/grammars. Tokens in it
(``<think>``, ``<[42]>``) are not supported.

A grammar without recursion becomes one regular expression. One with recursion is matched character
by character: llguidance's lexemes match the longest text they can, as in programming languages,
while GBNF's rules may match any shorter text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

from thinkgraph.models.errors import ModelError

MAX_TEXT = 1 << 18  # characters
MAX_DEPTH = 50  # of nested groups
MAX_RULES = 500  # native code recurses into rules that lead to one another
MAX_REPEAT = 2_000

_CHAR = r'(?:\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\[trn\\"\[\]-]|[^\\\0%s])'
_ONE = re.compile(_CHAR % "")
_COUNTS = r"\{[ \t]*(?P<least>\d{1,9})[ \t]*(?P<comma>,)?[ \t]*(?P<most>\d{1,9})?[ \t]*\}"
_TOKENS = re.compile(
    rf"""(?P<blank>(?:[ \t]|\#[^\r\n]*)+)
    | (?P<line>[\r\n]+)
    | (?P<define>::=)
    | (?P<name>[a-zA-Z0-9-]+)
    | "(?P<literal>{_CHAR % chr(34)}*)"
    | \[(?P<negated>\^?)(?P<class>(?:{_CHAR % (chr(92) + "]")})+)\]
    | (?P<any>\.)
    | (?P<repeat>[*+?]|{_COUNTS})
    | (?P<mark>[|()])""",
    re.VERBOSE,
)
_EXPECTED = {
    '"': "expected a text in quotes with valid escapes",
    "[": "expected a class of characters with valid escapes, closed by ]",
}


class _Item(NamedTuple):
    """One symbol of a rule: ``kind`` is name, text, class, repeat or mark."""

    kind: str
    text: str
    at: int


Rules = dict[str, list[_Item]]


class _Bad(Exception):
    """A syntax error, with its position in the text."""

    def __init__(self, reason: str, at: int | None = None) -> None:
        self.reason, self.at = reason, at
        super().__init__(reason)


@lru_cache(maxsize=64)
def gbnf_to_lark(text: str) -> str:
    """Translate a GBNF grammar to rules in Lark, beginning with ``start``.

    Raises:
        ModelError: the grammar has a syntax error (reported with line and column), refers to a
            missing rule, or is too large.
    """
    try:
        if len(text) > MAX_TEXT:
            raise _Bad(f"it has more than {MAX_TEXT} characters")
        rules = _read(text)
        _check(rules)
        return _lark(rules)
    except _Bad as error:
        place = ""
        if error.at is not None:
            line = text.count("\n", 0, error.at) + 1
            column = error.at - (text.rfind("\n", 0, error.at) + 1) + 1
            place = f" at line {line}, column {column}"
        raise ModelError(f"the grammar is not valid GBNF{place}: {error.reason}") from None


def _read(text: str) -> Rules:
    """The rules, each a flat list of its symbols."""
    rules: Rules = {}
    for name, *rest in _statements(text):
        if name.lastgroup != "name":
            raise _Bad("expected a rule's name", name.start())
        if not rest or rest[0].lastgroup != "define":
            raise _Bad("expected ::=", name.end())
        if name.group() in rules:
            raise _Bad(f"the rule {name.group()} is there twice", name.start())
        rules[name.group()] = items = [_item(match) for match in rest[1:]]
        _check_form(items, rest[-1].end())
    return rules


def _statements(text: str) -> Iterator[list[re.Match[str]]]:
    """The symbols of each rule. A rule ends with its line, except in a group or after | or ::=."""
    statement: list[re.Match[str]] = []
    depth = at = 0
    while at < len(text):
        match = _TOKENS.match(text, at)
        if not match:
            default = f"expected something else than {text[at]!r}, which is not understood"
            raise _Bad(_EXPECTED.get(text[at], default), at)
        at = match.end()
        if match.lastgroup == "line":
            if statement and not depth and statement[-1].group() not in ("|", "::="):
                yield statement
                statement = []
        elif match.lastgroup != "blank":
            statement.append(match)
            depth += {"(": 1, ")": -1}.get(match.group(), 0)
    if statement:
        yield statement


def _check_form(items: list[_Item], end: int) -> None:
    depth, before = 0, "("
    for item in items:
        depth += {"(": 1, ")": -1}.get(item.text, 0) if item.kind == "mark" else 0
        if depth < 0:
            raise _Bad("')' is not understood: no group is open", item.at)
        if depth > MAX_DEPTH:
            raise _Bad(f"its groups are nested more than {MAX_DEPTH} deep", item.at)
        if item.kind == "repeat" and before in ("(", "|"):
            raise _Bad("there is nothing before it to repeat", item.at)
        before = item.text if item.kind == "mark" else ""
    if depth:
        raise _Bad("a group is not closed", end)


def _item(match: re.Match[str]) -> _Item:
    at = match.start()
    kind = match.lastgroup or ""
    if kind == "literal":
        return _Item("text", "".join(map(chr, _codes(match["literal"], at))), at)
    if kind == "any":
        return _Item("class", "(?s:.)", at)
    if kind == "class":
        return _Item("class", f"[{match['negated']}{_ranges(match['class'], at)}]", at)
    if kind == "repeat":
        return _Item("repeat", _repetition(match, at), at)
    if kind == "define":
        raise _Bad("'::=' is not understood here; a rule begins on a line of its own", at)
    return _Item(kind, match.group(), at)


def _codes(chars: str, at: int) -> list[int]:
    """Code points of a text in which characters may be escaped."""
    named = {"t": 9, "r": 13, "n": 10}
    codes = []
    for char in _ONE.findall(chars):
        if len(char) > 2:
            code = int(char[2:], 16)
        else:
            code = named.get(char[-1], ord(char[-1])) if len(char) == 2 else ord(char)
        if code > 0x10FFFF or 0xD800 <= code < 0xE000:
            raise _Bad(f"{char} is no character of UTF-8", at)
        codes.append(code)
    return codes


def _ranges(chars: str, at: int) -> str:
    """The inside of a class as a regular expression; an unescaped - makes a range."""
    units, written = _ONE.findall(chars), []
    while units:
        low = _codes(units.pop(0), at)[0]
        high = low
        if len(units) > 1 and units[0] == "-":
            high = _codes(units[1], at)[0]
            del units[:2]
        if high < low:
            raise _Bad("a range of characters must be from low to high", at)
        written.append(rf"\u{{{low:x}}}-\u{{{high:x}}}")
    return "".join(written)


def _repetition(match: re.Match[str], at: int) -> str:
    if match["least"] is None:
        return match.group()
    least = int(match["least"])
    most = int(match["most"]) if match["most"] else None
    if max(least, most or 0) > MAX_REPEAT or (most is not None and most < least):
        raise _Bad(f"a repetition must be from few to many, {MAX_REPEAT} at most", at)
    if not match["comma"]:
        return f"{{{least}}}"
    return f"{{{least},{'' if most is None else most}}}"


def _check(rules: Rules) -> None:
    if len(rules) > MAX_RULES:
        raise _Bad(f"it has more than {MAX_RULES} rules")
    if "root" not in rules:
        raise _Bad("there is no rule named root")
    for items in rules.values():
        for item in items:
            if item.kind == "name" and item.text not in rules:
                raise _Bad(f"there is no rule {item.text}", item.at)


def _lark(rules: Rules) -> str:
    named = {name: [i.text for i in items if i.kind == "name"] for name, items in rules.items()}
    try:
        TopologicalSorter(named).prepare()
        regular = True
    except CycleError:
        regular = False
    # Rules in upper case are terminals, which llguidance compiles to one regular expression.
    spelled = {name: f"{'R' if regular else 'r'}{index}" for index, name in enumerate(rules)}
    lines = [f"start: {spelled['root']}"]
    for name, items in rules.items():
        words: list[str] = []
        for item in items:
            if item.text in ("|", ")") and item.kind == "mark" and _ends(words):
                words.append('""')
            words.append(_word(item, spelled, regular=regular))
        lines.append(f"{spelled[name]}: {' '.join(words)}" + (' ""' if _ends(words) else ""))
    return "\n".join(lines)


def _ends(words: list[str]) -> bool:
    """Whether an alternative would be empty here."""
    return not words or words[-1] in ("|", "(")


def _word(item: _Item, spelled: dict[str, str], *, regular: bool) -> str:
    match item.kind:
        case "name":
            return spelled[item.text]
        case "class":
            return f"/{item.text}/"
        case "text" if regular or len(item.text) < 2:
            return json.dumps(item.text)
        case "text":
            return f"( {' '.join(map(json.dumps, item.text))} )"
        case _:
            return item.text
