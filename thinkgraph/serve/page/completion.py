"""Autocompletion of specs in an editor: the words that fit at the cursor.

They come from the language's JSON Schema and, for names, from the text itself. The text need not be
a valid spec, nor valid YAML: the context is found by keys and indentation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

from thinkgraph.graphs.language.json_schema import Schema, schema
from thinkgraph.graphs.language.spec import END, START

_KEY = re.compile(r"""^(\s*)(?:- )?["']?([A-Za-z][\w-]*)["']?\s*:(?:\s|$)""")
_FLOW_KEY = re.compile(r"([A-Za-z][\w-]*)\s*:")
_WORD = re.compile(r"[$\w-]*\Z")
_KIND = re.compile(r"\b(kind|use)\s*:\s*([\w./-]+)")


class Option(NamedTuple):
    """One suggested word."""

    label: str
    type: str
    """``property``, ``enum``, ``variable`` or ``class``: the editor's icon."""
    detail: str = ""
    apply: str = ""
    """The inserted text, if it differs from the label."""


class Place(NamedTuple):
    """The context of the cursor."""

    path: tuple[str, ...]
    """The keys above the cursor; for a value, including its own key."""
    is_value: bool
    around: str
    """The text of the mapping around the cursor."""


def complete(text: str, position: int) -> tuple[int, list[Option]]:
    """Suggest words for a position in a text.

    Args:
        text: a spec, possibly unfinished.
        position: an index into the text, in characters.

    Returns:
        The start of the word to replace, and the suggestions.
    """
    before = text[:position]
    match = _WORD.search(before)
    word = match.group() if match else ""
    start = position - len(word)
    place = _place(text, start)
    return start, list(dict.fromkeys(_options(text, place, before[:start], word)))


def _options(text: str, place: Place, before: str, word: str) -> Iterator[Option]:
    if place.path[:1] == ("edges",) and not _is_setting(before):
        yield from (Option(name, "class", "node") for name in (START, *_names(text, "nodes"), END))
        return
    if word.startswith("$"):
        yield from (Option(f"${name}", "variable", "param") for name in _names(text, "params"))
        return
    if place.path[-1:] == ("fallback",) and place.is_value:
        yield from (Option(name, "class", "node") for name in _names(text, "nodes"))
        return
    for found in _walk(schema_(), place.path, place.around):
        if place.is_value:
            yield from _values(found)
        else:
            yield from _keys(found, place.around)
    if place.is_value and place.path[:1] == ("nodes",) and len(place.path) > 2:
        yield from (Option(f"${name}", "variable", "param") for name in _names(text, "params"))


@cache
def schema_() -> Schema:
    """The language's JSON Schema, cached."""
    return schema()


def _is_setting(before: str) -> bool:
    """Whether the cursor is in an edge's settings (when, at_most, each), not in its chain."""
    line = before.rpartition("\n")[2]
    return "{" in line or bool(re.match(r"\s+[a-z_]*$", line) and "-" not in line)


def _place(text: str, position: int) -> Place:
    """The context of a position, by indentation, or by braces on its line."""
    lines = text[:position].split("\n")
    current = lines[-1]
    brace = _open_brace(current)
    head = current if brace is None else current[:brace]
    path = _above(lines[:-1], _indent(head))
    if brace is not None:
        return _in_braces(path, head, current[brace + 1 :], text[position:].partition("\n")[0])
    own = _KEY.match(f"{current} ")
    around = _siblings(text, len(lines) - 1, _indent(current))
    return Place((*path, own.group(2)), True, around) if own else Place(path, False, around)


def _in_braces(path: tuple[str, ...], head: str, inner: str, rest: str) -> Place:
    own = _KEY.match(f"{head} ")
    path = (*path, own.group(2)) if own else path
    last = re.split(r"[,{\[]", inner)[-1]
    key = _FLOW_KEY.search(last)
    around = inner + rest.partition("}")[0]
    return Place((*path, key.group(1)), True, around) if key else Place(path, False, around)


def _open_brace(line: str) -> int | None:
    """The index of the innermost brace that is open at the end of a line; None if there is none."""
    opened: list[int] = []
    for i, char in enumerate(line):
        if char == "{":
            opened.append(i)
        elif char == "}" and opened:
            opened.pop()
    return opened[-1] if opened else None


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _above(lines: list[str], indent: int) -> tuple[str, ...]:
    path: list[str] = []
    for line in reversed(lines):
        found = _KEY.match(line)
        if found and len(found.group(1)) < indent:
            indent = len(found.group(1))
            path.insert(0, found.group(2))
    return tuple(path)


def _siblings(text: str, line: int, indent: int) -> str:
    """The lines of the block that contains a line."""
    lines = text.split("\n")

    def belongs(other: str) -> bool:
        return not other.strip() or _indent(other) >= indent

    first = last = line
    while indent and first > 0 and belongs(lines[first - 1]):
        first -= 1
    while indent and last + 1 < len(lines) and belongs(lines[last + 1]):
        last += 1
    return "\n".join(lines[first : last + 1]) if indent else text


def _names(text: str, section: str) -> list[str]:
    """The names that a section of the text declares."""
    names: list[str] = []
    inside = False
    indent: int | None = None
    for line in text.split("\n"):
        found = _KEY.match(line)
        if not found:
            continue
        depth = len(found.group(1))
        if depth == 0:
            inside, indent = found.group(2) == section, None
        elif inside:
            indent = depth if indent is None else indent
            if depth == indent:
                names.append(found.group(2))
    return names


def _walk(node: Schema, path: tuple[str, ...], around: str) -> list[Schema]:
    """The schemas of the values at a path; for a node, those of its kind."""
    found = _alternatives(node)
    for step, key in enumerate(path):
        if path[0] == "edges":
            return _alternatives(schema_()["$defs"]["Edge"]) if step == 0 else []
        below = [sub for each in found for sub in _below(each, key)]
        is_node = path[0] == "nodes" and step == 1
        found = _of_kind(below, around) if is_node else below
    return found


def _below(node: Schema, key: str) -> Iterator[Schema]:
    known = node.get("properties", {})
    if key in known:
        yield from _alternatives(known[key])
    elif key not in known:
        for more in (node.get("additionalProperties"), *node.get("patternProperties", {}).values()):
            if isinstance(more, dict):
                yield from _alternatives(more)


def _alternatives(node: Schema) -> list[Schema]:
    if "$ref" in node:
        return _alternatives(schema_()["$defs"][node["$ref"].rpartition("/")[2]])
    if "anyOf" in node:
        return [one for each in node["anyOf"] for one in _alternatives(each)]
    return [node]


def _of_kind(nodes: list[Schema], around: str) -> list[Schema]:
    stated = _KIND.search(around)
    if not stated:
        return nodes
    title = "use" if stated.group(1) == "use" else stated.group(2)
    return [node for node in nodes if node.get("title") == title] or nodes


def _keys(node: Schema, around: str) -> Iterator[Option]:
    present = set(_FLOW_KEY.findall(around))
    for name, about in node.get("properties", {}).items():
        if name not in present:
            yield Option(name, "property", _about(about), f"{name}: ")


def _values(node: Schema) -> Iterator[Option]:
    if "const" in node:
        yield Option(str(node["const"]), "enum", _about(node))
    for value in node.get("enum", ()):
        yield Option(str(value), "enum", _about(node))
    if node.get("type") == "boolean":
        yield from (Option(word, "enum") for word in ("true", "false"))


def _about(node: dict[str, Any]) -> str:
    return str(node.get("description", ""))
