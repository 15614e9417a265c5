"""Tiny models of the families that can be trained, and adapters of peft for them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from tests.conftest import write_vocabulary
from thinkgraph.train.settings import TrainSettings
from thinkgraph.train.supervised import adapted
from thinkgraph.train.weights.base import load_base

HIDDEN, HEADS, KV_HEADS, LAYERS, FEED = 64, 4, 2, 2, 96
HEAD = {"llama": 16, "qwen2": 16, "qwen3": 128}
"""Rows of a head; transformers takes those of every Qwen3 to be 128."""


def write_family(path: Path, family: str, seed: int = 7) -> Path:
    """Write a tiny random model with fewer heads of keys than of queries."""
    writer = gguf.GGUFWriter(path, family)
    size, head = write_vocabulary(writer, "bytes"), HEAD[family]
    writer.add_context_length(512)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KV_HEADS)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(size)
    random = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {"token_embd": (size, HIDDEN), "output_norm": (HIDDEN,)}
    for n in range(LAYERS):
        own: dict[str, tuple[int, ...]] = {
            "attn_norm": (HIDDEN,), "ffn_norm": (HIDDEN,),
            "attn_q": (HEADS * head, HIDDEN), "attn_k": (KV_HEADS * head, HIDDEN),
            "attn_v": (KV_HEADS * head, HIDDEN), "attn_output": (HIDDEN, HEADS * head),
            "ffn_gate": (FEED, HIDDEN), "ffn_up": (FEED, HIDDEN), "ffn_down": (HIDDEN, FEED),
        }  # fmt: skip
        if family == "qwen3":
            own |= {"attn_q_norm": (head,), "attn_k_norm": (head,)}
        shapes |= {f"blk.{n}.{name}": shape for name, shape in own.items()}
    for name, shape in shapes.items():
        scale = 0.5 if name == "token_embd" else 1.5 / np.sqrt(shape[-1])
        data = random.normal(0, scale, shape).astype(np.float32)
        writer.add_tensor(f"{name}.weight", 1 + data / 10 if len(shape) == 1 else data)
        if family == "qwen2" and name[-6:] in ("attn_q", "attn_k", "attn_v"):
            bias = random.normal(0, 0.3, shape[0]).astype(np.float32)
            writer.add_tensor(f"{name}.bias", bias)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


@pytest.fixture(scope="session")
def family(gguf_folder: Path) -> Callable[[str], Path]:
    """The path of a tiny model of a family: llama, qwen2 or qwen3."""

    def path(name: str) -> Path:
        file = gguf_folder / f"train-{name}.gguf"
        return file if file.exists() else write_family(file, name)

    return path


@pytest.fixture
def peft_model() -> Callable[..., Any]:
    """Makes a peft model of a GGUF, with an adapter that changes what it says."""
    torch = pytest.importorskip("torch", reason="needs thinkgraph[train]")
    pytest.importorskip("peft", reason="needs thinkgraph[train]")

    def make(path: Path, **settings: object) -> Any:
        torch.manual_seed(3)
        base = load_base(path, None, precision="float32")
        model = adapted(base, TrainSettings.model_validate({"rank": 4, **settings}))
        for name, weights in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weights, std=0.2)
        return model.eval()

    return make
