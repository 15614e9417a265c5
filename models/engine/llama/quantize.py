"""Quantizing a GGUF, or one matrix, with llama.cpp."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thinkgraph.models.engine.llama.library import because, listening, llama, start
from thinkgraph.models.engine.machine import available_threads
from thinkgraph.models.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def quantize(path: Path, out: Path, kind: int) -> None:
    """Write a copy of a model in another quantization, whole or not at all.

    Tensors that have the type already are copied as they are.

    Args:
        path: the model.
        out: the copy.
        kind: llama.cpp's number of the file type, a mixture of types (`LLAMA_FTYPE_MOSTLY_…`).

    Raises:
        ModelError: llama.cpp can't quantize it, or the copy can't be written.
    """
    start()
    params = llama.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize, params.nthread = kind, True, available_threads()
    part = out.with_name(out.name + ".part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        with listening() as lines:
            failed = llama.llama_model_quantize(
                os.fsencode(path), os.fsencode(part), ctypes.byref(params)
            )
        if failed:
            raise ModelError(f"llama.cpp can't quantize {path} to {out}{because(lines)}")
        part.replace(out)
    except OSError as error:
        raise ModelError(f"the copy {out} can't be written: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def quantized(values: NDArray[np.float32], kind: int, row_bytes: int) -> NDArray[np.uint8]:
    """Convert a matrix to another ggml type.

    Args:
        values: (rows, columns); a type of blocks requires whole blocks in each row.
        kind: ggml's number of the type (`GGML_TYPE_…`), float types included. A type that needs
            an importance matrix gets a uniform one.
        row_bytes: bytes of a row in that type.

    Returns:
        The bytes of all rows, of shape (rows, row_bytes).

    Raises:
        ModelError: ggml wrote an unexpected number of bytes.
    """
    import numpy as np  # noqa: PLC0415 - the engine runs without it

    start()
    rows, columns = values.shape
    source = np.ascontiguousarray(values, np.float32)
    made = np.empty((rows, row_bytes), np.uint8)
    weights = np.ones(columns, np.float32)
    written = _quantize_chunk()(
        kind, source.ctypes.data, made.ctypes.data, 0, rows, columns, weights.ctypes.data
    )
    if written != made.nbytes:
        raise ModelError(f"ggml wrote {written} bytes in place of {made.nbytes}")
    return made


def _quantize_chunk() -> Any:
    from llama_cpp._ggml import libggml  # noqa: PLC0415 - a part of llama-cpp-python without types

    call = libggml.ggml_quantize_chunk
    pointer, number = ctypes.c_void_p, ctypes.c_int64
    call.restype = ctypes.c_size_t
    call.argtypes = [ctypes.c_int, pointer, pointer, number, number, number, pointer]
    return call
