"""Grammars, read in full before native code sees them: a bad one is an error here.

The notation is llama.cpp's GBNF: https://github.com/ggml-org/llama.cpp/tree/master/grammars.
Tokens in it (``<think>``, ``<[42]>``) are not supported.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from graphlib import CycleError, TopologicalSorter
from typing import Any

from llama_cpp.llama_grammar import json_schema_to_gbnf

from thinkgraph.models.errors import ModelError

MAX_TEXT = 1 << 18  # characters
MAX_DEPTH = 250  # of nested groups: native code recurses into them
MAX_RULES = 5_000
MAX_SIZE = 200_000  # symbols, once repetitions are written out
MAX_REPEAT = 1_000
MAX_WEIGHT = 2_000  # llama.cpp's own limit: rules in an item, times its repetitions
MAX_SCHEMA = 5_000  # values in a schema
_LONG = frozenset({"minItems", "maxItems", "minLength", "maxLength"})

# The converter lets control characters into texts, which JSON forbids.
_ANY_CHARACTER, _JSON_CHARACTER = r'[^"\\] |', r'[^"\\\x7F\x00-\x1F] |'

_SPACE = re.compile(r"(?:[ \t]|#[^\r\n]*)*")
_SPACE_AND_LINES = re.compile(r"(?:[ \t\r\n]|#[^\r\n]*)*")
_NAME = re.compile(r"[a-zA-Z0-9-]+")
_CHAR = r'(?:\\x[0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\U[0-9a-fA-F]{8}|\\[trn\\"\[\]-]|[^\\\0%s])'
_LITERAL = re.compile(rf'"({_CHAR % chr(34)}*)"')
_CLASS = re.compile(rf"\[\^?({_CHAR % (chr(92) + ']')}+)\]")
_ONE = re.compile(_CHAR % "")
_REPEAT = re.compile(r"[*+?]|\{[ \t]*(\d{1,9})[ \t]*(,)?[ \t]*(\d{1,9})?[ \t]*\}")

_TERMINAL = ""  # stands for any character in a rule's symbols
Alternatives = list[list[str]]


class _Bad(Exception):
    """What is wrong, and where in the text."""

    def __init__(self, reason: str, at: int | None = None) -> None:
        self.reason, self.at = reason, at
        super().__init__(reason)


def checked_grammar(text: str) -> str:
    """``text``, if it is a grammar that native code can follow from its rule ``root``.

    Raises:
        ModelError: it has a syntax error (with line and column), names a rule that is not
            there, recurses on the left, repeats what may be empty, or grows too large.
    """
    try:
        _Grammar(text).check()
    except _Bad as error:
        place = ""
        if error.at is not None:
            line = text.count("\n", 0, error.at) + 1
            column = error.at - (text.rfind("\n", 0, error.at) + 1) + 1
            place = f" at line {line}, column {column}"
        raise ModelError(f"the grammar is not valid GBNF{place}: {error.reason}") from None
    return text


def schema_grammar(schema: dict[str, Any]) -> str:
    """A checked grammar of the JSON texts that ``schema`` allows.

    Raises:
        ModelError: the schema has parts for which there is no grammar, or is too large.
    """
    try:
        return _schema_grammar(json.dumps(schema))
    except (TypeError, ValueError, RecursionError) as error:
        raise ModelError(f"the JSON schema is not JSON: {error}") from None


@lru_cache(maxsize=64)
def _schema_grammar(schema: str) -> str:
    for count, value in enumerate(_values(json.loads(schema))):
        if count > MAX_SCHEMA:
            raise ModelError(
                f"the JSON schema has more than {MAX_SCHEMA} values; use a smaller one"
            )
        _check_value(value)
    try:
        grammar = json_schema_to_gbnf(schema).replace(_ANY_CHARACTER, _JSON_CHARACTER)
        return checked_grammar(grammar)
    except ModelError:
        raise
    except Exception as error:  # the converter meets any schema, and fails in many ways
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ModelError(f"no grammar can be made of the JSON schema: {reason}") from None


def _values(value: Any) -> Iterator[Any]:
    todo = [value]
    while todo:
        value = todo.pop()
        yield value
        if isinstance(value, dict):
            todo.extend(value.values())
        elif isinstance(value, list):
            todo.extend(value)


def _check_value(value: Any) -> None:
    if not isinstance(value, dict):
        return
    for key in _LONG & value.keys():
        if isinstance(value[key], int) and value[key] > MAX_DEPTH - 50:
            raise ModelError(
                f"the JSON schema's {key} is {value[key]}; a grammar counts up to {MAX_DEPTH - 50}"
            )
    pattern = value.get("pattern")
    if isinstance(pattern, str) and any(
        int(n) > 100 for n in re.findall(r"\d+", " ".join(re.findall(r"\{[\d, ]*\}", pattern)))
    ):
        raise ModelError("a pattern of the JSON schema repeats more than 100 times")


class _Grammar:
    """Reads GBNF into flat rules, each a list of alternatives of symbols."""

    def __init__(self, text: str) -> None:
        self.text, self.at = text, 0
        self.rules: dict[str, Alternatives] = {}
        self.sizes: dict[str, int] = {}
        self.named: dict[str, int] = {}
        self.symbols = 0

    def check(self) -> None:
        if len(self.text) > MAX_TEXT:
            raise _Bad(f"it has more than {MAX_TEXT} characters")
        try:
            self.text.encode()
        except UnicodeEncodeError as error:
            raise _Bad("it has a character that UTF-8 can't hold", error.start) from None
        self._skip(_SPACE_AND_LINES)
        while self.at < len(self.text):
            self._rule()
        if "root" not in self.rules:
            raise _Bad("it has no rule named root")
        for name, at in self.named.items():
            if name not in self.rules:
                raise _Bad(f"there is no rule {name}", at)
        self._check_size()
        self._check_left_recursion()

    def _rule(self) -> None:
        start = self.at
        name = self._expect(_NAME, "a rule's name").group()
        if name in self.rules:
            raise _Bad(f"the rule {name} is there twice", start)
        self._skip(_SPACE)
        self._expect(re.compile("::="), "::=")
        self._skip(_SPACE_AND_LINES)
        self.symbols += name not in self.named
        self.rules[name] = []
        self.rules[name] = self._alternatives(name)
        if self.at < len(self.text) and self.text[self.at] not in "\r\n":
            raise _Bad(f"expected a new line, not {self.text[self.at]!r}", self.at)
        self._skip(_SPACE_AND_LINES)

    def _alternatives(self, name: str) -> Alternatives:
        """Everything up to the rule's end; groups become rules of their own."""
        stack: list[Alternatives] = [[[]]]
        before: list[int] = []  # native symbols there were when each group began
        last: list[str] | None = None  # symbols of the item that a repetition would repeat
        weight = 1  # native rules that the item has brought
        while self.at < len(self.text):
            nested = len(stack) > 1
            char = self.text[self.at]
            if char == "|":
                self.at += 1
                self._skip(_SPACE_AND_LINES)
                stack[-1].append([])
                last = None
                continue
            if char == "(":
                self.at += 1
                self._skip(_SPACE_AND_LINES)
                stack.append([[]])
                before.append(self.symbols)
                self.symbols += 1
                last = None
                if len(stack) > MAX_DEPTH:
                    raise _Bad(f"its groups are nested more than {MAX_DEPTH} deep", self.at)
                continue
            if char == ")" and nested:
                self.at += 1
                last = [self._add(name, stack.pop())]
                weight = self.symbols - before.pop()
                stack[-1][-1] += last
            elif repeat := _REPEAT.match(self.text, self.at):
                if not last:
                    raise _Bad("there is nothing before it to repeat", self.at)
                self.at = repeat.end()
                weight = self._times(repeat, weight)
                del stack[-1][-1][-len(last) :]
                last = [self._repeated(name, last, repeat)]
                stack[-1][-1] += last
            elif (last := self._item()) is not None:
                weight = 1
                stack[-1][-1] += last
            else:
                break
            self._skip(_SPACE_AND_LINES if len(stack) > 1 else _SPACE)
        if len(stack) > 1:
            raise _Bad("a group is not closed", self.at)
        return stack[0]

    def _item(self) -> list[str] | None:
        text, at = self.text, self.at
        if text[at] == '"':
            body = self._expect(_LITERAL, "a text in quotes with valid escapes").group(1)
            return [_TERMINAL] * len(_ONE.findall(body))
        if text[at] == "[":
            self._expect(_CLASS, "a class of characters with valid escapes, closed by ]")
            return [_TERMINAL]
        if text[at] == ".":
            self.at += 1
            return [_TERMINAL]
        if name := _NAME.match(text, at):
            self.at = name.end()
            self.symbols += name.group() not in self.rules and name.group() not in self.named
            self.named.setdefault(name.group(), at)
            return [name.group()]
        if text[at] in "\r\n":
            return None
        raise _Bad(f"{text[at]!r} is not understood", at)

    def _times(self, repeat: re.Match[str], weight: int) -> int:
        """Count a repetition as llama.cpp does, which refuses too many rules."""
        low, comma, high = repeat.groups()
        least, most = int(low or 0), int(high or 0) if comma else int(low or 0)
        weight *= (most or least) if low is not None else 1
        if weight > MAX_WEIGHT:
            raise _Bad(f"repeated, it has more than {MAX_WEIGHT} rules", self.at)
        self.symbols += most - least if most else 1
        return max(weight, 1)

    def _repeated(self, name: str, item: list[str], repeat: re.Match[str]) -> str:
        low, comma, high = repeat.groups()
        if low is None:
            least, most = {"*": (0, 0), "+": (1, 0), "?": (0, 1)}[repeat.group()]
        else:
            least, most = int(low), int(high or 0) if comma else int(low)
        if max(least, most) > MAX_REPEAT or (comma and high and most < least):
            raise _Bad(f"a repetition must be from few to many, {MAX_REPEAT} at most", self.at)
        if comma and high and not most:
            return self._add(name, [[]])
        rule = self._add(name, [[*item], []] if least == 0 else [[*item]])
        if not most:  # without end: the item must not be empty
            self.rules[rule][0].append(rule)
            if least:
                self.rules[rule].append([*item])
        self.sizes[rule] = len(item) * max(least, most, 1) + 2 * (most or 1)
        return rule

    def _add(self, name: str, alternatives: Alternatives) -> str:
        rule = f"{name}_{len(self.rules)}"  # no name in the text has an underscore
        self.rules[rule] = alternatives
        if len(self.rules) > MAX_RULES:
            raise _Bad(f"it has more than {MAX_RULES} rules and groups", self.at)
        return rule

    def _check_size(self) -> None:
        size = sum(
            max(self.sizes.get(name, 0), sum(map(len, alternatives)))
            for name, alternatives in self.rules.items()
        )
        if size > MAX_SIZE:
            raise _Bad(f"written out it has {size} symbols; {MAX_SIZE} are the most")

    def _check_left_recursion(self) -> None:
        empty = self._nullable()
        edges = {
            name: {s for symbols in alternatives for s in _first(symbols, empty)}
            for name, alternatives in self.rules.items()
        }
        try:
            TopologicalSorter(edges).prepare()
        except CycleError as error:
            named = [rule for rule in error.args[1] if "_" not in rule]
            name = named[0] if named else error.args[1][0].split("_")[0]
            raise _Bad(
                f"the rule {name} can begin with itself, or repeats what may be empty"
            ) from None

    def _nullable(self) -> set[str]:
        empty: set[str] = set()
        while found := {
            name
            for name, alternatives in self.rules.items()
            if name not in empty and any(empty.issuperset(symbols) for symbols in alternatives)
        }:
            empty |= found
        return empty

    def _skip(self, space: re.Pattern[str]) -> None:
        match = space.match(self.text, self.at)
        self.at = match.end() if match else self.at

    def _expect(self, pattern: re.Pattern[str], what: str) -> re.Match[str]:
        match = pattern.match(self.text, self.at)
        if not match:
            raise _Bad(f"expected {what}", self.at)
        self.at = match.end()
        return match


def _first(symbols: list[str], empty: set[str]) -> Iterator[str]:
    """Rules with which ``symbols`` can begin."""
    for symbol in symbols:
        if symbol != _TERMINAL:
            yield symbol
        if symbol not in empty:
            return
