"""The KV cache of a llama.cpp context, behind the interface that the pool uses."""

from __future__ import annotations

from typing import Any

from thinkgraph.models.engine.llama.library import llama


class LlamaMemory:
    """The KV cells of one context."""

    def __init__(self, context: Any) -> None:
        self._pointer = llama.llama_get_memory(context)

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        """Let ``target`` see the cells of ``source`` at positions [start, end)."""
        llama.llama_memory_seq_cp(self._pointer, source, target, start, end)

    def remove(self, sequence: int, start: int, end: int) -> None:
        """Remove ``sequence`` from its cells at [start, end)."""
        llama.llama_memory_seq_rm(self._pointer, sequence, start, end)

    def first(self, sequence: int) -> int:
        """The lowest position of the cells of ``sequence``, or -1."""
        return int(llama.llama_memory_seq_pos_min(self._pointer, sequence))

    def clear(self) -> None:
        """Free every cell, and fill all of them with zeros."""
        llama.llama_memory_clear(self._pointer, True)
