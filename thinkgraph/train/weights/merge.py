"""An adapter merged into its model: a whole GGUF, every weight in the type that it had."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from thinkgraph.models.engine.llama.gguf_file import check_model
from thinkgraph.models.engine.llama.quantize import quantized
from thinkgraph.train.errors import TrainError
from thinkgraph.train.outputs import refuse_same
from thinkgraph.train.weights.adapter import heads_of, permuted, read_gguf, tensor_names


def merge(adapter: Path, model: Path, out: Path) -> None:
    """Write a model with an adapter added to its weights.

    The adapted weights are dequantized, added to, and quantized again to their own types; the
    others are copied. What quantizing costs is paid a second time, so the merged model is near the
    adapted one and not equal to it.

    Args:
        adapter: a LoRA of the model, as a GGUF.
        model: the GGUF that it is for.
        out: written whole or not at all.

    Raises:
        ModelError: a file is no whole GGUF.
        TrainError: the adapter is of another model, or the file can't be written.
    """
    refuse_same(out, model, adapter)
    deltas = _deltas(adapter, model)
    part = out.with_name(out.name + ".part")
    try:
        _write(part, model, deltas)
        os.replace(part, out)
    except NotImplementedError as error:
        raise TrainError(f"{model.name} has weights that can't be read back: {error}") from error
    except OSError as error:
        raise TrainError(f"{out} can't be written: {error.strerror or error}") from error
    finally:
        part.unlink(missing_ok=True)


def _deltas(adapter: Path, model: Path) -> dict[str, Any]:
    """What is added to each weight, by its GGUF name: (a, scaled b), in llama.cpp's order."""
    header, names, found = check_model(model), tensor_names(model), read_gguf(adapter, model)
    deltas = {}
    for name, (a, b) in found.pairs.items():
        scaled = b * found.scales[name]
        if heads := heads_of(header, name):
            scaled = permuted(scaled, heads)
        deltas[names[name]] = (a, scaled)
    return deltas


def _write(out: Path, model: Path, deltas: dict[str, Any]) -> None:
    """Copy a GGUF, with something added to some of its weights."""
    import gguf

    reader = gguf.GGUFReader(model)
    writer = gguf.GGUFWriter(out, check_model(model).architecture)
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == gguf.Keys.General.ARCHITECTURE:
            continue  # the writer writes them itself
        kind, *of = field.types
        writer.add_key_value(field.name, field.contents(), kind, sub_type=of[-1] if of else None)
    for tensor in reader.tensors:
        if tensor.name in deltas:
            a, b = deltas[tensor.name]
            kind, row_bytes = tensor.tensor_type, tensor.data.nbytes // len(tensor.data)
            whole = gguf.dequantize(tensor.data, kind) + b @ a
            made = quantized(whole, kind, row_bytes).view(tensor.data.dtype)
            writer.add_tensor(tensor.name, made, raw_dtype=kind)
        else:
            writer.add_tensor(tensor.name, tensor.data, raw_dtype=tensor.tensor_type)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
