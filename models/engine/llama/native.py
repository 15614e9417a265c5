"""A llama.cpp model and its context, opened and freed in the right order."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thinkgraph.models.engine.kv_cache.memory import LlamaMemory
from thinkgraph.models.engine.llama.amx import amx_works
from thinkgraph.models.engine.llama.devices import cpu_buffers, devices
from thinkgraph.models.engine.llama.gguf_file import check_gguf, check_model
from thinkgraph.models.engine.llama.library import because, check_process, listening, llama, start
from thinkgraph.models.engine.llama.placement import (
    EXPERTS_OF_LAYER,
    RECURRENT_SEQUENCES,
    Placement,
    place,
)
from thinkgraph.models.engine.llama.vocabulary import Vocabulary
from thinkgraph.models.engine.machine import available_threads
from thinkgraph.models.engine.sequence import Adapter
from thinkgraph.models.engine.settings import EngineSettings
from thinkgraph.models.errors import ModelError

EXTRA_OUTPUTS = 64  # rows of logits for scoring, in addition to one per sequence

_FLASH = {
    "auto": llama.LLAMA_FLASH_ATTN_TYPE_AUTO,
    "on": llama.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "off": llama.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}
_SPLIT = {
    "none": llama.LLAMA_SPLIT_MODE_NONE,
    "layer": llama.LLAMA_SPLIT_MODE_LAYER,
    "row": llama.LLAMA_SPLIT_MODE_ROW,
}
_ROPE = {
    "none": llama.LLAMA_ROPE_SCALING_TYPE_NONE,
    "linear": llama.LLAMA_ROPE_SCALING_TYPE_LINEAR,
    "yarn": llama.LLAMA_ROPE_SCALING_TYPE_YARN,
}
_POSITIONS = (
    "rope_freq_base", "rope_freq_scale", "yarn_orig_ctx", "yarn_ext_factor", "yarn_attn_factor",
    "yarn_beta_fast", "yarn_beta_slow",
)  # fmt: skip
_TYPES = {"f16": llama.GGML_TYPE_F16, "q8_0": llama.GGML_TYPE_Q8_0, "q4_0": llama.GGML_TYPE_Q4_0}


class NativeModel:
    """The llama.cpp model, context and adapters of one engine.

    Attributes:
        recurrent: whether a state can't be cut back to an earlier token (Mamba, RWKV, hybrids).
        windowed: whether some layers attend only to the latest tokens.
        placement: how much of the model is on GPUs, and what the KV cache can hold.

    Raises:
        ModelError: the file is not a model that can generate text, or there is too little memory.
    """

    def __init__(self, path: Path, settings: EngineSettings) -> None:
        self.header = check_model(path)
        if self.header.only_embeds:
            raise ModelError(
                f"{path.name} ({self.header.architecture}) makes embeddings and can't generate "
                "text; choose a language model"
            )
        check_process()
        start()
        self.context: Any = None
        self.adapters: dict[str, Any] = {}
        self._used: Adapter | None = None
        here = devices()
        self.placement = place(self.header, settings, here)
        free = here[-1].free
        _check_memory(self.placement, settings, free)
        repack = amx_works() and _can_repack(self.placement, free)
        self.model = model = _load(path, settings, self.placement, repack)
        self.recurrent = bool(
            llama.llama_model_is_recurrent(model) or llama.llama_model_is_hybrid(model)
        )
        self.windowed: bool = llama.llama_model_n_swa(model) > 0
        self.vocabulary = Vocabulary(self.model)
        try:
            self._refuse_what_cannot_generate()
            template = llama.llama_model_chat_template(self.model, None)
            self.chat_template = template.decode("utf-8", "replace") if template else None
            self.settings = self._resolve(settings)
            self.context = self._open_context()
            self.memory = LlamaMemory(self.context)
            for name, file in settings.adapters.items():
                self.add_adapter(name, file)
        except BaseException:
            self.close()
            raise

    @property
    def outputs(self) -> int:
        """Rows of logits that one batch may request."""
        return self.settings.sequences + min(EXTRA_OUTPUTS, self.settings.batch)

    def use(self, adapter: Adapter | None) -> None:
        """Apply one adapter, or none, to the batches that follow."""
        if adapter == self._used:
            return
        self._used = adapter
        if adapter is None:
            llama.llama_set_adapters_lora(self.context, None, 0, None)
            return
        pointers = (llama.llama_adapter_lora_p_ctypes * 1)(self.adapters[adapter.name])
        scales = (ctypes.c_float * 1)(adapter.scale)
        llama.llama_set_adapters_lora(self.context, pointers, 1, scales)

    def add_adapter(self, name: str, path: Path) -> None:
        """Load an adapter, unless one of that name is already loaded.

        llama.cpp makes room for it in its compute graphs when it is first used.

        Raises:
            ModelError: the file is not a LoRA of this model.
        """
        if name not in self.adapters:
            self.adapters[name] = self._adapter(name, path)

    def close(self) -> None:
        """Free the context, then the model with its adapters; may be called again."""
        self.vocabulary.close()
        if self.context:
            llama.llama_free(self.context)
        if self.model:
            llama.llama_model_free(self.model)
        self.context = self.model = None

    def _refuse_what_cannot_generate(self) -> None:
        name, family = self.header.path.name, self.header.architecture
        if llama.llama_model_has_encoder(self.model):
            raise ModelError(f"{name} has an encoder ({family}); models of that kind are not run")
        if not llama.llama_model_has_decoder(self.model):
            raise ModelError(f"{name} ({family}) can't generate text")
        if llama.llama_model_is_diffusion(self.model):
            raise ModelError(f"{name} ({family}) generates by diffusion, which is not supported")

    def _resolve(self, settings: EngineSettings) -> EngineSettings:
        """The settings with every default that depends on the model filled in."""
        sequences = settings.sequences
        if self.recurrent and "sequences" not in settings.model_fields_set:
            sequences = min(sequences, RECURRENT_SEQUENCES)
        return settings.model_copy(
            update={
                "context": self.placement.context,
                "kv_cells": self.placement.cells,
                "gpu_layers": self.placement.gpu_layers,
                "cpu_experts": self.placement.cpu_experts,
                "sequences": sequences,
                "micro_batch": min(settings.micro_batch, settings.batch),
                "threads": settings.threads or available_threads(),
            }
        )

    def _open_context(self) -> Any:
        settings = self.settings
        params = llama.llama_context_default_params()
        params.n_ctx = settings.kv_cells
        params.n_batch = settings.batch
        params.n_ubatch = settings.micro_batch
        params.n_seq_max = settings.sequences
        params.n_outputs_max = self.outputs
        params.n_threads = params.n_threads_batch = settings.threads
        params.flash_attn_type = _FLASH[settings.flash_attention]
        params.type_k, params.type_v = _TYPES[settings.type_k], _TYPES[settings.type_v]
        params.kv_unified = True
        params.swa_full = True
        params.no_perf = True
        if settings.rope_scaling:
            params.rope_scaling_type = _ROPE[settings.rope_scaling]
        for name in _POSITIONS:
            if (value := getattr(settings, name)) is not None:
                setattr(params, name, value)
        with listening() as lines:
            context = llama.llama_init_from_model(self.model, params)
        if not context:
            raise ModelError(
                f"llama.cpp can't make a context of {settings.kv_cells} cells for "
                f"{self.header.path.name}; a smaller kv_cells may fit in memory{because(lines)}"
            )
        return context

    def _adapter(self, name: str, path: Path) -> Any:
        check_gguf(path)
        with listening() as lines:
            adapter = llama.llama_adapter_lora_init(self.model, os.fsencode(path))
        if not adapter:
            raise ModelError(
                f"{path} can't be used as the adapter {name!r}: it is not a LoRA of this "
                f"model{because(lines)}"
            )
        return adapter


def _check_memory(placement: Placement, settings: EngineSettings, free: int) -> None:
    """Refuse what memory can't hold: Linux would overcommit, and then kill the process.

    The system can evict mapped weights, so the CPU's count only if they are not mapped, or locked.
    """
    parts = _needs(placement, settings.mmap is False or settings.mlock)
    needed = sum(size for _, size, _ in parts)
    if needed > free:
        names, ways = zip(*[(name, way) for name, size, way in parts if size], strict=True)
        raise ModelError(
            f"{' and '.join(names)} {'take' if len(names) > 1 else 'takes'} "
            f"{needed / 2**30:.1f} GiB of memory, and {free / 2**30:.1f} are free; "
            f"{', or '.join(ways)}"
        )


def _can_repack(placement: Placement, free: int) -> bool:
    """Whether memory holds copies of the weights, in the layout of the CPU's matrix instructions.

    The system can't evict copies, as it can the weights of a mapped file.
    """
    return sum(size for _, size, _ in _needs(placement, whole=True)) <= free


def _needs(placement: Placement, whole: bool) -> list[tuple[str, int, str]]:
    """What takes memory, its bytes, and how to make it smaller; with the CPU's weights or not."""
    first = 0 if placement.shared else 1  # an integrated GPU's part is in the same memory
    weights = sum(placement.weights[first:1]) + (placement.weights[1] if whole else 0)
    return [
        (
            "the weights",
            weights,
            "set fewer gpu_layers" if placement.shared else "leave mmap and mlock out",
        ),
        (
            f"a KV cache of {placement.cells:,} cells",
            sum(placement.cache[first:]),
            "set a smaller kv_cells or context, or type_k and type_v to q8_0",
        ),
        ("the recurrent state", sum(placement.state[first:]), "set fewer sequences"),
    ]


