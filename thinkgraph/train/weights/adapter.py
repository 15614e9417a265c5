"""Conversion of peft adapters to GGUF files that llama.cpp loads, and back.

llama.cpp's `convert_lora_to_gguf.py` and `src/llama-adapter.cpp` define the format: for each
adapted weight the tensors `NAME.lora_a`, (rank, inputs), and `NAME.lora_b`, (outputs, rank), and in
the header `adapter.lora.alpha`; `alpha / rank * b @ a` is added to the weight.

In a GGUF of the llama family, the rows of query and key weights have another order than in
transformers: in each head, transformers rotates row i with row i + half, llama.cpp row 2 i with
row 2 i + 1. The rows of `lora_b` are permuted like those of the weight.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import re2  # type: ignore[import-untyped]

from thinkgraph.models.engine.llama.gguf_file import GgufHeader, check_gguf, check_model
from thinkgraph.train.errors import TrainError
from thinkgraph.train.outputs import refuse_same, unwritten, written
from thinkgraph.train.weights.base import check_family

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Matrix = NDArray[np.float32]

MODULES = (
    "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
    "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
)  # fmt: skip
"""The linear layers of a block, by transformers' names, which the three families share."""
PERMUTED = {
    "self_attn.q_proj": "attention.head_count",
    "self_attn.k_proj": "attention.head_count_kv",
}
"""Modules whose rows the llama family permutes, with the metadata key of their number of heads."""
PREFIX = "base_model.model."
CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


class Pair(NamedTuple):
    """The unscaled change of one weight: `b @ a`."""

    a: Matrix
    """(rank, inputs)"""
    b: Matrix
    """(outputs, rank)"""


@dataclass(frozen=True)
class Adapter:
    """An adapter with the row order and names of transformers.

    Attributes:
        pairs: the matrices by module, such as `model.layers.0.self_attn.q_proj`.
        scales: the scale of each pair, by module.
    """

    pairs: Mapping[str, Pair]
    scales: Mapping[str, float]


def to_gguf(folder: Path, model: Path, out: Path) -> None:
    """Convert a peft adapter to a GGUF for a model.

    Args:
        folder: the folder with `adapter_config.json` and `adapter_model.safetensors`.
        model: the model's GGUF.
        out: the output file, written atomically.

    Raises:
        TrainError: the adapter is no LoRA that llama.cpp can add, or is for another model; or the
            file can't be written.
    """
    write_gguf(read_peft(folder), model, out)


def from_gguf(file: Path, model: Path, folder: Path) -> None:
    """Convert an adapter in GGUF format to one of peft.

    Raises:
        TrainError: the adapter is no LoRA, or is for another model; or the folder can't be
            written.
    """
    if folder.suffix.lower() == ".gguf":
        raise TrainError(
            f"--out {folder}: {file.name} is a GGUF already, so the output is a folder for peft; "
            "name a folder, or did you mean --merge?"
        )
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise TrainError(f"{folder} exists and isn't an empty folder; name a new one")
    write_peft(read_gguf(file, model), folder)


def read_peft(folder: Path) -> Adapter:
    """Read an adapter that peft has saved.

    Raises:
        TrainError: the adapter can't be read, or isn't a plain LoRA.
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
    for pattern in config.get("alpha_pattern") or {}:
        try:
            _module_pattern(pattern)
        except re2.error as error:
            raise TrainError(
                f"{folder}: alpha_pattern has {pattern!r}, which is no regular expression: {error}"
            ) from None


def _module_pattern(key: str) -> Any:
    """The pattern of the modules that a key names, as in peft (`get_pattern_key`).

    By RE2, which is linear: the folder of an adapter may be anyone's.
    """
    options = re2.Options()
    options.log_errors = False
    return re2.compile(rf"(.*\.)?({key})", options)


def _scale(config: Mapping[str, Any], module: str, rank: int) -> float:
    patterns = config.get("alpha_pattern") or {}
    matches = (alpha for key, alpha in patterns.items() if _module_pattern(key).fullmatch(module))
    own = next(matches, None)
    alpha = float(config.get("lora_alpha", rank) if own is None else own)
    return alpha / (rank**0.5 if config.get("use_rslora") else rank)


def write_peft(adapter: Adapter, folder: Path) -> None:
    """Save an adapter in peft's format; the scales are multiplied into the matrices."""
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
        with written(folder) as part:
            part.mkdir(parents=True, exist_ok=True)
            save_file(tensors, part / WEIGHTS)
            (part / CONFIG).write_text(json.dumps(config, indent=2), "utf-8")
    except SafetensorError as error:
        raise unwritten(folder, error) from error


