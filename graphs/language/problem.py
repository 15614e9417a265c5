"""Problems, the diagnostics of the checker: a code, a location, a message, and a hint."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterable, Sequence
from typing import Literal, NamedTuple

from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Frozen

Severity = Literal["error", "warning"]


class Location(NamedTuple):
    """A span of a file; lines and columns count characters from 1, the end is exclusive."""

    file: str
    line: int = 1
    column: int = 1
    end_line: int = 1
    end_column: int = 1
    source: str = ""
    """The text of its first line."""


class Problem(Frozen):
    """One error or warning of a spec."""

    code: str
    severity: Severity
    message: str
    hint: str = ""
    file: str
    line: int
    column: int
    end_line: int
    end_column: int
    source: str = ""

    def __str__(self) -> str:
        """The problem with the offending line underlined, as compilers show it."""
        head = f"{self.file}:{self.line}:{self.column}: {self.severity} {self.code}: {self.message}"
        return "\n".join([head, *self._excerpt, *([f"  = {self.hint}"] if self.hint else [])])

    @property
    def _excerpt(self) -> list[str]:
        if not self.source.strip():
            return []
        number = str(self.line)
        source, start, end = _window(self.source, self.column - 1, self._last_column)
        gutter = " " * len(number)
        blank = "".join("\t" if char == "\t" else " " * _width(char) for char in source[:start])
        marks = "^" * max(1, sum(_width(char) for char in source[start:end]))
        return [f"  {number} | {source}", f"  {gutter} | {blank}{marks}"]

    @property
    def _last_column(self) -> int:
        end = self.end_column - 1 if self.end_line == self.line else len(self.source.rstrip())
        return max(end, self.column)


def _window(source: str, start: int, end: int, width: int = 120) -> tuple[str, int, int]:
    """At most ``width`` characters of a line, around what is marked in it."""
    if len(source) <= width:
        return source, start, end
    first = max(0, min(start - width // 3, len(source) - width))
    shown = source[first : first + width]
    return shown, start - first, min(end - first, width)


def _width(char: str) -> int:
    """The terminal cells of a character."""
    from unicodedata import combining, east_asian_width  # noqa: PLC0415 (only to show a problem)

    return 0 if combining(char) else 2 if east_asian_width(char) in "WF" else 1


class SpecError(ThinkgraphError):
    """A spec has errors; the message is the whole report.

    Attributes:
        problems: every error and warning, in the order of the file.
    """

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = list(problems)
        super().__init__("\n\n".join([*map(str, self.problems), summary(self.problems)]))


def summary(problems: Sequence[Problem]) -> str:
    """The number of errors and warnings, in words."""
    counts = [(s, sum(p.severity == s for p in problems)) for s in ("error", "warning")]
    words = [f"{count} {name}{'s' * (count > 1)}" for name, count in counts if count]
    return ", ".join(words) or "no problems"


def nearest(name: str, names: Iterable[str]) -> str | None:
    """The known name that is most similar to an unknown one, or None."""
    known = {known.lower(): known for known in names}
    found = difflib.get_close_matches(name.lower(), known, n=1)
    return known[found[0]] if found else None


def suggestion(name: str, names: Collection[str]) -> str:
    """The hint for an unknown name: the nearest known one, or all if they are few."""
    near = nearest(name, names)
    if near is not None:
        return f"did you mean `{near}`?"
    return f"expected one of {', '.join(sorted(names))}" if 0 < len(names) <= 12 else ""
