"""Adapters of peft as GGUF files that llama.cpp loads, and back.

llama.cpp's form is told by its `convert_lora_to_gguf.py` and `src/llama-adapter.cpp`: for each
adapted weight a tensor `NAME.lora_a`, (rank, inputs), and `NAME.lora_b`, (outputs, rank), and in
the header `adapter.lora.alpha`; what is added to the weight is `alpha / rank * b @ a`.

A GGUF of the llama family has the rows of its query and key weights in another order than
transformers: of each head, transformers rotates row i with row i + half, llama.cpp row 2 i with
row 2 i + 1. What is done to a weight's rows is done to the rows of `lora_b`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from thinkgraph.models.engine.llama.gguf_file import GgufHeader, check_gguf, check_model
from thinkgraph.train.errors import TrainError
from thinkgraph.train.outputs import refuse_same, unwritten
from thinkgraph.train.weights.base import check_family

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

MODULES = (
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
)  # fmt: skip
"""The linear layers of a block, by transformers' names; the three families have the same."""
PERMUTED = {
    "self_attn.q_proj": "attention.head_count",
    "self_attn.k_proj": "attention.head_count_kv",
}
"""Whose rows the llama family has in another order, and the key that says how many heads."""
PREFIX = "base_model.model."
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


class Pair(NamedTuple):
    """What is added to one weight, unscaled: `b @ a`."""

    a: Matrix
    """(rank, inputs)"""
    b: Matrix
    """(outputs, rank)"""


@dataclass(frozen=True)
class Adapter:
    """An adapter in the order and by the names of transformers.

    Attributes:
        pairs: by module, such as `model.layers.0.self_attn.q_proj`.
        scales: what each pair is multiplied by, in the same order.
    """

    pairs: Mapping[str, Pair]
    scales: Mapping[str, float]


def to_gguf(folder: Path, model: Path, out: Path) -> None:
    """Write an adapter of peft as a GGUF for a model.

    Args:
        folder: where `adapter_config.json` and `adapter_model.safetensors` are.
        model: the GGUF that it is for.
        out: written whole or not at all.

    Raises:
        TrainError: it is no LoRA that llama.cpp can add, is one of another model, or the file
            can't be written.
    """
    write_gguf(read_peft(folder), model, out)


def from_gguf(file: Path, model: Path, folder: Path) -> None:
    """Write an adapter in GGUF form as one of peft.

    Raises:
        TrainError: it is no LoRA, is one of another model, or the folder can't be written.
    """
    write_peft(read_gguf(file, model), folder)


