"""A llama.cpp model and its context, opened and freed in the right order."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from thinkgraph.models.engine.kv_cache.memory import LlamaMemory
from thinkgraph.models.engine.llama.gguf_file import GgufHeader, check_gguf
from thinkgraph.models.engine.llama.library import check_process, llama, start
from thinkgraph.models.engine.llama.vocabulary import Vocabulary
from thinkgraph.models.engine.sequence import Adapter
from thinkgraph.models.engine.settings import EngineSettings, available_threads
from thinkgraph.models.errors import ModelError

DEFAULT_CONTEXT = 4096
KV_BYTES = 256 << 20  # what the KV cache takes by default on a CPU
KV_BYTES_GPU = 2 << 30
RECURRENT_SEQUENCES = 16  # each has its whole state in memory
EXTRA_OUTPUTS = 64  # rows of logits for scoring, beside one for each sequence

_FLASH = {
    "auto": llama.LLAMA_FLASH_ATTN_TYPE_AUTO,
    "on": llama.LLAMA_FLASH_ATTN_TYPE_ENABLED,
    "off": llama.LLAMA_FLASH_ATTN_TYPE_DISABLED,
}


class NativeModel:
    """What llama.cpp holds for one engine.

    Attributes:
        recurrent: whether a state can't be cut back to an earlier token (Mamba, RWKV, hybrids).
        windowed: whether some layers see only the latest tokens.

    Raises:
        ModelError: the file is not a model that can generate text, or memory is short.
    """

    def __init__(self, path: Path, settings: EngineSettings) -> None:
        self.header = check_gguf(path)
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
        self.model = model = _load(path, settings)
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
            self.adapters = {n: self._adapter(n, p) for n, p in settings.adapters.items()}
        except BaseException:
            self.close()
            raise

    @property
    def outputs(self) -> int:
        """Rows of logits that one batch may ask for."""
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
        trained: int = llama.llama_model_n_ctx_train(self.model)
        context = settings.context or min(trained or DEFAULT_CONTEXT, DEFAULT_CONTEXT)
        cells = settings.kv_cells or max(context, _affordable_cells(self.header, settings))
        if cells < context:
            raise ModelError(
                f"the KV cache has {cells} cells and must hold a context of {context} tokens"
            )
        sequences = settings.sequences
        if self.recurrent and "sequences" not in settings.model_fields_set:
            sequences = min(sequences, RECURRENT_SEQUENCES)
        return settings.model_copy(
            update={
                "context": context,
                "kv_cells": -(-cells // 256) * 256,  # llama.cpp pads to this
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
        params.kv_unified = True
        params.swa_full = True
        params.no_perf = True
        context = llama.llama_init_from_model(self.model, params)
        if not context:
            raise ModelError(
                f"llama.cpp can't make a context of {settings.kv_cells} cells for "
                f"{self.header.path.name}; a smaller kv_cells may fit in memory"
            )
        return context

    def _adapter(self, name: str, path: Path) -> Any:
        check_gguf(path)
        adapter = llama.llama_adapter_lora_init(self.model, str(path).encode())
        if not adapter:
            raise ModelError(
                f"{path} can't be used as the adapter {name!r}: it is not a LoRA of this model"
            )
        return adapter


def _load(path: Path, settings: EngineSettings) -> Any:
    params = llama.llama_model_default_params()
    params.n_gpu_layers = settings.gpu_layers
    model = llama.llama_model_load_from_file(str(path).encode(), params)
    if not model:
        raise ModelError(
            f"llama.cpp can't load {path}; its log (logger thinkgraph.llama_cpp) says why"
        )
    return model


def _affordable_cells(header: GgufHeader, settings: EngineSettings) -> int:
    gpu = settings.gpu_layers != 0 and llama.llama_supports_gpu_offload()
    return (KV_BYTES_GPU if gpu else KV_BYTES) // max(_cell_bytes(header), 1 << 12)


def _cell_bytes(header: GgufHeader) -> int:
    """Bytes that one token takes in the KV cache of all layers, in half precision."""

    def number(key: str, default: int) -> int:
        value = header.about(key)
        return max(value) if isinstance(value, list) else int(value or default)

    heads = number("attention.head_count", 1)
    size = number("embedding_length", 1) // max(heads, 1)
    keys = number("attention.key_length", size) + number("attention.value_length", size)
    return number("block_count", 1) * number("attention.head_count_kv", heads) * keys * 2


def adapter_names(adapters: Mapping[str, Path]) -> str:
    """The names of the adapters, for a message."""
    return ", ".join(sorted(adapters)) or "none"
