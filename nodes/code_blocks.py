"""Blocks of Python code in a model's text, between Markdown fences."""

from __future__ import annotations

import re
from textwrap import dedent

PYTHON = frozenset({"python", "py", "python3", "py3", "tool_code"})
"""Labels of Python code blocks, in lower case."""
_BLOCK = re.compile(
    r"```[ \t]*(?P<label>\w*)[^\n`]*\n"
    r"(?P<code>.*?)"
    r"(?:^[ \t]*```(?!\w)|```[ \t]*$|(?=^[ \t]*```\w)|\Z)",  # a labelled fence begins the next
    re.DOTALL | re.MULTILINE,
)


def code_of(text: str) -> str:
    """The code in a text: its Python blocks, or the whole text if it has none.

    Python blocks are those labelled as Python (case-insensitive) or, if there are none, those
    without a label. The last block may lack its closing fence.
    """
    return "\n".join(dedent(block["code"]) for block in _python_blocks(text)) or text


def last_block(text: str) -> re.Match[str] | None:
    """The Python block at the end of a text, with or without its closing fence.

    Python blocks are those of :func:`code_of`.

    Returns:
        A match whose group ``code`` is the code, or None.
    """
    text = text.rstrip()
    return next((block for block in _python_blocks(text) if block.end() == len(text)), None)


def _python_blocks(text: str) -> list[re.Match[str]]:
    blocks = list(_BLOCK.finditer(text))
    labelled = [block for block in blocks if block["label"].lower() in PYTHON]
    return labelled or [block for block in blocks if not block["label"]]
