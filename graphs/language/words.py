"""Word operators in conditions: `not`, `and` and `or` as other forms of CEL's operators.

The text is split into CEL's tokens, so strings, comments and fields of objects with these words
stay unchanged. As in Python, and unlike CEL's `!`, `not` applies to a whole comparison:
``not live > 1`` is ``!(live > 1)``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

SIGNS = {"not": "!", "and": "&&", "or": "||"}

_STRING = "|".join(
    rf"{raw}{quote}{part}*?{quote}"
    for quote in ('"""', "'''", '"', "'")
    for raw, part in (
        ("[bB]?[rR]", r"[\s\S]" if len(quote) == 3 else r"[^\n]"),
        ("[bB]?", r"(?:\\[\s\S]|[^\\])" if len(quote) == 3 else r"(?:\\.|[^\\\n])"),
    )
)
_TOKEN = re.compile(
    rf"(?P<string>{_STRING})|(?P<comment>//[^\n]*)|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<number>\d[\w.]*)|(?P<sign>&&|\|\||[<>=!]=|[^\s])"
)
_COMPARISONS = frozenset({"==", "!=", "<", ">", "<=", ">=", "in"})
_OPENING, _CLOSING = frozenset("([{"), frozenset(")]}")
_LIMITS = frozenset({"and", "or", "&&", "||", "?", ":", ","})
"""Tokens that end the operand of a `not`, as an unmatched closing bracket does."""


class Token(NamedTuple):
    """A token of a condition; ``kind`` is `name`, `field`, `sign`, `string` or `number`."""

    kind: str
    text: str
    start: int

    @property
    def end(self) -> int:
        """The offset after the token."""
        return self.start + len(self.text)


class Translation:
    """A condition translated to CEL's operators.

    Attributes:
        text: the condition in CEL.
        names: the identifiers in it, fields of objects not included.
    """

    def __init__(self, condition: str) -> None:
        self._condition = condition
        tokens = _fields_marked(tokens_of(condition))
        self.names = frozenset(token.text for token in tokens if token.kind == "name")
        pieces, self._origins, done = list[str](), list[int](), 0
        edits = sorted(_edits(tokens))
        for start, end, sign in edits:
            pieces += [condition[done:start], sign]
            self._origins += [*range(done, start), *([start] * len(sign))]
            done = end
        pieces.append(condition[done:])
        self._origins += range(done, len(condition) + 1)
        self.text = "".join(pieces)

    def origin(self, line: int, column: int) -> tuple[int, int]:
        """Map a line and column of the translation, from 1, to those of the condition."""
        lines = self.text.split("\n")
        offset = sum(len(each) + 1 for each in lines[: line - 1]) + column - 1
        before = self._condition[: self._origins[min(offset, len(self.text))]]
        return before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1


def tokens_of(condition: str) -> list[Token]:
    """The tokens of a condition, without comments."""
    return [
        Token(str(match.lastgroup), match[0], match.start())
        for match in _TOKEN.finditer(condition)
        if match.lastgroup != "comment"
    ]


def _fields_marked(tokens: list[Token]) -> list[Token]:
    """The tokens, with names after a dot marked as fields, which are not translated."""
    before = ["", *(token.text for token in tokens)]
    return [
        token._replace(kind="field") if token.kind == "name" and previous == "." else token
        for token, previous in zip(tokens, before, strict=False)
    ]


def _edits(tokens: list[Token]) -> Iterator[tuple[int, int, str]]:
    """The replacements for words: start, end, and the new text."""
    for number, token in enumerate(tokens):
        if token.kind != "name" or token.text not in SIGNS:
            continue
        operand = _operand(tokens[number + 1 :]) if token.text == "not" else []
        if any(part.text in _COMPARISONS for part in _outermost(operand)):
            yield token.start, token.end, "!("
            yield operand[-1].end, operand[-1].end, ")"
        else:
            yield token.start, token.end, SIGNS[token.text]


def _operand(tokens: list[Token]) -> list[Token]:
    """The operand of a `not` that precedes these tokens."""
    depth = 0
    for number, token in enumerate(tokens):
        depth += (token.text in _OPENING) - (token.text in _CLOSING)
        if depth < 0 or (depth == 0 and token.kind != "field" and token.text in _LIMITS):
            return tokens[:number]
    return tokens


def _outermost(tokens: list[Token]) -> Iterator[Token]:
    """The tokens outside all brackets."""
    depth = 0
    for token in tokens:
        depth += (token.text in _OPENING) - (token.text in _CLOSING)
        if depth == 0 and token.kind in ("name", "sign"):
            yield token