def read_peft(folder: Path) -> Adapter:
    """An adapter that peft has saved.

    Raises:
        TrainError: it can't be read, or is more than the product of two matrices.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        config = json.loads((folder / CONFIG).read_text("utf-8"))
        tensors = {name: each.float().numpy() for name, each in load_file(folder / WEIGHTS).items()}
    except (OSError, ValueError, SafetensorError) as error:
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:160]
        raise TrainError(f"{folder} is no adapter of peft that can be read: {reason}") from error
    _check_config(config, folder)
    pairs, scales = {}, {}
    for name, a in tensors.items():
        module, found, rest = name.removeprefix(PREFIX).partition(".lora_A.")
        b = tensors.get(f"{name.partition('.lora_A.')[0]}.lora_B.{rest}")
        if found and b is not None:
            pairs[module] = Pair(a, b)
            scales[module] = _scale(config, module, a.shape[0])
        elif ".lora_B." not in name:
            raise TrainError(
                f"{folder}: the tensor {name} can't be stored in a GGUF adapter; train only "
                "linear layers (targets: all-linear)"
            )
    if not pairs:
        raise TrainError(f"{folder} holds no LoRA matrices")
    return Adapter(pairs, scales)


def _check_config(config: Mapping[str, Any], folder: Path) -> None:
    if config.get("peft_type") != "LORA":
        raise TrainError(f"{folder} is a {config.get('peft_type')}; a GGUF adapter is a LoRA")
    for name in ("use_dora", "modules_to_save", "lora_bias", "fan_in_fan_out"):
        if config.get(name):
            raise TrainError(f"{folder} was trained with {name}, which a GGUF adapter can't hold")
    if config.get("bias", "none") != "none":
        raise TrainError(f"{folder} has trained biases, which a GGUF adapter can't hold")


def _scale(config: Mapping[str, Any], module: str, rank: int) -> float:
    patterns = config.get("alpha_pattern") or {}
    own = next((value for key, value in patterns.items() if module.endswith(key)), None)
    alpha = float(config.get("lora_alpha", rank) if own is None else own)
    return alpha / (rank**0.5 if config.get("use_rslora") else rank)


def write_peft(adapter: Adapter, folder: Path) -> None:
    """Save an adapter as peft does, with every scale 1: it is in the matrices."""
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    tensors, rank = {}, max(pair.a.shape[0] for pair in adapter.pairs.values())
    ranks = {name: pair.a.shape[0] for name, pair in adapter.pairs.items()}
    for name, (a, b) in adapter.pairs.items():
        whole = torch.tensor(b * adapter.scales[name])
        tensors[f"{PREFIX}{name}.lora_A.weight"] = torch.tensor(a)
        tensors[f"{PREFIX}{name}.lora_B.weight"] = whole
    config = {
        "peft_type": "LORA",
        "task_type": "CAUSAL_LM",
        "base_model_name_or_path": None,
        "r": rank,
        "lora_alpha": rank,
        "rank_pattern": {name: own for name, own in ranks.items() if own != rank},
        "alpha_pattern": {name: own for name, own in ranks.items() if own != rank},
        "target_modules": sorted({name.rpartition(".")[2] for name in adapter.pairs}),
        "bias": "none",
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_file(tensors, folder / WEIGHTS)
        (folder / CONFIG).write_text(json.dumps(config, indent=2), "utf-8")
    except (OSError, SafetensorError) as error:
        raise unwritten(folder, error) from error


def write_gguf(adapter: Adapter, model: Path, out: Path) -> None:
    """Write an adapter as a GGUF for a model; see :func:`to_gguf`."""
    import gguf

    refuse_same(out, model)
    family = check_family(model)
    header, names = check_model(model), tensor_names(model)
    _refuse_unfit({name: (b.shape[0], a.shape[1]) for name, (a, b) in adapter.pairs.items()}, model)
    rank = max(pair.a.shape[0] for pair in adapter.pairs.values())
    part = out.with_name(out.name + ".part")
    try:
        writer = gguf.GGUFWriter(part, family)
        writer.add_type(gguf.GGUFType.ADAPTER)
        writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
        writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, float(rank))
        for name, (a, b) in adapter.pairs.items():
            # llama.cpp's scale of each pair is alpha / its own rank.
            scaled = b * (adapter.scales[name] * a.shape[0] / rank)
            if heads := heads_of(header, name):
                scaled = permuted(scaled, heads)
            writer.add_tensor(f"{names[name]}.lora_a", a.astype("float32"))
            writer.add_tensor(f"{names[name]}.lora_b", scaled.astype("float32"))
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        os.replace(part, out)
    except OSError as error:
        raise TrainError(
            f"{out} can't be written: {error.strerror or error}; what was there is unchanged"
        ) from error
    finally:
        part.unlink(missing_ok=True)


def check_adapted(weights: Any, model: Path) -> None:
    """Refuse a peft model whose adapter could not be written for a GGUF, before it is trained.

    Raises:
        TrainError: it adapts something else than the GGUF's linear layers, or its base is another.
    """
    shapes: dict[str, dict[str, int]] = {}
    for name, each in weights.named_parameters():
        module, found, _ = name.removeprefix(PREFIX).partition(".lora_")
        if found and name.endswith(".lora_A.default.weight"):
            shapes.setdefault(module, {})["inputs"] = int(each.shape[1])
        elif found and name.endswith(".lora_B.default.weight"):
            shapes.setdefault(module, {})["outputs"] = int(each.shape[0])
        elif each.requires_grad:
            raise TrainError(
                f"{module} can't be stored in a GGUF adapter; train only linear layers "
                "(targets: all-linear)"
            )
    _refuse_unfit({name: (own["outputs"], own["inputs"]) for name, own in shapes.items()}, model)
    modules = {name.removeprefix(PREFIX) for name, _ in weights.named_modules()}
    if lacking := [name for name in tensor_names(model) if name not in modules]:
        raise TrainError(f"the base is of another model: it has no {lacking[0]}, {model.name} has")


def _refuse_unfit(adapted: Mapping[str, tuple[int, int]], model: Path) -> None:
    """Refuse changes of weights that a GGUF doesn't have, or has in another shape."""
    names, shapes = tensor_names(model), tensor_shapes(model)
    for name, given in adapted.items():
        if name not in names:
            raise TrainError(
                f"the adapter is of another model: {model.name} has no {name!r} that could be "
                f"adapted; its layers have {', '.join(each.rpartition('.')[2] for each in MODULES)}"
            )
        wanted = shapes[names[name]]
        if given != wanted:
            raise TrainError(
                f"the adapter is of another model: its {name} changes a weight of "
                f"{given[0]} × {given[1]}, {model.name} has {wanted[0]} × {wanted[1]}"
            )