def write_gguf(adapter: Adapter, model: Path, out: Path) -> None:
    """Write an adapter as a GGUF for a model; see :func:`to_gguf`."""
    import gguf

    refuse_same(out, model)
    family = check_family(model)
    header, names = check_model(model), tensor_names(model)
    _refuse_unfit({name: (b.shape[0], a.shape[1]) for name, (a, b) in adapter.pairs.items()}, model)
    rank = max(pair.a.shape[0] for pair in adapter.pairs.values())
    with written(out) as part:
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


def check_adapted(weights: Any, model: Path) -> None:
    """Check before training that a peft model's adapter can be written for a GGUF.

    Raises:
        TrainError: it adapts something other than the GGUF's linear layers, or its base is of
            another model.
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
        raise TrainError(
            f"the base is of another model: {model.name} has a {lacking[0]}, and the base doesn't"
        )


def _refuse_unfit(adapted: Mapping[str, tuple[int, int]], model: Path) -> None:
    """Refuse changes to weights that a GGUF doesn't have, or that have another shape there."""
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
    """Read an adapter in GGUF format, and convert it to the row order and names of transformers.

    Raises:
        ModelError: the file is no complete GGUF.
        TrainError: the file is no LoRA of this model.
    """
    import gguf

    if check_gguf(file).metadata.get("adapter.type") != "lora":
        raise TrainError(
            f"{file} is a GGUF but not a LoRA adapter (its adapter.type isn't lora); give the "
            "file that `train` wrote"
        )
    family, header = check_family(model), check_model(model)
    own = {gguf_name: name for name, gguf_name in tensor_names(model).items()}
    reader = gguf.GGUFReader(file)
    if check_gguf(file).architecture != family:
        raise TrainError(f"{file} is an adapter of another family than {model.name}")
    field = reader.fields.get(gguf.Keys.Adapter.LORA_ALPHA)
    alpha = field.contents() if field else 0  # without alpha, llama.cpp uses a scale of 1
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
    """The number of heads whose rows the GGUF of a weight permutes; None for the same order."""
    module = ".".join(name.split(".")[-2:])
    if header.architecture != "llama" or module not in PERMUTED:
        return None
    count = header.about(PERMUTED[module])
    if count is None:  # llama.cpp then takes as many heads of keys as of queries
        count = header.about("attention.head_count")
    return count if isinstance(count, int) else None


def permuted(rows: Matrix, heads: int, *, back: bool = False) -> Matrix:
    """Permute rows of heads, (outputs, any), to llama.cpp's order, or ``back`` to transformers'."""
    halves = (2, rows.shape[0] // heads // 2)
    shape = (heads, *(reversed(halves) if back else halves), rows.shape[1])
    return rows.reshape(shape).swapaxes(1, 2).reshape(rows.shape)


def tensor_names(model: Path) -> dict[str, str]:
    """The GGUF names of the weights that can be adapted, by transformers' module names."""
    import gguf

    header = check_model(model)
    blocks = header.about("block_count")
    kinds = {name: kind for kind, name in gguf.MODEL_ARCH_NAMES.items()}
    known = gguf.get_tensor_name_map(kinds[header.architecture], int(str(blocks)))
    modules = [f"model.layers.{n}.{each}" for n in range(int(str(blocks))) for each in MODULES]
    named = {each: f"{known.get_name(each)}.weight" for each in modules}
    return {module: name for module, name in named.items() if name in header.weights}


def tensor_shapes(model: Path) -> dict[str, tuple[int, int]]:
    """The rows and columns of a GGUF's matrices, by their GGUF names."""
    import gguf

    return {
        each.name: (int(each.shape[1]), int(each.shape[0]))
        for each in gguf.GGUFReader(model).tensors
        if len(each.shape) == 2
    }
