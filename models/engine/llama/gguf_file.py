"""The GGUF header, parsed and validated before native code reads the file.

The format is described at https://github.com/ggml-org/ggml/blob/master/docs/gguf.md.
"""

from __future__ import annotations

import math
import mmap
import os
import re
import struct
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

from thinkgraph.models.errors import ModelError

_SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q"}
_SCALARS[12] = "d"
_STRING, _ARRAY = 8, 9
_MAX_ITEMS = 1 << 20  # maximum keys or tensors; real files have thousands
_MAX_NESTING = 4

# Block length in elements and bytes of each ggml type; a tensor of an unknown type is taken to end
# where the next one begins.
_BLOCKS = {
    0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34),
    9: (32, 40), 10: (256, 84), 11: (256, 110), 12: (256, 144), 13: (256, 176), 14: (256, 210),
    15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 19: (256, 50), 20: (32, 18),
    21: (256, 110), 22: (256, 82), 23: (256, 136), 24: (1, 1), 25: (1, 2), 26: (1, 4),
    27: (1, 8), 28: (1, 8), 29: (256, 56), 30: (1, 2), 34: (256, 54), 35: (256, 66), 39: (32, 17),
    40: (64, 36), 41: (128, 18), 42: (64, 18),
}  # fmt: skip

# Architectures of encoders, by llama.cpp's names.
_EMBEDDING = frozenset(
    {
        "bert", "eurobert", "gemma-embedding", "jina-bert-v2", "jina-bert-v3", "llama-embed",
        "modern-bert", "neo-bert", "nomic-bert", "nomic-bert-moe", "t5encoder",
    }
)  # fmt: skip

Value = int | float | str | bool | list[int] | None


class GgufHeader(NamedTuple):
    """The header of a GGUF file."""

    path: Path
    version: int
    metadata: dict[str, Value]
    """Scalars, texts and short arrays of integers; None for any other array."""
    tensors: int
    size: int
    """Bytes of the file; of a split model, of all its files."""
    weights: Mapping[str, int]
    """Bytes of each tensor; for an unknown type, the distance to the next tensor."""

    @property
    def architecture(self) -> str:
        """The model's architecture, as llama.cpp names it."""
        return str(self.metadata.get("general.architecture") or "")

    def about(self, key: str) -> Value:
        """The value of one of the architecture's own keys, such as ``context_length``."""
        return self.metadata.get(f"{self.architecture}.{key}")

    @property
    def only_embeds(self) -> bool:
        """Whether the model computes embeddings and can't generate text, like BERT."""
        return self.architecture in _EMBEDDING or self.about("attention.causal") is False


class _Corrupt(Exception):
    """The header contradicts itself or the file."""


def check_gguf(path: str | os.PathLike[str]) -> GgufHeader:
    """Read a GGUF header, and check that the file contains all that it declares.

    Loads no tensor and trusts no length in the file.

    Raises:
        ModelError: the file doesn't exist, or is not a complete GGUF file of version 2 or 3.
    """
    file = Path(path)
    try:
        if file.is_dir():
            raise ModelError(f"{file} is a directory; a model is a .gguf file in it")
        with file.open("rb") as handle:
            if handle.read(4) != b"GGUF":
                raise ModelError(f"{file} is not a GGUF file: it doesn't begin with GGUF")
            with mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Reader(data, file).header()
    except FileNotFoundError:
        raise ModelError(f"there is no file {file}") from None
    except OSError as error:
        raise ModelError(f"{file} can't be read: {error.strerror or error}") from error
    except (_Corrupt, struct.error) as error:
        reason = str(error) if isinstance(error, _Corrupt) else "it ends inside its header"
        raise ModelError(f"{file} is not a whole GGUF file: {reason}; download it again") from error


def check_model(path: str | os.PathLike[str]) -> GgufHeader:
    """Read the header of a model in one file, or split into several of which ``path`` is the first.

    Raises:
        ModelError: see :func:`check_gguf`; or a part is missing, or ``path`` is not the first.
    """
    header = check_gguf(path)
    count = header.metadata.get("split.count")
    if not isinstance(count, int) or count <= 1:
        return header
    name = header.path.name
    parts = split_names(name)
    if len(parts) != count:
        raise ModelError(
            f"{header.path} is one of {count} parts of a model, and must be named as llama.cpp "
            f"splits them: NAME-00001-of-{count:05}.gguf"
        )
    if name != parts[0]:
        raise ModelError(f"{header.path} is a later part of a model; open the first, {parts[0]}")
    others = [check_gguf(header.path.with_name(part)) for part in parts[1:]]
    weights = dict(header.weights)
    for other in others:
        weights |= other.weights
    return header._replace(
        tensors=header.tensors + sum(other.tensors for other in others),
        size=header.size + sum(other.size for other in others),
        weights=weights,
    )


