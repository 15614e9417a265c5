"""The parser: a spec's text as data, with the source location of every key and value.

It parses YAML 1.2 or JSON. Surprising or dangerous features of YAML are refused: tags, anchors and
aliases (and with them alias bombs), duplicate keys, several documents. The text is parsed event by
event, so that a deep or huge file is refused before its data is built.
"""

from __future__ import annotations

import codecs
import io
import json
import math
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    Event,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)
from ruamel.yaml.reader import ReaderError

from thinkgraph.graphs.language.problem import Location, Problem
from thinkgraph.graphs.language.rules import problem
from thinkgraph.models.cached_property import cached_property

BEGINNING = "`thinkgraph show direct --format yaml` prints one to begin with"
MAX_BYTES = 128 * 1024
"""Maximum size of a file in bytes; the built-in graphs have about 1 KiB."""
MAX_DEPTH = 32
"""Maximum depth of nested collections."""

MAX_PROBLEMS = 100
MAX_ANCHORS = 5  # reported; a file with one of them often has many
"""Number of problems after which a file is not parsed further."""

DataPath = tuple[str | int, ...]
"""The path of a value in a spec: its keys and indices, as the ``loc`` of a pydantic error."""

_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"
)
_WORDS = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_BREAK = re.compile("\r\n|\n|\r")


@dataclass
class Document:
    """The parsed text of a spec.

    :class:`~thinkgraph.graphs.checker.python_document.PythonDocument` is its counterpart for
    a graph composed in Python.

    Attributes:
        file: the name of the file, as shown in problems.
        text: the whole text.
        folder: the folder of the file; None if it isn't a file.
        data: the plain data in it; None if it could not be parsed.
        problems: the problems of the text itself.
        broken: paths whose values could not be parsed; no check reports on them.
    """

    file: str
    text: str = ""
    folder: Path | None = None
    data: Any = None
    problems: list[Problem] = field(default_factory=list)
    broken: set[DataPath] = field(default_factory=set)
    keys: dict[DataPath, Event] = field(default_factory=dict, repr=False)
    values: dict[DataPath, tuple[Event, Event]] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, path: Traversable | Path) -> Document:
        """Read a file; its errors are in :attr:`problems`."""
        document = cls(str(path), folder=path.parent if isinstance(path, Path) else None)
        try:
            if not path.is_file():
                raise OSError("it is not a regular file")
            with path.open("rb") as file:
                content = file.read(MAX_BYTES + 1)
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or str(error)
            document.add("TG001", f"the file can't be read: {reason}")
            return document
        document._decode(content)
        return document

    @classmethod
    def parse(cls, text: str, file: str = "<text>", folder: Path | None = None) -> Document:
        """Parse a text; its errors are in :attr:`problems`."""
        document = cls(file, folder=folder)
        document._decode(text.encode("utf-8", "surrogatepass"))
        return document

    def _decode(self, content: bytes) -> None:
        if len(content) > MAX_BYTES:
            self.add("TG002", f"the file is longer than {MAX_BYTES // 1024} KiB")
            return
        try:
            self.text = content.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = content[: error.start].count(b"\n") + 1
            is_utf16 = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
            what = "the file is UTF-16 text" if is_utf16 else "the file is not UTF-8 text"
            self.add("TG003", what, Location(self.file, line, 1, line, 1), "save it as UTF-8")
            return
        _Reader(self).read()

    def add(
        self, code: str, message: str, location: Location | None = None, hint: str = ""
    ) -> None:
        """Add a problem of the text, at its beginning by default."""
        self.problems.append(problem(code, message, location or Location(self.file), hint))

    @cached_property
    def lines(self) -> list[str]:
        """The lines of the text."""
        return _BREAK.split(self.text)

    @cached_property
    def _starts(self) -> list[int]:
        """The index into the text at which each line begins."""
        return [0, *(found.end() for found in _BREAK.finditer(self.text))]

    def _position(self, index: int) -> tuple[int, int]:
        """The line and column, from 1, of an index into the text.

        The line numbers of the YAML parser are not used, since it has older rules for line breaks.
        """
        line = bisect_right(self._starts, index)
        return line, min(index - self._starts[line - 1], len(self.lines[line - 1])) + 1

    def span(self, start: int, end: int) -> Location:
        """The location between two indices into the text."""
        (line, column), (end_line, end_column) = self._position(start), self._position(end)
        return Location(self.file, line, column, end_line, end_column, self.lines[line - 1])

    def locate(self, path: DataPath, *, key: bool = False) -> Location:
        """The location of a value, or of its key; for a missing one, of its parent."""
        while path not in self.values and path:
            path = path[:-1]
        if key and path in self.keys:
            event = self.keys[path]
            return self._place(event, event)
        if path in self.values:
            return self._place(*self.values[path])
        return Location(self.file)

    def locate_within(
        self, path: DataPath, line: int, column: int, length: int = 1, *, key: bool = False
    ) -> Location:
        """The location of a part of a string: its line and column, from 1, in the value or key."""
        whole = self.locate(path, key=key)
        event = self.keys.get(path) if key else self.values.get(path, (None,))[0]
        if not isinstance(event, ScalarEvent):
            return whole
        text = self._text_lines(event, whole)
        if line > len(text) or column + length - 1 > len(text[line - 1][2]):
            length = 1
        if line > len(text):
            return whole
        number, first, _ = text[line - 1]
        start = first + column - 1
        source = self.lines[number - 1] if number <= len(self.lines) else ""
        return Location(self.file, number, start, number, start + length, source)

    def _text_lines(self, event: ScalarEvent, whole: Location) -> list[tuple[int, int, str]]:
        """The line number, first column and content of each line of a text, if the file has it so.

        Empty for a text that differs from its source, as folded and escaped ones do.
        """
        content = str(event.value).split("\n")
        if event.style == "|":
            numbers = range(whole.line + 1, whole.line + 1 + len(content))
            sources = [self.lines[n - 1] if n <= len(self.lines) else "" for n in numbers]
            said = [source for source, text in zip(sources, content, strict=True) if text.strip()]
            firsts = [len(source) - len(source.lstrip(" ")) for source in said]
            indent = min(firsts, default=0)
            return [(n, indent + 1, text) for n, text in zip(numbers, content, strict=True)]
        first = whole.column + (event.style in ("'", '"'))
        if whole.source[first - 1 : first - 1 + len(str(event.value))] == event.value:
            return [(whole.line, first, str(event.value))]
        return []

    def at(self, path: DataPath) -> Any:
        """The value at a path, or None."""
        value = self.data
        for step in path:
            try:
                value = value[step]
            except (KeyError, IndexError, TypeError):
                return None
        return value

    def _place(self, start: Event, end: Event) -> Location:
        return self.span(start.start_mark.index, end.end_mark.index)


