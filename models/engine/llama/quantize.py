"""Quantizing a GGUF with llama.cpp."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from thinkgraph.models.engine.llama.library import because, listening, llama, start
from thinkgraph.models.engine.machine import available_threads
from thinkgraph.models.errors import ModelError


def quantize(path: Path, out: Path, kind: int) -> None:
    """Write a copy of a model in another quantization, whole or not at all.

    Tensors that have the type already are copied as they are.

    Args:
        path: the model.
        out: the copy.
        kind: llama.cpp's number of the mixture of types (`LLAMA_FTYPE_MOSTLY_…`).

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
