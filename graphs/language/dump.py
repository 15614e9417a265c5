"""The YAML writer: readable text that parses to the same data."""

from __future__ import annotations

import io
import re
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.scalarstring import DoubleQuotedScalarString, LiteralScalarString

from thinkgraph.models.errors import ThinkgraphError

WIDTH = 100
"""Maximum length of a line before it is broken."""
_ODD = re.compile(
    "[^\n\x20-\x7e\xa0-\ud7ff\ue000-\ufefe\uff00-\ufffd\U00010000-\U0010ffff]|[\u2028\u2029]"
)
_BLOCK = re.compile(r"(?:\S.*\S|\S)(?:\n+(?: *\S.*\S| *\S))*\n?")


def dump(data: Any) -> str:
    """The data as YAML; short mappings on one line, texts of several lines as blocks.

    Raises:
        ThinkgraphError: a text can't be written to a file.
    """
    yaml = YAML()
    styled = _styled(data, 0)
    # ruamel.yaml loses characters where it breaks the lines of such texts.
    yaml.width = 1 << 30 if _is_odd(data) else WIDTH
    yaml.indent(mapping=2, sequence=4, offset=2)
    text = io.StringIO()
    yaml.dump(styled, text)
    return text.getvalue()


def _styled(data: Any, depth: int) -> Any:
    if isinstance(data, dict):
        items = {_text(key): _styled(value, depth + 1) for key, value in data.items()}
        styled = CommentedMap(items)
        if depth >= 2 and _is_short(data):
            styled.fa.set_flow_style()
        return styled
    if isinstance(data, list | tuple):
        return [_styled(item, depth + 1) for item in data]
    return _text(data) if isinstance(data, str) else data


def _is_odd(data: Any) -> bool:
    """Whether a text in the data has characters that need escapes, or a key is long."""
    if isinstance(data, dict):
        return any(len(key) > WIDTH // 2 or _is_odd(key) or _is_odd(data[key]) for key in data)
    if isinstance(data, list | tuple):
        return any(map(_is_odd, data))
    return isinstance(data, str) and _ODD.search(data) is not None


def _is_short(data: dict[str, Any]) -> bool:
    if len(data) == 1 and isinstance(next(iter(data.values())), dict):  # a chain and its fields
        return False
    text = repr(data)
    return len(text) < WIDTH - 30 and "\\n" not in text and not _is_odd(data)


def _text(text: str) -> Any:
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise ThinkgraphError(f"{text!r} has half of a surrogate pair, which no file can hold")
    if _ODD.search(text) or text[:1] in (":", "?", "-"):  # which a flow mapping would misread
        return DoubleQuotedScalarString(text)
    if "\n" in text and _BLOCK.fullmatch(text):
        return LiteralScalarString(text)
    return text