def read_gguf(file: Path, model: Path) -> Adapter:
    """An adapter in GGUF form, in the order and by the names of transformers.

    Raises:
        ModelError: it is no whole GGUF.
        TrainError: it is no LoRA of this model.
    """
    import gguf

    if check_gguf(file).metadata.get("adapter.type") != "lora":
        raise TrainError(
            f"{file} is a GGUF but not a LoRA adapter (its general.type isn't adapter); give the "
            "file that `train` wrote"
        )
    family, header = check_family(model), check_model(model)
    own = {gguf_name: name for name, gguf_name in tensor_names(model).items()}
    reader = gguf.GGUFReader(file)
    if check_gguf(file).architecture != family:
        raise TrainError(f"{file} is an adapter of another family than {model.name}")
    field = reader.fields.get(gguf.Keys.Adapter.LORA_ALPHA)
    alpha = field.contents() if field else 0  # llama.cpp then takes a scale of 1
    tensors = {each.name: gguf.dequantize(each.data, each.tensor_type) for each in reader.tensors}
    pairs, scales = {}, {}
    for tensor, a in tensors.items():
        weight, found, _ = tensor.partition(".lora_a")
        if not found:
            continue
        name, b = own.get(weight), tensors.get(f"{weight}.lora_b")
        if name is None or b is None:
            raise TrainError(
                f"{file} adapts {weight}, which {model.name} doesn't have or can't train"
            )
        rank = a.shape[0]
        pairs[name] = Pair(a, b)
        scales[name] = float(alpha) / rank if alpha else 1.0
    _refuse_unfit({name: (b.shape[0], a.shape[1]) for name, (a, b) in pairs.items()}, model)
    for name, (a, b) in pairs.items():
        if heads := heads_of(header, name):
            pairs[name] = Pair(a, permuted(b, heads, back=True))
    return Adapter(pairs, scales)


def heads_of(header: GgufHeader, name: str) -> int | None:
    """The heads in whose rows a weight's GGUF has another order; None is the same order."""
    module = ".".join(name.split(".")[-2:])
    if header.architecture != "llama" or module not in PERMUTED:
        return None
    count = header.about(PERMUTED[module])
    return count if isinstance(count, int) else None


def permuted(rows: Matrix, heads: int, *, back: bool = False) -> Matrix:
    """Rows of heads in llama.cpp's order, (outputs, any); or ``back`` in transformers'."""
    halves = (2, rows.shape[0] // heads // 2)
    shape = (heads, *(reversed(halves) if back else halves), rows.shape[1])
    return rows.reshape(shape).swapaxes(1, 2).reshape(rows.shape)


def tensor_names(model: Path) -> dict[str, str]:
    """The GGUF's weights that can be adapted, by transformers' modules."""
    import gguf

    header = check_model(model)
    blocks = header.about("block_count")
    kinds = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    known = gguf.get_tensor_name_map(kinds[header.architecture], int(str(blocks)))
    modules = [f"model.layers.{n}.{each}" for n in range(int(str(blocks))) for each in MODULES]
    named = {each: f"{known.get_name(each)}.weight" for each in modules}
    return {module: name for module, name in named.items() if name in header.weights}


def tensor_shapes(model: Path) -> dict[str, tuple[int, int]]:
    """Rows and columns of a GGUF's matrices, by its own names."""
    import gguf

    return {
        each.name: (int(each.shape[1]), int(each.shape[0]))
        for each in gguf.GGUFReader(model).tensors
        if len(each.shape) == 2
    }
