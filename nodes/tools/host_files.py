"""The files with which a command line binds tools and verifiers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.nodes import python_file


@dataclass(frozen=True)
class HostFiles:
    """The files of the options ``--tools``, ``--verifiers`` and ``--mcp``.

    Attributes:
        tools: a Python file whose functions and tools are bound by their names.
        verifiers: a Python file whose functions are bound by their names.
        mcp: an ``mcpServers`` file whose servers' tools are bound; ``tools`` takes precedence.
    """

    tools: Path | None = None
    verifiers: Path | None = None
    mcp: Path | None = None

    @contextmanager
    def open(self) -> Iterator[dict[str, Any]]:
        """Start the MCP servers; yield the tools and verifiers as arguments of a run.

        The servers are closed at the end of the block.

        Raises:
            ThinkgraphError: a file can't be read, or a server can't be started or reached.
        """
        own = python_file.tools("--tools", self.tools) if self.tools else {}
        verifiers = python_file.functions("--verifiers", self.verifiers) if self.verifiers else None
        if self.mcp is None:
            yield {"tools": own or None, "verifiers": verifiers}
            return
        from thinkgraph.nodes.tools.mcp import mcp_tools  # noqa: PLC0415 (needs LangChain)

        with mcp_tools(self.mcp) as tools:
            yield {"tools": {**tools, **own} or None, "verifiers": verifiers}

    @property
    def texts(self) -> tuple[str, ...]:
        """The contents of the files; the answers of a run depend on them.

        Raises:
            ThinkgraphError: a file can't be read.
        """
        return tuple(_text(each) for each in (self.tools, self.verifiers, self.mcp) if each)


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ThinkgraphError(f"{file} can't be read: {error}") from None
