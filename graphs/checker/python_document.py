"""A graph composed in Python as a document: its data, and the source line of each part."""

from __future__ import annotations

import linecache
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thinkgraph.graphs.language.document import DataPath, Document
from thinkgraph.graphs.language.problem import Location


class PythonDocument(Document):
    """The spec of a graph composed in Python, with the source lines that made its parts.

    Args:
        data: the spec as plain data.
        locations: the file and line of Python that made a part, by its path in the spec, such as
            ``("nodes", "draft")``, ``("edges", 0)`` or ``()`` for the whole.
        folder: the folder of the files that it uses.
    """

    def __init__(
        self,
        data: Any,
        locations: Mapping[DataPath, tuple[str, int]] | None = None,
        folder: Path | None = None,
    ) -> None:
        name = data.get("name") if isinstance(data, dict) else None
        super().__init__(file=f"<graph {name}>", folder=folder, data=data)
        self._locations = locations or {}

    def locate(self, path: DataPath, *, key: bool = False) -> Location:
        """The line that made a part, or else the line that made the part around it."""
        while path and path not in self._locations:
            path = path[:-1]
        if path not in self._locations:
            return Location(self.file)
        file, line = self._locations[path]
        source = linecache.getline(file, line).rstrip()
        first = len(source) - len(source.lstrip()) + 1
        return Location(file, line, first, line, len(source) + 1, source)

    def locate_within(
        self, path: DataPath, line: int, column: int, length: int = 1, *, key: bool = False
    ) -> Location:
        """The line that made a part."""
        return self.locate(path)
