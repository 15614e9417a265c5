"""Output to standard output and standard error, adapted to the kind of stream.

A stream may be a terminal, a pipe that closes early (``| head``), or a file whose encoding lacks
characters (cp1252 or ASCII, as for redirected output on Windows). None of these may make a run fail
after its result is computed.
"""

from __future__ import annotations

import codecs
import json
import os
import re
import sys
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from io import TextIOWrapper

import rich.console

_PLAIN = str.maketrans(
    {
        **{"█": "#", "◆": "*", "●": "*", "○": "o", "•": "*", "▸": ">", "…": "...", "·": "-"},
        **{"–": "-", "—": "-", "−": "-", "×": "x", "≤": "<=", "≥": ">=", "≠": "!=", "→": "->"},
        **{"“": '"', "”": '"', "„": '"', "‘": "'", "’": "'", "←": "<-", "≈": "~", "✓": "+"},
        **{"━": "-", "╸": "-", "╺": "-", "─": "-", "│": "|", "\u202f": " ", "\xa0": " "},
        **{"┌": "+", "┐": "+", "└": "+", "┘": "+", "├": "+", "┤": "+", "┬": "+", "┴": "+"},
        **{"╭": "+", "╮": "+", "╰": "+", "╯": "+", "┼": "+", "▼": "v", "▲": "^", "▶": ">"},
        **{"◀": "<", "┄": "-", "┆": "|", "═": "=", "║": "|", "ß": "ss", "€": "EUR"},
    }
)
"""Replacements of characters that a stream's encoding lacks."""


class Console(rich.console.Console):
    """A console that raises BrokenPipeError if its reader closes the pipe, as other streams do."""

    def on_broken_pipe(self) -> None:
        """Raise the error, which Rich would turn into an exit."""
        raise BrokenPipeError


def console(*, stderr: bool = False, soft_wrap: bool = False) -> Console:
    """A console on standard output, or on standard error."""
    return Console(stderr=stderr, highlight=False, soft_wrap=soft_wrap)


def fit_streams() -> None:
    """Make both streams replace the characters that their encodings lack."""
    codecs.register_error("thinkgraph.fit", _fit)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="thinkgraph.fit")


def _fit(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    missing = error.object[error.start : error.end]
    return "".join(_fitting(each, error.encoding) for each in missing), error.end


def _fitting(character: str, encoding: str) -> str:
    base = unicodedata.normalize("NFKD", character)
    for form in (character.translate(_PLAIN), base, base[:1]):
        try:
            form.encode(encoding)
        except UnicodeEncodeError:
            continue
        return form
    return "?"


@contextmanager
def reader() -> Iterator[None]:
    """A context for printing to standard output; a closed pipe ends it without an error."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def say(text: str) -> None:
    """Print a line to standard error; a closed pipe is no error."""
    try:
        print(text, file=sys.stderr, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stderr.fileno())


def print_json(text: str) -> None:
    """Print JSON, with escapes instead of non-ASCII characters if the stream isn't in UTF-8."""
    print(text if _is_utf8() else _NOT_ASCII.sub(_escape, text))


_NOT_ASCII = re.compile(r"[^\x00-\x7f]")


def _escape(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1]


def print_document(text: str) -> None:
    """Print a YAML file or a drawing; always in UTF-8 to a file or pipe, where it may be reread."""
    stream = sys.stdout
    if _is_utf8() or stream.isatty() or not isinstance(stream, TextIOWrapper):
        print(text.rstrip("\n"))
        return
    stream.flush()
    stream.buffer.write(f"{text.rstrip(chr(10))}\n".encode())


def _is_utf8() -> bool:
    encoding = getattr(sys.stdout, "encoding", None) or "utf-8"
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")
