"""The base weights of a training: those of the GGUF, or of a Hugging Face folder."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from pathlib import Path
from typing import Any

from thinkgraph.models.catalogue import adapted, find
from thinkgraph.models.engine.llama.gguf_file import check_model
from thinkgraph.train.errors import TrainError, quietly

FAMILIES = ("llama", "qwen2", "qwen3")
"""Architectures that can be trained, by llama.cpp's names."""
UNSCALED: dict[str, tuple[Any, ...]] = {
    "rope.scaling.type": ("none",),
    "rope.scaling.factor": (0, 1),
    "rope.scaling.attn_factor": (0, 1),
    "rope.scale_linear": (0, 1),
}
"""Metadata keys that scale the rotary embedding, with the values that leave it as it is."""
USE_BASE = "give the original weights by --base FOLDER"


def check_family(path: Path) -> str:
    """Check that a GGUF can be trained, and return its architecture.

    Raises:
        ModelError: the file is no complete GGUF.
        TrainError: its family isn't supported, or it is split into several files.
    """
    header = check_model(path)
    if header.architecture not in FAMILIES:
        raise TrainError(
            f"{path.name} is of the family {header.architecture!r}, whose weights can't be read "
            f"back; those that can be trained are {', '.join(FAMILIES)}"
        )
    if header.metadata.get("split.count"):
        raise TrainError(f"{path.name} is one of several files; join them with llama-gguf-split")
    return header.architecture


def bare_model(name: str) -> Path:
    """The file of a model; its name must not include an adapter.

    Raises:
        ModelError: the file can't be found or downloaded.
        TrainError: the name includes an adapter, which a training would drop.
    """
    if parts := adapted(name):
        raise TrainError(
            f"{name} has an adapter; name the model alone, or merge the adapter into it: "
            f"thinkgraph adapter {parts.adapter} -m {parts.model} --merge --out WHOLE.gguf"
        )
    return find(name).path


def load_base(path: Path, base: str | None, *, precision: str, quantize: str = "none") -> Any:
    """Load the base as a transformers model.

    Args:
        path: the GGUF, whose weights are dequantized.
        base: a Hugging Face folder, or a name on the Hub, with the weights before quantization;
            None uses those of the GGUF.
        precision: `float32` or `bfloat16`.
        quantize: `nf4` quantizes the weights of ``base`` to 4 bits as they are loaded.

    Raises:
        TrainError: the weights can't be read.
    """
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig
    from transformers.utils import logging

    check_family(path)
    if base is None:
        _check_dequantizable(path)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    options: dict[str, Any] = {"dtype": getattr(torch, precision)}
    if quantize == "nf4":
        options |= _four_bits(base, options["dtype"])
    where = {"pretrained_model_name_or_path": base}
    if base is None:
        # By default, transformers 5 keeps GGUF weights packed and unpacks them at every use.
        options["quantization_config"] = GgufConfig(dequantize=True)
        where = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    with _reading("weights", path, base):
        return AutoModelForCausalLM.from_pretrained(**where, **options)


def load_tokenizer(path: Path, base: str | None) -> Any:
    """Load the tokenizer of a GGUF, or of its ``base``, as one of transformers.

    Raises:
        TrainError: the tokenizer can't be read.
    """
    from transformers import AutoTokenizer

    with _reading("tokenizer", path, base):
        if base is not None:
            return AutoTokenizer.from_pretrained(base)
        return AutoTokenizer.from_pretrained(str(path.parent), gguf_file=path.name)


@contextmanager
def _reading(what: str, path: Path, base: str | None) -> Iterator[None]:
    try:
        with quietly(), redirect_stderr(io.StringIO()):  # hides a progress bar
            yield
    except Exception as error:  # malformed files may raise anything
        way_out = USE_BASE if base is None else "check --base"
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise TrainError(
            f"the {what} of {base or path.name} can't be read: {reason}; {way_out}"
        ) from error


def _check_dequantizable(path: Path) -> None:
    """Refuse a GGUF of which transformers would make a model that computes something else."""
    header = check_model(path)
    scaling = {
        name: value
        for name, plain in UNSCALED.items()
        if (value := header.about(name)) not in (None, *plain)
    }
    if "rope_freqs.weight" in header.weights:
        reason = "its tensor rope_freqs.weight, which scales the rotary embedding"
    elif scaling:
        reason = f"its scaling of the rotary embedding ({next(iter(scaling))})"
    elif not isinstance(header.about("attention.head_count_kv"), int):
        reason = "the order of its query and key weights without one attention.head_count_kv"
    else:
        return
    raise TrainError(f"{path.name}: transformers ignores {reason}; {USE_BASE}")


def _four_bits(base: str | None, compute: Any) -> dict[str, Any]:
    import importlib.util

    from transformers import BitsAndBytesConfig

    if base is None:
        raise TrainError("nf4 quantizes original weights: give them by --base FOLDER")
    if importlib.util.find_spec("bitsandbytes") is None:
        raise TrainError("nf4 needs bitsandbytes; run: pip install bitsandbytes")
    config = BitsAndBytesConfig(
        load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=compute
    )
    return {"quantization_config": config}
