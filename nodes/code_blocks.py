"""Blocks of code in a model's text, as Markdown fences them."""

from __future__ import annotations

import re
from textwrap import dedent

LABEL = r"(?:python3?|py3?|tool_code)\b"
"""What marks a block as Python, in any case."""
OPENING = rf"```[ \t]*{LABEL}[^\n]*\n"
_BLOCK = re.compile(
    r"```[ \t]*(?P<label>\w*)[^\n]*\n(?P<code>.*?)(?:^[ \t]*```|```[ \t]*$|\Z)", re.S | re.M
)
_LABELLED = re.compile(LABEL, re.I)


def code_of(text: str) -> str:
    """The Python code in a text, as one program.

    It is what stands in the blocks that are marked as Python; if none is, in those without a mark;
    if there are none either, it is the whole text. The last block may lack its end.
    """
    found = [(each["label"], dedent(each["code"])) for each in _BLOCK.finditer(text)]
    marked = [code for label, code in found if _LABELLED.fullmatch(label)]
    return "\n".join(marked or [code for label, code in found if not label]) or text