class _Override(ctypes.Structure):
    """A pattern of tensor names and their buffer type; not declared by llama-cpp-python."""

    _fields_ = (("pattern", ctypes.c_char_p), ("buffers", ctypes.c_void_p))


def _load(path: Path, settings: EngineSettings, placement: Placement, repack: bool) -> Any:
    params = llama.llama_model_default_params()
    params.n_gpu_layers = placement.gpu_layers
    params.main_gpu, params.split_mode = settings.main_gpu, _SPLIT[settings.split_mode]
    params.use_extra_bufts = repack
    if (mode := _load_mode(settings)) is not None:
        params.load_mode = mode
    if settings.tensor_split:
        shares = [*settings.tensor_split, *[0.0] * llama.llama_max_devices()]
        params.tensor_split = (ctypes.c_float * llama.llama_max_devices())(
            *shares[: llama.llama_max_devices()]
        )
    overrides = _overrides(placement.cpu_experts)  # must outlive the call
    if placement.cpu_experts:
        params.tensor_buft_overrides = ctypes.cast(overrides, ctypes.c_void_p)
    with listening() as lines:
        model = llama.llama_model_load_from_file(os.fsencode(path), params)
    if not model:
        raise ModelError(f"llama.cpp can't load {path}{because(lines)}")
    return model


def _load_mode(settings: EngineSettings) -> int | None:
    """How the file is read; None lets llama.cpp decide."""
    if settings.mmap is None and not settings.mlock:
        return None
    mode: int = {
        (False, False): llama.LLAMA_LOAD_MODE_NONE,
        (True, False): llama.LLAMA_LOAD_MODE_MMAP,
        (False, True): llama.LLAMA_LOAD_MODE_MLOCK,
        (True, True): llama.LLAMA_LOAD_MODE_MMAP_MLOCK,
    }[settings.mmap is not False, settings.mlock]
    return mode


def _overrides(layers: int) -> Any:
    """Overrides that keep the first layers' experts in the CPU's memory; the last one is empty."""
    patterns = [EXPERTS_OF_LAYER.format(layer).encode() for layer in range(layers)]
    buffers = cpu_buffers() if layers else None
    return (_Override * (layers + 1))(*[_Override(p, buffers) for p in patterns])


def adapter_names(adapters: Mapping[str, Path]) -> str:
    """The names of the adapters, for a message."""
    return ", ".join(sorted(adapters)) or "none"
