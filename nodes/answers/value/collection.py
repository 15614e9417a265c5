"""Several values in one answer: sets, tuples, intervals, unions, matrices, lists."""

import re
from collections.abc import Callable
from typing import Any, Literal

from thinkgraph.nodes.answers.value.brackets import encloses, split
from thinkgraph.nodes.answers.value.value import Collection, Named, Value, Words

Read = Callable[[str], Value]

_MATRIX = re.compile(r"\\begin\{([pbB]?matrix|smallmatrix|array)\}(.*)\\end\{\1\}", re.DOTALL)
_THOUSANDS = re.compile(r"(?<![\d.,])[1-9]\d{0,2}(?:,\d{3})+(?![\d,])")
_LIST_WORDS = re.compile(r"\s\\?&\s|\b(?:and|or)\b|(?<=[\d)])(?:and|or)(?=[\d(])")


def unordered(kind: Literal["set", "union"], members: list[Value]) -> Value:
    """A set or union of the members, with their left side if they have a single one."""
    names = {member.name for member in members if isinstance(member, Named)}
    if len(names) == 1:
        bare = [member.value if isinstance(member, Named) else member for member in members]
        return Named(names.pop(), _flat(kind, bare))  # type: ignore[arg-type]
    return _flat(kind, members)


def _flat(kind: Literal["set", "union"], members: list[Value]) -> Value:
    flat: dict[Value, None] = {}
    for member in members:
        same = isinstance(member, Collection) and member.kind == kind
        flat |= dict.fromkeys(member.members if same else [member])  # type: ignore[union-attr]
    return next(iter(flat)) if len(flat) == 1 else Collection(kind, tuple(sorted(flat, key=repr)))


def parts_of(text: str) -> list[str]:
    """Split at `;`, else at commas, `and` and `or`; without brackets `1,200` is one number.

    If there is a semicolon, a comma within a number is a decimal comma: `(0,5; 1,5)`.
    """
    if len(halves := split(text, ";")) > 1:
        text = re.sub(r"(?<=\d),(?=\d)", ".", text)
        return [part for half in split(text, ";") for part in _at_commas(half)] if halves else []
    return _at_commas(text)


def _at_commas(text: str) -> list[str]:
    if not re.search(r"[(\[{]", text):
        text = _THOUSANDS.sub(lambda match: match[0].replace(",", ""), text)
    parts = [part for comma in split(text, ",") for part in _LIST_WORDS.split(comma)]
    return [part.strip() for part in parts if part.strip()]


def matrix(text: str, read: Read) -> Value | None:
    r"""`\begin{pmatrix} 1 & 0 \\ 0 & 1 \end{pmatrix}`, as rows."""
    match = _MATRIX.fullmatch(text)
    if match is None:
        return None
    body = re.sub(r"^\s*\{[lcr|\s]*\}", "", match[2]) if match[1] == "array" else match[2]
    rows = [row for row in re.split(r"\\\\(?:\[[^\]]*\])?", body) if row.strip()]
    return Collection(
        "matrix",
        tuple(Collection("row", tuple(read(cell) for cell in row.split("&"))) for row in rows),
    )


def union(text: str, read: Read) -> Value | None:
    r"""`(1, 2) \cup (3, 4)`."""
    parts = split(text, r"\cup")
    return unordered("union", [read(part) for part in parts]) if len(parts) > 1 else None


def bracketed(text: str, read: Read) -> Value | None:
    r"""`\{1, 2\}` and `{1, 2}` are sets, `(1, 2]` an interval, `(1, 2)` that or a pair."""
    if text.startswith(r"\{") and text.endswith(r"\}") and encloses(text[1:-2] + "}"):
        return _flat("set", [read(part) for part in parts_of(text[2:-2])])
    if text[:1] == "{" and text[-1:] == "}" and encloses(text):
        return _flat("set", [read(part) for part in parts_of(text[1:-1])])
    if match := re.fullmatch(r"\](.*)\[|\](.*)\]|\[(.*)\[", text):  # ]1; 2[ as in France
        text = ("[" if match[3] is not None else "(") + text[1:-1]
        text += "]" if match[2] is not None else ")"
    if not (text[:1] in "([" and text[-1:] in ")]" and text and encloses(text)):
        return None
    inside = text[1:-1]
    if len(split(inside, ";")) > 1:
        inside = re.sub(r"(?<=\d),(?=\d)", ".", inside)
        parts = split(inside, ";")
    else:
        parts = split(inside, ",")
    kind: Any = text[0] + text[-1]
    if len(parts) > 1:
        members = tuple(read(part) for part in parts)
        return _rows(members) if kind == "[]" else Collection(kind, members)
    inner = read(parts[0])
    return inner if kind == "()" or isinstance(inner, Collection) else None


def _rows(members: tuple[Value, ...]) -> Collection:
    """A list; a matrix if its members are lists of one length, as in `[[1, 0], [0, 1]]`."""
    lists = [each for each in members if isinstance(each, Collection) and each.kind == "[]"]
    if len(lists) == len(members) and len({len(each.members) for each in lists}) == 1:
        return Collection("matrix", tuple(Collection("row", each.members) for each in lists))
    return Collection("[]", members)


def listed(text: str, read: Read) -> Value | None:
    """`1, 2`, `1 and 2`, `A or C`: a set, without brackets; a union of inequalities."""
    parts = parts_of(text)
    if len(parts) < 2:
        return None
    values = [read(part) for part in parts]
    prose = any(isinstance(value, Words) and " " in value.words for value in values)
    either = re.search(r"[<>]|\\[lgn]e\b", text) and re.search(r"\bor\b|\\vee", text)
    return None if prose else unordered("union" if either else "set", values)


def plus_minus(text: str, read: Read) -> Value | None:
    r"""`1 \pm \sqrt{2}`: the set of both."""
    if text.count(r"\pm") != 1:
        return None
    return unordered("set", [read(text.replace(r"\pm", sign)) for sign in "+-"])
