"""Blocks of Python code in a model's text, between Markdown fences."""

from __future__ import annotations

import re
from textwrap import dedent

PYTHON = frozenset({"python", "py", "python3", "py3", "tool_code"})
"""How a block of Python is labelled, in lower case."""
_BLOCK = re.compile(
    r"```[ \t]*(?P<label>\w*)[^\n`]*\n"
    r"(?P<code>.*?)"
    r"(?:^[ \t]*```(?!\w)|```[ \t]*$|(?=^[ \t]*```\w)|\Z)",  # a labelled fence begins the next
    re.DOTALL | re.MULTILINE,
)


def code_of(text: str) -> str:
    """The code of a text: its blocks of Python, or all of it if it has none.

    Blocks are those that are labelled as Python, in any case of letters, or the ones without a
    label if none is. The last one may lack its end.
    """
    blocks = list(_BLOCK.finditer(text))
    labelled = [block for block in blocks if _is_python(block)]
    found = labelled or [block for block in blocks if not block["label"]]
    return "\n".join(dedent(block["code"]) for block in found) or text


def last_block(text: str) -> re.Match[str] | None:
    """The block labelled as Python that a text ends with, with or without its end.

    Returns:
        A match whose group ``code`` is the code, or None.
    """
    blocks = list(_BLOCK.finditer(text.rstrip()))
    found = blocks[-1] if blocks else None
    return found if found and found.end() == len(text.rstrip()) and _is_python(found) else None


def _is_python(block: re.Match[str]) -> bool:
    return block["label"].lower() in PYTHON
