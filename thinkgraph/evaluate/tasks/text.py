"""The text of a data file, with detection of its encoding."""

from __future__ import annotations

import codecs
import re
from pathlib import Path
from typing import NamedTuple

from thinkgraph.models.errors import ThinkgraphError


class DataError(ThinkgraphError):
    """Data can't be read as questions; the message names the file, the place and a remedy."""


class FileText(NamedTuple):
    """A file's text."""

    text: str
    note: str = ""
    """Note for the user on the encoding; empty for UTF-8."""


_MARKS = [  # UTF-32 before UTF-16, whose mark is a prefix of it
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
]
_HEAD = 4096  # bytes inspected to recognise UTF-16 without a byte order mark
_RUN = re.compile(r"[^\x00-\x7f]{4,}")
_AROUND = re.compile(r"\S*[^\x00-\x7f]\S*")
_WAY_OUT = "save the file as UTF-8, for example with `iconv -f ENCODING -t utf-8`"


def read_text(path: Path) -> FileText:
    """Read a file as UTF-8, as UTF-16 or UTF-32, or else as Windows-1252.

    UTF-16 and UTF-32 are recognised by their byte order mark, UTF-16 also by its NUL bytes. In
    Windows-1252 (the encoding of CSV files from Excel in western Europe), characters beyond ASCII
    are usually isolated; a file with four or more in a row is taken for another encoding.

    Raises:
        DataError: the file can't be read or decoded.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}") from None
    encoding = _encoding(data)
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        place = f"line {line}"
        byte = error.start - data.rfind(b"\n", 0, error.start)
        if encoding != "utf-8":
            raise DataError(f"{path} begins as {encoding} and isn't, at {place}") from None
        return _windows(path, data, f"{path}, {place}: byte {byte} is not UTF-8")
    if "\0" in text:
        raise DataError(
            f"{path} is a binary file (it has NUL bytes); give a .jsonl, .json, .csv or .tsv file"
        )
    return FileText(text, "" if encoding.startswith("utf-8") else f"read as {encoding.upper()}")


def _encoding(data: bytes) -> str:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return encoding
    head = data[:_HEAD]
    if head.count(0) >= len(head) // 3 > 0:  # UTF-16 of a western text, without byte order mark
        return "utf-16-le" if head[1::2].count(0) > head[::2].count(0) else "utf-16-be"
    return "utf-8"


def _windows(path: Path, data: bytes, why: str) -> FileText:
    try:
        text = data.decode("cp1252")
    except UnicodeDecodeError:
        raise DataError(f"{why}; {_WAY_OUT}") from None
    if _RUN.search(text) or "\0" in text:
        raise DataError(f"{why}, and no Windows-1252 either; {_WAY_OUT}")
    shown = _AROUND.search(text)
    return FileText(
        text, f"not UTF-8, read as Windows-1252: check that {shown[0] if shown else ''!r} is right"
    )
