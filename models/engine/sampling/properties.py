"""Lark grammars of objects whose properties are written one by one, as in XML-like tags."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

from thinkgraph.models.engine.sampling.json_schema import schema_to_lark
from thinkgraph.models.errors import ModelError
from thinkgraph.models.formats.values import spelling
from thinkgraph.models.model import Written

_KNOWN = {
    *("type", "properties", "required", "additionalProperties", "$defs", "definitions"),
    *("$schema", "$id", "$comment", "title", "description", "default", "examples", "strict"),
}
_KEY = re.compile(r"[\w$.\-]+")
EMPTY = '""'

Spell = Callable[[str], str]
"""Writes a text as a Lark expression."""


def properties_to_lark(
    schema: dict[str, Any], written: Written, spell: Spell, prefix: str
) -> tuple[str, list[str]]:
    """The Lark expression of an object's properties, and the rules that it needs.

    Properties come in the order of the schema; those that are not required may be left out. Line
    breaks in the text around a value may be left out too.

    Args:
        schema: the object's schema.
        written: how a property is written.
        spell: writes a text as Lark.
        prefix: prefix of the rules' names.

    Raises:
        ModelError: the schema has a part that can't be enforced in this syntax.
    """
    properties = schema.get("properties") or {}
    required = set(schema.get("required") or ())
    _check(schema, properties, required)
    write = _Writer(schema, written, spell)
    items = [
        write.item(key, value, f"{prefix}v{number}")
        for number, (key, value) in enumerate(properties.items())
    ]
    rules = write.rules
    needed = [key in required for key in properties]
    separator = spell(written.separator) if written.separator else ""
    for at, item in enumerate(items):
        first, rest = (
            ("", "") if at == len(items) - 1 else (f" {prefix}f{at + 1}", f" {prefix}r{at + 1}")
        )
        behind = f"{separator} {item}".strip()
        # Rule f is for the first property that is written, rule r for one after others.
        rules.append(
            f"{prefix}f{at}: {item}{rest}" + ("" if needed[at] else f" | {first or EMPTY}")
        )
        rules.append(f"{prefix}r{at}: {behind if needed[at] else f'({behind})?'}{rest}")
    return (f"{prefix}f0" if items else EMPTY), rules


def _check(schema: dict[str, Any], properties: dict[str, Any], required: set[str]) -> None:
    way_out = "where a model writes arguments in tags; bind the tools with constrained=False"
    if strange := sorted(schema.keys() - _KNOWN):
        raise ModelError(f"the JSON schema's {strange[0]} (at #) can't be enforced {way_out}")
    if unnamed := sorted(required - properties.keys()):
        raise ModelError(f"the JSON schema requires {unnamed[0]!r}, which is no property of it")
    if wrong := next((key for key in properties if not _KEY.fullmatch(key)), None):
        raise ModelError(f"a property named {wrong!r} can't be enforced {way_out}")


class _Writer:
    """Writes properties as expressions.

    Attributes:
        rules: the rules that the expressions need.
    """

    def __init__(self, root: dict[str, Any], written: Written, spell: Spell) -> None:
        self._root, self._written, self._spell = root, written, spell
        self.rules: list[str] = []

    def item(self, key: str, schema: Any, name: str) -> str:
        """One property, with the text around its value; ``name`` names a rule that it may need."""
        written, spell = self._written, self._spell
        spelled = "json" if written.text_begin is None else spelling(schema, self._root)
        if spelled == "json":
            value = schema_to_lark(_alone(schema, self._root))
            return f"{_loose(written.begin, key, spell)} {value} {_loose(written.end, key, spell)}"
        begin = _loose(written.text_begin or "", key, spell)
        end = written.text_end.replace("KEY", key)
        marker = end.strip()
        if spelled == "text":
            after = _loose(end[end.index(marker) + len(marker) :], key, spell)
            return f"{begin} {self._text(name, marker)} {after}"
        texts = " | ".join(json.dumps(text) for text in spelled if marker not in text)
        return f"{begin} ({texts or EMPTY}) {_loose(end, key, spell)}"

    def _text(self, name: str, marker: str) -> str:
        """Any text up to and including a marker."""
        spelled = self._spell(marker)
        if spelled == json.dumps(marker):
            self.rules.append(f"{name}[suffix={spelled}]: /(?s:.*)/")
            return name
        self.rules.append(f"{name}: /(?s:.*)/")  # no text contains a control token
        return f"{name} {spelled}"


def _alone(schema: Any, root: dict[str, Any]) -> dict[str, Any]:
    """A property's schema as a separate schema, with the definitions that it may refer to."""
    shared: dict[str, Any] = {n: root[n] for n in ("$defs", "definitions") if n in root}
    return {**shared, **schema} if isinstance(schema, dict) else shared


def _loose(text: str, key: str, spell: Spell) -> str:
    parts = text.replace("KEY", key).split("\n")
    return ' "\\n"? '.join(spell(part) if part else EMPTY for part in parts)


def loose(text: str, spell: Spell) -> str:
    """A text in Lark in which line breaks are optional."""
    return _loose(text, "KEY", spell)
