"""A graph as a PNG image, rendered from the SVG by resvg (package resvg-py)."""

from __future__ import annotations

from collections.abc import Mapping

from thinkgraph.graphs.language.spec import Scalar, Spec
from thinkgraph.graphs.pictures.drawing.svg import svg
from thinkgraph.models.errors import ThinkgraphError

INSTALL = 'pip install "thinkgraph[png]"'
_BLANK = '<svg xmlns="http://www.w3.org/2000/svg" width="20" height="20">{}</svg>'
_LETTER = '<text x="2" y="16" font-family="sans-serif">M</text>'


class DrawingError(ThinkgraphError):
    """A picture can't be made on this machine."""


def png(
    spec: Spec,
    counts: Mapping[str, int] | None = None,
    *,
    params: Mapping[str, Scalar] | None = None,
    zoom: float = 2.0,
) -> bytes:
    """The bytes of a PNG image, dark on white.

    Args:
        spec: the graph.
        counts: as for :func:`~thinkgraph.graphs.pictures.drawing.svg.svg`.
        params: values to show in place of the references to params.
        zoom: pixels of the image for each pixel of the SVG.

    Raises:
        DrawingError: resvg-py isn't installed, or the machine has no font.
    """
    try:
        from resvg_py import svg_to_bytes  # noqa: PLC0415 (optional)
    except ImportError:
        raise DrawingError(f"a PNG needs the package resvg-py; run: {INSTALL}") from None
    if svg_to_bytes(_BLANK.format(_LETTER)) == svg_to_bytes(_BLANK.format("")):
        raise DrawingError(
            "this machine has no font to draw with; install one, such as the package "
            "fonts-dejavu-core on Debian, or draw an SVG"
        )
    image = svg(spec, counts, params=params, theme="light")
    return bytes(svg_to_bytes(image, background="#ffffff", zoom=zoom))
