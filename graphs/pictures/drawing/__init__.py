"""Drawings of a graph: in a terminal, as Mermaid, SVG and PNG. None needs a network."""

from thinkgraph.graphs.pictures.drawing.mermaid import mermaid
from thinkgraph.graphs.pictures.drawing.png import DrawingError, png
from thinkgraph.graphs.pictures.drawing.svg import svg
from thinkgraph.graphs.pictures.drawing.terminal import terminal

__all__ = ["DrawingError", "mermaid", "png", "svg", "terminal"]
