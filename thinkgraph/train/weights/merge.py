"""Merging of an adapter into its model: a complete GGUF, with the original weight types."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from thinkgraph.models.engine.llama.gguf_file import check_gguf, check_model
from thinkgraph.models.engine.llama.quantize import quantized
from thinkgraph.models.errors import ModelError
from thinkgraph.train.errors import TrainError
from thinkgraph.train.outputs import refuse_same, written
from thinkgraph.train.weights.adapter import heads_of, permuted, read_gguf, tensor_names


def merge(adapter: Path, model: Path, out: Path) -> None:
    """Write a model with an adapter added to its weights.

    The adapted weights are dequantized, changed, and quantized again to their own types; the
    others are copied. Quantizing again loses precision, so the merged model is close to the
    adapted one but not equal.

    Args:
        adapter: a LoRA of the model, as a GGUF.
        model: the model's GGUF.
        out: the output file, written atomically.

    Raises:
        ModelError: a file is no complete GGUF.
        TrainError: the adapter is for another model, or the file can't be written.
    """
    refuse_same(out, model, adapter)
    deltas = _deltas(adapter, model)
    try:
        with written(out) as part:
            _write(part, model, deltas)
            check_gguf(part)
    except ModelError as error:
        raise TrainError(
            f"{out} was not written, as the merged model is broken: {error}"
        ) from error
    except NotImplementedError as error:
        raise TrainError(f"{model.name} has weights that can't be read back: {error}") from error


def _deltas(adapter: Path, model: Path) -> dict[str, Any]:
    """The change of each weight by its GGUF name: (a, scaled b), in llama.cpp's row order."""
    header, names, found = check_model(model), tensor_names(model), read_gguf(adapter, model)
    deltas = {}
    for name, (a, b) in found.pairs.items():
        scaled = b * found.scales[name]
        if heads := heads_of(header, name):
            scaled = permuted(scaled, heads)
        deltas[names[name]] = (a, scaled)
    return deltas


def _write(out: Path, model: Path, deltas: dict[str, Any]) -> None:
    """Copy a GGUF, adding the changes to its weights."""
    import gguf

    reader = gguf.GGUFReader(model)
    writer = gguf.GGUFWriter(out, check_model(model).architecture)
    for field in reader.fields.values():
        if field.name.startswith("GGUF.") or field.name == gguf.Keys.General.ARCHITECTURE:
            continue  # the writer adds these itself
        if field.name == gguf.Keys.General.ALIGNMENT:
            writer.add_custom_alignment(field.contents())  # it also pads the tensors
            continue
        kind, *of = field.types
        if kind == gguf.GGUFValueType.ARRAY and not of:
            continue  # the writer refuses an empty array
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
