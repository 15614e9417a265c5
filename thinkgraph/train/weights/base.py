"""The base weights of a training: those of the GGUF itself, or of a Hugging Face folder."""

from __future__ import annotations

import io
from contextlib import redirect_stderr
from pathlib import Path
from typing import Any

from thinkgraph.models.catalogue import adapted, find
from thinkgraph.models.engine.llama.gguf_file import check_model
from thinkgraph.train.errors import TrainError, quietly

FAMILIES = ("llama", "qwen2", "qwen3")
"""Architectures whose weights are read back and whose adapters are written, by llama.cpp's name."""


def check_family(path: Path) -> str:
    """The architecture of a GGUF that can be trained.

    Raises:
        ModelError: it is no whole GGUF.
        TrainError: it is of another family, or in several files.
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
    """The file of a model that is named without an adapter.

    Raises:
        ModelError: the file can't be had.
        TrainError: an adapter is named, too, which a training would drop.
    """
    if parts := adapted(name):
        raise TrainError(
            f"{name} has an adapter; name the model alone, or merge the adapter into it: "
            f"thinkgraph adapter {parts.adapter} -m {parts.model} --merge --out WHOLE.gguf"
        )
    return find(name).path


def load_base(path: Path, base: str | None, *, precision: str, quantize: str = "none") -> Any:
    """The base as a model of transformers.

    Args:
        path: the GGUF; its weights are dequantized.
        base: a folder of Hugging Face, or a name on the Hub, with the weights before they were
            quantized; None takes the GGUF's.
        precision: `float32` or `bfloat16`.
        quantize: `nf4` quantizes the weights of ``base`` to 4 bits as they are loaded.

    Raises:
        TrainError: they can't be read.
    """
    import torch
    from transformers import AutoModelForCausalLM, GgufConfig
    from transformers.utils import logging

    check_family(path)
    logging.disable_progress_bar()
    logging.set_verbosity_error()
    options: dict[str, Any] = {"dtype": getattr(torch, precision)}
    if quantize == "nf4":
        options |= _four_bits(base, options["dtype"])
    where = {"pretrained_model_name_or_path": base}
    if base is None:
        # Packed, as transformers 5 leaves a GGUF by itself, every product unpacks it again.
        options["quantization_config"] = GgufConfig(dequantize=True)
        where = {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    try:
        with quietly(), redirect_stderr(io.StringIO()):  # of a progress bar
            return AutoModelForCausalLM.from_pretrained(**where, **options)
    except Exception as error:  # a reader of files that anybody may have written
        source = base or path.name
        way_out = "give the original weights by --base FOLDER" if base is None else "check --base"
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise TrainError(f"the weights of {source} can't be read: {reason}; {way_out}") from error


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