_HUGE = object()


def plain(text: str) -> Any:
    """The value of a plain scalar by YAML 1.2's core schema (section 10.3.2)."""
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text):
        number = int(text, 0) if text[:2] in ("0o", "0x") else int(text[:25])
        return number if len(text) <= 25 and -(2**63) <= number < 2**63 else _HUGE
    if _FLOAT.fullmatch(text):
        value = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        return value if math.isfinite(value) else _HUGE
    return text


class _Stop(Exception):
    """The text can't be parsed any further."""


class _Reader:
    """Builds a document's data from the events of the YAML parser."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.events: Iterator[Event] = iter(())
        self._anchors = 0

    def read(self) -> None:
        document = self.document
        self.events = YAML(typ="safe", pure=True).parse(io.StringIO(self._source()))
        try:
            self._documents()
        except _Stop:
            pass
        except MarkedYAMLError as error:
            self._syntax(error)
        except ReaderError as error:
            char = document.text[error.position]
            said = f"the character #x{ord(char):04x} is not allowed in YAML"
            document.add("TG004", said, document.span(error.position, error.position + 1))
        except (YAMLError, ValueError, RecursionError, AttributeError) as error:
            document.add("TG004", f"this is not YAML: {str(error) or type(error).__name__}")
        if not isinstance(document.data, dict):
            document.data = None

    def _source(self) -> str:
        """The text for the YAML parser; tabs in JSON become spaces, since YAML refuses them."""
        text = self.document.text
        if "\t" in text and text.lstrip().startswith("{"):
            try:
                json.loads(text)
            except (ValueError, RecursionError):
                return text
            return text.replace("\t", " ")
        return text

    def _syntax(self, error: MarkedYAMLError) -> None:
        mark = error.problem_mark or error.context_mark
        said = ", ".join(filter(None, (error.context, error.problem)))
        location = self.document.span(mark.index, mark.index) if mark else None
        hint = ""
        if location and "\t" in location.source[: location.column]:
            hint = "indent with spaces; YAML allows no tabs there"
        elif "scanning a tag" in said:
            hint = "quote a string that begins with `!`"
        elif error.context_mark and mark and error.context_mark.line < mark.line:
            line = self.document.span(error.context_mark.index, error.context_mark.index).line
            hint = f"it begins on line {line}"
        elif "mapping values" in said:
            hint = "quote a string that contains a colon"
        self.document.add("TG004", f"this is not YAML: {said}", location, hint)

    def _documents(self) -> None:
        count = 0
        for event in self.events:
            if isinstance(event, DocumentStartEvent):
                count += 1
                if count > 1:
                    location = self.document._place(event, event)
                    self.document.add("TG006", "the file has a second document", location)
                    raise _Stop
                self.document.data = self._value(next(self.events), ())
        if not isinstance(self.document.data, dict):
            self._no_mapping()

    def _no_mapping(self) -> None:
        data, location = self.document.data, self.document.locate(())
        what = "the file is empty" if data is None else "a graph must be a mapping"
        hint = BEGINNING if data is None else ""
        if () not in self.document.broken:
            self.document.add("TG005", what, location, hint)
        self.document.data = None

    def _value(self, event: Event, path: DataPath) -> Any:
        if len(path) > MAX_DEPTH:
            self._note("TG009", f"collections are nested deeper than {MAX_DEPTH}", event)
            raise _Stop
        self.document.values[path] = (event, event)
        if isinstance(event, AliasEvent) or getattr(event, "anchor", None):
            self._anchor(event, path)
        if getattr(event, "tag", None):
            self._tag(event, path)
        if isinstance(event, MappingStartEvent):
            return self._mapping(event, path)
        if isinstance(event, SequenceStartEvent):
            return self._sequence(event, path)
        return self._scalar(event, path) if isinstance(event, ScalarEvent) else None

    def _sequence(self, start: Event, path: DataPath) -> list[Any]:
        found: list[Any] = []
        for event in self.events:
            if isinstance(event, SequenceEndEvent):
                self.document.values[path] = (start, event)
                break
            found.append(self._value(event, (*path, len(found))))
        return found

    def _mapping(self, start: Event, path: DataPath) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for event in self.events:
            if isinstance(event, MappingEndEvent):
                self.document.values[path] = (start, event)
                break
            if not isinstance(event, ScalarEvent):
                self._note("TG010", "a key is a name, not a collection", event)
                raise _Stop
            if event.anchor or event.tag:
                self._note("TG010", "a key has no tag and no anchor", event)
            key = self._text(event.value)
            twice = key in found
            if twice:
                self._twice(key, (*path, key), event)
            self.document.keys[*path, key] = event
            found[key] = self._value(next(self.events), (*path, key))
            if twice:
                self.document.broken.add((*path, key))
        return found

    def _twice(self, key: str, path: DataPath, event: Event) -> None:
        first = self.document.keys[path].start_mark.line + 1
        self._note("TG007", f"duplicate field {key!r}; the first is on line {first}", event)

    def _scalar(self, event: ScalarEvent, path: DataPath) -> Any:
        text = self._text(event.value)
        if event.style is not None or event.tag:
            return text
        value = plain(text)
        if value is _HUGE:
            said = "the number is infinite, or doesn't fit in 64 bits"
            return self._refuse(path, "TG012", said, event)
        return value

    def _text(self, value: str) -> str:
        """The text with surrogate pairs, which JSON uses for rare characters, joined."""
        try:
            return value.encode("utf-16", "surrogatepass").decode("utf-16")
        except UnicodeDecodeError:
            raise ValueError("a string has half of a surrogate pair") from None

    def _tag(self, event: Event, path: DataPath) -> None:
        tag = str(getattr(event, "tag", ""))
        text = f"{tag} {getattr(event, 'value', '')}".strip()
        hint = f'quote it: "{text}"' if isinstance(event, ScalarEvent) else ""
        self._refuse(path, "TG011", f"`{tag}` is a YAML tag, and tags are not allowed", event, hint)

    def _anchor(self, event: Event, path: DataPath) -> None:
        self.document.broken.add(path)
        self._anchors += 1
        if self._anchors <= MAX_ANCHORS:
            hint = "write the value out, or make it a param and refer to it as `$name`"
            said = "anchors and aliases (`&a`, `*a`) are not allowed"
            self._note("TG008", said, event, hint)

    def _refuse(
        self, path: DataPath, code: str, message: str, event: Event, hint: str = ""
    ) -> None:
        self._note(code, message, event, hint)
        self.document.broken.add(path)

    def _note(self, code: str, message: str, event: Event, hint: str = "") -> None:
        self.document.add(code, message, self.document._place(event, event), hint)
        if len(self.document.problems) > MAX_PROBLEMS:
            raise _Stop
