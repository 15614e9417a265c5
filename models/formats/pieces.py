"""Streaming of tool calls: the name as soon as it is known, then the arguments.

Emitted pieces can't be withdrawn, so a call is streamed only where later text can't change its
beginning. Other calls are emitted once they have been read as a whole.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

VALUE = r"(?P<value>.*?)"
"""The part of a pattern that matches an argument's text, up to the tag that ends it."""
MAX_HEAD = 1000
"""Maximum length of the text up to a call's arguments; a longer one is not streamed."""


@dataclass
class Begun:
    """A call that is being written."""

    name: str
    arguments: str = ""
    """JSON text of the arguments so far."""


class Pieces(Protocol):
    """Reads the calls of one body while it is generated."""

    calls: list[Begun]

    def feed(self, text: str) -> None:
        """Read more text of the body."""
        ...

    def close(self) -> None:
        """Finish, once the body is complete."""
        ...


class JsonPieces:
    """Reads calls whose arguments are a JSON object after a head that names the tool.

    Args:
        head: a pattern for the text before the first call's arguments, with the group ``name``,
            which may be a JSON string.
        following: the same for further calls; None allows one call only.
        name: the name of the only call, if it is already known; there is no head then.
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
        """Read more text of the body."""
        self._rest += text
        while self._rest and self._step():
            pass

    def close(self) -> None:
        """Do nothing: an object shows its own end."""

    def _step(self) -> bool:
        if self._depth:
            self._follow()
        elif self._head is None:  # the arguments begin; only an object is streamed
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
        """Consume the arguments up to their end, with control characters in strings escaped."""
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
    """Reads calls in tags, streamed argument by argument.

    Args:
        name: a pattern with the group ``name``.
        argument: a pattern with the groups ``key`` and ``value``, the latter as :data:`VALUE`.
        typed: returns an argument's value, given the tool's name, the key and the text.
    """

    def __init__(self, name: str, argument: str, typed: Callable[[str, str, str], Any]) -> None:
        self.calls: list[Begun] = []
        self._name, self._argument = re.compile(name), re.compile(argument, re.DOTALL)
        self._opening = re.compile(argument.partition(VALUE)[0])
        self._typed = typed
        self._text, self._at, self._closed = "", 0, False

    def feed(self, text: str) -> None:
        """Read more text of the body."""
        self._text += text
        if ">" in text or not self.calls:  # only > ends a tag
            while self._step():
                pass

    def close(self) -> None:
        """Finish the last call, once the body is complete.

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
            head = None  # the name may continue
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
