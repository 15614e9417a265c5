"""Pictures of a graph: in a terminal, as Mermaid, as SVG and PNG. None needs a network."""

from thinkgraph.graphs.drawing.mermaid import mermaid
from thinkgraph.graphs.drawing.png import DrawingError, png
from thinkgraph.graphs.drawing.svg import svg
from thinkgraph.graphs.drawing.terminal import terminal

__all__ = ["DrawingError", "mermaid", "png", "svg", "terminal"]
