"""Calls of tools while they are written: the name as soon as it is known, then the arguments.

What is told is never taken back, so a call is followed only where what comes can't change what
it has begun with. What isn't followed is told once the whole call has been read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

VALUE = r"(?P<value>.*?)"
"""An argument's text in a pattern: all up to the tag that ends it."""
MAX_HEAD = 1000
"""Characters in which a call's name is looked for."""


@dataclass
class Begun:
    """A call that is under way."""

    name: str
    arguments: str = ""
    """JSON text of the arguments, as much as is known."""


class Pieces(Protocol):
    """Reads the calls of one body as it grows."""

    calls: list[Begun]

    def feed(self, text: str) -> None:
        """Take more of the body."""
        ...

    def close(self) -> None:
        """No more will come."""
        ...


class JsonPieces:
    """Calls whose arguments are a JSON object behind something that names the tool.

    Args:
        head: a pattern of what precedes the first call's arguments, with the group ``name``,
            which may be a JSON text.
        following: the same of further calls; without it there is one.
        name: of the only call, if it is known already; there is no head then.
    """

    def __init__(self, head: str = "", following: str | None = None, *, name: str = "") -> None:
        self.calls: list[Begun] = []
        self._head: re.Pattern[str] | None = re.compile(head)
        self._following = re.compile(following) if following else None
        self._rest = ""
        self._depth = 0
        self._quoted = self._escaped = False
        if name:
            self._begin(name)

    def feed(self, text: str) -> None:
        """Take more of the body."""
        self._rest += text
        while self._rest and self._step():
            pass

    def close(self) -> None:
        """No more will come: an object has shown its own end."""

    def _step(self) -> bool:
        if self._depth:
            self._follow()
        elif self._head is None:  # the arguments begin, as an object or in some other way
            self._rest = self._rest.lstrip()
            if not self._rest.startswith("{"):
                return False
            self._follow()
        elif found := self._head.match(self._rest):
            self._rest = self._rest[found.end() :]
            self._begin(found["name"])
        else:
            if len(self._rest) > MAX_HEAD:
                self._head = re.compile("(?!)")
                self._rest = ""
            return False
        return True

    def _begin(self, name: str) -> None:
        try:
            self.calls.append(Begun(json.loads(name) if name.startswith('"') else name))
            self._head = None
        except ValueError:
            self._head = re.compile("(?!)")

    def _follow(self) -> None:
        """Take the arguments up to their end; line breaks within texts as JSON has them."""
        taken = []
        for at, char in enumerate(self._rest):
            if self._quoted:
                taken.append(char if char >= " " else f"\\u{ord(char):04x}")
                self._quoted = self._escaped or char != '"'
                self._escaped = char == "\\" and not self._escaped
                continue
            taken.append(char)
            self._quoted = char == '"'
            self._depth += (char in "{[") - (char in "}]")
            if not self._depth:
                self._rest = self._rest[at + 1 :]
                self._head = self._following or re.compile("(?!)")
                break
        else:
            self._rest = ""
        self.calls[-1].arguments += "".join(taken)


class TagPieces:
    """Calls in tags, told argument by argument.

    Args:
        name: a pattern with the group ``name``.
        argument: a pattern with the groups ``key`` and ``value``, the latter as :data:`VALUE`.
        typed: an argument's value, of the tool's name, the key and the text.
    """

    def __init__(self, name: str, argument: str, typed: Callable[[str, str, str], Any]) -> None:
        self.calls: list[Begun] = []
        self._name, self._argument = re.compile(name), re.compile(argument, re.DOTALL)
        self._opening = re.compile(argument.partition(VALUE)[0])
        self._typed = typed
        self._text, self._at, self._closed = "", 0, False

    def feed(self, text: str) -> None:
        """Take more of the body."""
        self._text += text
        if ">" in text or not self.calls:  # nothing else ends a tag
            while self._step():
                pass

    def close(self) -> None:
        """No more will come: the last call is whole.

        Raises:
            ValueError: an argument has no end.
        """
        self._closed = True
        while self._step():
            pass
        self._end()

    def _step(self) -> bool:
        head = self._name.search(self._text, self._at)
        found = self._argument.search(self._text, self._at) if self.calls else None
        begun = self._opening.search(self._text, self._at) if self.calls else None
        if begun and not found and (not head or begun.start() < head.start()):
            if self._closed:
                raise ValueError(f"the argument {begun['key'].strip()!r} has no end")
            return False
        if head and head.end() == len(self._text) and not self._closed:
            head = None  # it may grow
        if head and (not found or head.start() < found.start()):
            self._end()
            self.calls.append(Begun(head["name"].strip(), "{"))
            self._at = head.end()
            return True
        if found:
            self._add(found["key"].strip(), found["value"])
            self._at = found.end()
        return bool(found)

    def _add(self, key: str, text: str) -> None:
        call = self.calls[-1]
        value = self._typed(call.name, key, text)
        comma = "" if call.arguments == "{" else ", "
        call.arguments += f"{comma}{json.dumps(key)}: {json.dumps(value)}"

    def _end(self) -> None:
        if self.calls:
            self.calls[-1].arguments += "}"
