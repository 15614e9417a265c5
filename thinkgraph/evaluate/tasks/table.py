"""Tables: comma- or tab-separated values, with or without a header."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from string import ascii_uppercase
from typing import Literal, NamedTuple

from thinkgraph.evaluate.tasks.text import DataError

csv.field_size_limit(2**31 - 1)  # the default of 128 KiB is too small for long contexts


class Row(NamedTuple):
    """One row: the number of its first line, and its cells."""

    line: int
    cells: list[str]


class Table(NamedTuple):
    """The column names and rows of a table."""

    names: list[str]
    rows: list[Row]
    skipped: int
    """Number of skipped rows with empty cells only."""
    note: str = ""
    """Note on the guessed column names, if the table has no header."""


def read_table(path: Path, text: str, known: Collection[str]) -> Table:
    """Read a table.

    Args:
        path: the file, for error messages.
        text: its content, separated by commas, semicolons or tabs.
        known: common field names in lower case, to recognise a header.

    Raises:
        DataError: invalid CSV, a duplicate name, or rows with a different number of cells.
    """
    rows = list(_rows(path, text))
    filled = [row for row in rows if any(cell.strip() for cell in row.cells)]
    if not filled:
        return Table([], [], len(rows))
    names, note = _names(filled[0].cells, known)
    if not note:
        filled = filled[1:]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise DataError(f"{path}: its first line names {', '.join(twice)} more than once")
    _check(path, names, filled)
    return Table(names, filled, len(rows) - len(filled) - (not note), note)


def _check(path: Path, names: list[str], rows: Sequence[Row]) -> None:
    wrong = [f"line {row.line} ({len(row.cells)})" for row in rows if len(row.cells) != len(names)]
    if wrong:
        raise DataError(
            f"{path}: {len(wrong)} {'row has' if len(wrong) == 1 else 'rows have'} not as many "
            f"cells as the first line, {len(names)}: {places(wrong)}; a cell with a separator in "
            "it must stand in quotes"
        )


FEW = 5  # places named in a message


def places(found: list[str]) -> str:
    """The first few places as text, followed by the number of the others."""
    more = len(found) - FEW
    return ", ".join(found[:FEW]) + (f" and {more} more" if more > 0 else "")


def _rows(path: Path, text: str) -> Iterator[Row]:
    first = next((line for line in io.StringIO(text) if line.strip()), "")
    is_tabbed = path.suffix.casefold() == ".tsv" and "\t" in first
    separator = "\t" if is_tabbed else max(",;\t", key=first.count)
    try:
        yield from _parsed(text, separator, csv.QUOTE_MINIMAL)
    except _Broken as broken:
        if separator != "\t":
            raise DataError(f"{path}, line {broken.line}: not CSV ({broken})") from None
        yield from _parsed(text, separator, csv.QUOTE_NONE)  # TSV files often don't use quoting


class _Broken(Exception):
    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


def _parsed(text: str, separator: str, quoting: Literal[0, 3]) -> list[Row]:
    reader = csv.reader(
        io.StringIO(text, newline=""), delimiter=separator, strict=True, quoting=quoting
    )
    rows, start = [], 1
    try:
        for cells in reader:
            if cells:
                rows.append(Row(start, cells))
            start = reader.line_num + 1
    except csv.Error as error:
        raise _Broken(reader.line_num, str(error)) from None
    return rows


def _names(cells: Sequence[str], known: Collection[str]) -> tuple[list[str], str]:
    """The names of the columns, and a note if they are guessed since there is no header."""
    given = [cell.strip() for cell in cells]
    if any(re.sub(r"[\s-]+", "_", name.casefold()) in known for name in given):
        return [name or f"column {i}" for i, name in enumerate(given, 1)], ""
    *asked, last = given
    if len(given) == 2 and (_is_sentence(asked[0]) or _is_number(last)):
        names = ["question", "answer"]
    elif len(given) >= 4 and last in ascii_uppercase[: len(given) - 2] and last:
        names = ["question", *ascii_uppercase[: len(given) - 2], "answer"]
    else:
        return [name or f"column {i}" for i, name in enumerate(given, 1)], ""
    return names, f"no line of names: the columns were taken for {', '.join(names)}"


def _is_sentence(text: str) -> bool:
    return len(text) > 40 or text.endswith(("?", ".", "？", "。"))


def _is_number(text: str) -> bool:
    return re.fullmatch(r"[-+]?[\d,]*\.?\d+", text) is not None
