"""A graph as a Mermaid flowchart."""

from __future__ import annotations

from collections.abc import Mapping

from thinkgraph.graphs.language.spec import Scalar, Spec
from thinkgraph.graphs.pictures.drawing.diagram import NO_BREAK, Arrow, Box, diagram

_ENTITIES = str.maketrans(
    {c: f"#{ord(c)};" for c in '"#&<>`[]{}()|;\\'} | {"\n": " ", NO_BREAK: " "}
)
_STYLES = {
    "end": "fill:#eef0f3,stroke:#8a93a0,color:#1d2733",
    "write": "fill:#e6effc,stroke:#3b6fc4,color:#1d2733",
    "judge": "fill:#fcf0dc,stroke:#b7791f,color:#1d2733",
    "choose": "fill:#e0f4e9,stroke:#2f855a,color:#1d2733",
    "use": "fill:#efe8fb,stroke:#7a55c0,color:#1d2733",
    "other": "fill:#eef0f3,stroke:#5f6b7a,color:#1d2733",
}


def mermaid(spec: Spec, params: Mapping[str, Scalar] | None = None) -> str:
    """The text of a Mermaid flowchart.

    Args:
        spec: the graph.
        params: values to show in place of the references to params.
    """
    drawn = diagram(spec, params)
    # Mermaid reserves words ("end", "graph") that can't be identifiers or classes.
    ids = {box.name: f"n{i}" for i, box in enumerate(drawn.boxes)}
    lines = [f"    {ids[box.name]}{_shape(box)}:::{_class(box)}" for box in drawn.boxes]
    lines += [f"    {_line(arrow, ids)}" for arrow in drawn.arrows]
    used = {_class(box): _STYLES[box.family] for box in drawn.boxes}
    lines += [f"    classDef {name} {style}" for name, style in used.items()]
    return "\n".join(["flowchart TD", *lines, ""])


def _class(box: Box) -> str:
    return f"is-{box.family}"


def _shape(box: Box) -> str:
    if box.family == "end":
        return f'(["{box.name}"])'
    words = [f"<b>{_text(box.name)}</b>", _text(box.kind), _text(box.settings)]
    text = "<br/>".join(filter(None, words))
    return f'[["{text}"]]' if box.family == "use" else f'["{text}"]'


def _line(arrow: Arrow, ids: Mapping[str, str]) -> str:
    words = "<br/>".join(_text(part) for part in arrow.label or () if part)
    label = f'|"{words}"|' if words else ""
    return f"{ids[arrow.source]} -->{label} {ids[arrow.target]}"


def _text(text: str) -> str:
    return text.translate(_ENTITIES)