def split_names(name: str) -> list[str]:
    """The names of all parts of a split model, given one of them; of a whole file, its own."""
    if not (found := re.fullmatch(r"(.*)-(\d{5})-of-(\d{5})(\.gguf)", name, re.I | re.S)):
        return [name]
    count = int(found[3])
    return [f"{found[1]}-{number:05}-of-{found[3]}{found[4]}" for number in range(1, count + 1)]


class _Reader:
    def __init__(self, data: mmap.mmap, path: Path) -> None:
        self.data, self.path, self.at = data, path, 4

    def header(self) -> GgufHeader:
        version = self._one("I")
        if version not in (2, 3):
            raise ModelError(
                f"{self.path} has GGUF version {version}; versions 2 and 3 can be read"
                + (", in little-endian order" if version >> 16 else "")
            )
        tensors, keys = self._one("Q"), self._one("Q")
        if max(tensors, keys) > _MAX_ITEMS:
            raise _Corrupt(f"it announces {tensors} tensors and {keys} keys")
        metadata = {self._text(): self._value(self._one("I")) for _ in range(keys)}
        infos = [self._tensor() for _ in range(tensors)]
        end = max((offset + (size or 0) for _, offset, size in infos), default=0)
        alignment = metadata.get("general.alignment") or 32
        if not isinstance(alignment, int) or alignment < 1 or alignment & (alignment - 1):
            raise _Corrupt(f"its alignment is {alignment!r}")
        start = -(-self.at // alignment) * alignment if tensors else self.at
        needed = start + end
        if needed > len(self.data):
            raise _Corrupt(f"it has {len(self.data)} bytes of {needed}")
        borders = sorted({offset for _, offset, _ in infos} | {len(self.data) - start})
        following = dict(pairwise(borders))
        weights = {
            name: following.get(offset, offset) - offset if size is None else size
            for name, offset, size in infos
        }
        return GgufHeader(self.path, version, metadata, tensors, len(self.data), weights)

    def _one(self, kind: str) -> int:
        value: int = struct.unpack_from("<" + kind, self.data, self.at)[0]
        self.at += struct.calcsize("<" + kind)
        return value

    def _skip(self, count: int) -> int:
        start = self.at
        if count > len(self.data) - start:
            raise _Corrupt("it ends inside its header")
        self.at += count
        return start

    def _text(self) -> str:
        start = self._skip(self._one("Q"))
        return self.data[start : self.at].decode("utf-8", "replace")

    def _value(self, kind: int, nesting: int = 0) -> Value:
        if kind == _STRING:
            return self._text()
        if kind == _ARRAY:
            return self._array(nesting)
        if kind not in _SCALARS:
            raise _Corrupt(f"a key has the unknown type {kind}")
        return self._one(_SCALARS[kind])

    def _array(self, nesting: int) -> Value:
        kind, count = self._one("I"), self._one("Q")
        if kind in _SCALARS:
            size = struct.calcsize("<" + _SCALARS[kind])
            start = self._skip(count * size)
            whole = count <= 1024 and kind not in (6, 12)
            return (
                list(struct.unpack_from(f"<{count}{_SCALARS[kind]}", self.data, start))
                if whole
                else None
            )
        if nesting >= _MAX_NESTING or count > len(self.data):
            raise _Corrupt("an array of its keys is too deep or too long")
        for _ in range(count):
            if kind == _STRING:
                self._skip(self._one("Q"))
            else:
                self._value(kind, nesting + 1)
        return None

    def _tensor(self) -> tuple[str, int, int | None]:
        """A tensor's name, the offset of its data, and its bytes; None for an unknown type."""
        name = self._text()
        dimensions = self._one("I")
        if dimensions > 4:
            raise _Corrupt(f"its tensor {name!r} has {dimensions} dimensions")
        shape = [self._one("Q") for _ in range(dimensions)]
        kind, offset = self._one("I"), self._one("Q")
        if kind not in _BLOCKS:
            return name, offset, None
        length, size = _BLOCKS[kind]
        if shape and shape[0] % length:
            raise _Corrupt(f"its tensor {name!r} has rows of {shape[0]} in blocks of {length}")
        return name, offset, math.prod(shape) // length * size
