"""The diagram that every drawing shows: boxes for nodes, arrows for edges, and labels."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any, Literal, NamedTuple

from thinkgraph.graphs.language.spec import END, START, Edge, NodeSpec, Scalar, Spec, Use
from thinkgraph.models.model import Sampling
from thinkgraph.nodes.base.param import is_reference

Family = Literal["end", "write", "judge", "choose", "use", "other"]

_FAMILIES: dict[str, Family] = {
    **dict.fromkeys(("generate", "revise", "expand", "synthesize", "ask"), "write"),
    **dict.fromkeys(("critique", "score", "calculate"), "judge"),
    **dict.fromkeys(("select", "vote", "choose", "search"), "choose"),
}
"""Families of the built-in kinds; custom kinds are `other`."""
_UNSHOWN = {*Sampling.model_fields, "samples", "extract", "prefix"} - {"adapter"}
"""Settings that tune a node and don't change what the graph does."""
OTHERWISE = "otherwise"
NO_BREAK = "\N{NO-BREAK SPACE}"


class Box(NamedTuple):
    """A node, or one of the two ends."""

    name: str
    kind: str
    """The kind and its number of samples: ``generate × 16``; empty if equal to the name."""
    settings: str
    """The settings that show what the node does; no-break spaces within each."""
    family: Family


class Label(NamedTuple):
    """The words on an arrow."""

    when: str
    """The condition as it was written, if there is one."""
    bound: str
    """What it fans out over and its bound, or ``otherwise`` for an edge without a condition."""


class Arrow(NamedTuple):
    """One edge from one node to one other."""

    source: str
    target: str
    label: Label | None
    key: str
    """Its key in :attr:`thinkgraph.graphs.runtime.result.Result.counts`."""


class Diagram(NamedTuple):
    """All boxes, START first and END last, and all arrows, in the spec's order."""

    boxes: tuple[Box, ...]
    arrows: tuple[Arrow, ...]


def diagram(spec: Spec, params: Mapping[str, Scalar] | None = None) -> Diagram:
    """The boxes and arrows of a spec.

    Args:
        spec: the graph.
        params: values to show in place of the references to params.
    """
    known = params or {}
    nodes = (_box(name, node, known) for name, node in spec.nodes.items())
    boxes = (Box(START, "", "", "end"), *nodes, Box(END, "", "", "end"))
    names = {box.name for box in boxes}
    deciding = {
        source
        for edge in spec.edges
        if edge.is_conditional
        for sources, _ in edge.links
        for source in sources
    }
    arrows = dict.fromkeys(
        Arrow(source, target, _label(edge, source in deciding, known), _key(edge, source, target))
        for edge in spec.edges
        for sources, targets in edge.links
        for source in sources
        for target in targets
        if {source, target} <= names
    )
    return Diagram(boxes, tuple(arrows))


def _box(name: str, node: NodeSpec, params: Mapping[str, Scalar]) -> Box:
    use = node.used
    kind = _shown(node.kind or f"use {use.graph if use else ''}")
    samples = node.settings.get("samples")
    if samples is not None:
        kind += f" × {_value(samples, params)}"
    shown = {k: v for k, v in node.settings.items() if k not in _UNSHOWN}
    shown |= use.params if use else {}
    said = [f"{k}: {_value(v, params)}" for k, v in shown.items() if not isinstance(v, dict | list)]
    said += _names(use) if use else ()
    words = ", ".join(part.replace(" ", NO_BREAK) for part in said)
    family = "use" if use else _FAMILIES.get(node.kind or "", "other")
    return Box(name, "" if kind == name else kind, words, family)


def _names(use: Use) -> Iterator[str]:
    """The inputs and outputs of a used graph, in words."""
    yield from (f"{inner} = {_shown(outer)}" for inner, outer in use.inputs.items())
    yield from (f"{outer} ← {inner}" for outer, inner in (use.into or {}).items())


def _label(edge: Edge, decided: bool, params: Mapping[str, Scalar]) -> Label | None:
    if not edge.is_conditional:
        return Label("", OTHERWISE) if decided else None
    bounds = []
    if edge.each:
        what = "of the candidates" if edge.each == "candidates" else f"item of {edge.each}"
        bounds.append(f"for each {what}")
    if edge.repeat is not None:
        bounds.append(f"repeat {_value(edge.repeat, params)}")
    if edge.at_most is not None:
        bounds.append(f"at most {_value(edge.at_most, params)}")
    return Label(_shown(edge.when or ""), ", ".join(bounds))


def _key(edge: Edge, source: str, target: str) -> str:
    return f"{source} -> {target} {edge.when or ''}".strip()


def _value(value: Any, params: Mapping[str, Scalar]) -> str:
    if is_reference(value):
        value = params.get(value[1:], value)
    return str(value).lower() if isinstance(value, bool) else _shown(str(value))


def _shown(text: str) -> str:
    """A text from a spec on one line, without characters that control a terminal or break XML."""
    return "".join(
        c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in " ".join(text.split())
    )


def wrapped(text: str, width: int) -> list[str]:
    """The text in lines of at most ``width`` characters, unless a word is longer."""
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return [line.replace(NO_BREAK, " ") for line in lines]
