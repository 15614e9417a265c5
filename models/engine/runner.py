"""The model runner: one batch through llama_decode, giving rows of logits."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np

from thinkgraph.models.engine.llama.library import llama
from thinkgraph.models.engine.sampling.distribution import Logits
from thinkgraph.models.engine.scheduler import Chunk

NO_ROOM = 1  # llama_decode's code for a full KV cache


@dataclass(slots=True, frozen=True)
class Row:
    """A row of logits: what follows the token at ``position`` of a chunk's sequences."""

    chunk: Chunk
    position: int
    index: int
    """The token's index in the batch."""


class DecodeError(Exception):
    """llama.cpp could not compute a batch.

    Attributes:
        code: what llama_decode returned; 1 means that the KV cache has no room.
    """

    def __init__(self, code: int) -> None:
        self.code = code
        super().__init__(f"llama_decode returned {code}")


class Runner:
    """One context and the arrays of its batch, which are allocated once.

    Args:
        context: the llama_context.
        batch: maximum tokens of a batch.
        vocabulary: size of the vocabulary, the width of a row.
    """

    def __init__(self, context: Any, batch: int, vocabulary: int) -> None:
        self.context, self._width = context, vocabulary
        self._tokens = np.zeros(batch, np.int32)
        self._positions = np.zeros(batch, np.int32)
        self._counts = np.ones(batch, np.int32)
        self._sequences = np.zeros(batch, np.int32)
        self._outputs = np.zeros(batch, np.int8)
        # The array type is created once: ctypes caches every array type.
        self._room: Any = ctypes.c_float * (batch * vocabulary)
        self.no_logits = self._logits = np.empty((0, vocabulary), np.float32)
        self._address = 0  # of the logits, which llama.cpp moves only when they grow
        ids = (ctypes.POINTER(llama.llama_seq_id) * batch)()
        base, width = self._sequences.ctypes.data, self._sequences.itemsize
        for i in range(batch):
            ids[i] = ctypes.cast(base + i * width, ctypes.POINTER(llama.llama_seq_id))
        self._ids = ids
        self._batch = llama.llama_batch(
            0,
            _pointer(self._tokens, llama.llama_token),
            None,
            _pointer(self._positions, llama.llama_pos),
            _pointer(self._counts, ctypes.c_int32),
            ids,
            _pointer(self._outputs, ctypes.c_int8),
        )

    def run(self, chunks: list[Chunk]) -> tuple[list[Row], Logits]:
        """Compute the chunks, and return the requested rows and their logits (rows, vocabulary).

        The logits are llama.cpp's own memory, valid until the next run.

        Raises:
            DecodeError: the batch was not computed, or only in part.
        """
        rows = self._fill(chunks)
        if code := llama.llama_decode(self.context, self._batch):
            raise DecodeError(code)
        if not rows:
            llama.llama_synchronize(self.context)
            return rows, self.no_logits
        address = ctypes.addressof(llama.llama_get_logits(self.context).contents)
        if address != self._address:
            room = np.frombuffer(self._room.from_address(address), np.float32)
            self._address, self._logits = address, room.reshape(-1, self._width)
        return rows, self._logits[: len(rows)]

    def _fill(self, chunks: list[Chunk]) -> list[Row]:
        tokens: list[int] = []
        positions: list[int] = []
        sequences: list[int] = []
        rows: list[Row] = []
        for chunk in chunks:
            sequence, count, start = chunk.sequences[0], chunk.count, chunk.lease.length
            for position in range(max(start, sequence.next_output), start + count):
                rows.append(Row(chunk, position, len(tokens) + position - start))
            tokens += sequence.tokens[start : start + count]
            positions += range(start, start + count)
            sequences += [chunk.lease.sequence] * count
        size = self._batch.n_tokens = len(tokens)
        self._tokens[:size] = tokens
        self._positions[:size] = positions
        self._sequences[:size] = sequences
        self._outputs[:size] = 0
        self._outputs[[row.index for row in rows]] = 1
        return rows


def _pointer(array: np.ndarray[Any, Any], kind: Any) -> Any:
    return array.ctypes.data_as(ctypes.POINTER(kind))
