"""Engine settings: context, KV cells, batch sizes, threads, GPU layers, adapters."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from thinkgraph.models.model import Frozen

MAX_SEQUENCES = 256  # llama.cpp's limit at compile time


def _read_adapters(given: object) -> object:
    """Parse adapters in the form of a command line."""
    if not isinstance(given, str):
        return given
    pairs = [part.partition("=") for part in given.split(",")]
    if not all(name and file for name, _, file in pairs):
        raise ValueError("write NAME=FILE, and a comma before the next")
    return {name: file for name, _, file in pairs}


def _read_split(given: object) -> object:
    """Parse proportions in the form of a command line."""
    return tuple(given.split(",")) if isinstance(given, str) else given


CacheType = Literal["f16", "q8_0", "q4_0"]


class EngineSettings(Frozen):
    """Settings of one engine; models of one file with equal settings share an engine."""

    context: int | None = Field(
        None,
        ge=8,
        description="tokens that a prompt and its completion may have together; None is what "
        "the KV cache can hold, up to what the model was trained on",
    )
    kv_cells: int | None = Field(
        None,
        ge=8,
        description="tokens that the KV cache holds for all sequences together; None is what the "
        "GPU's memory holds beside the model, or on a CPU one context, and more if 256 MiB hold it",
    )
    type_k: CacheType = Field("f16", description="how the KV cache stores keys")
    type_v: CacheType = Field(
        "f16", description="how it stores values; q8_0 and q4_0 need flash attention"
    )
    sequences: int = Field(
        64,
        ge=1,
        le=MAX_SEQUENCES,
        description="sequences that may run in one batch; what they leave of llama.cpp's "
        f"{MAX_SEQUENCES} ids is for cached prefixes",
    )
    batch: int = Field(512, ge=1, description="tokens in one step at most")
    micro_batch: int = Field(512, ge=1, description="tokens computed at once within a step")
    prefill: int = Field(
        128,
        ge=1,
        description="prompt tokens in a step at most while other sequences decode; "
        "less stalls them less, more finishes prompts sooner",
    )
    idle_cells: int = Field(
        4096, ge=0, description="KV cells that prefixes nobody uses may keep; 0 caches nothing"
    )
    idle_steps: int = Field(
        1000,
        ge=1,
        description="steps after which an unused prefix is dropped: every cell that is kept "
        "costs every step a little attention",
    )
    threads: int | None = Field(
        None,
        ge=1,
        description="CPU threads; None is one for each core that may be used, within the "
        "container's CPU quota",
    )
    gpu_layers: int = Field(
        -1,
        ge=-1,
        description="layers on the GPU, the output layer counted as one and the first to be "
        "there; -1 is all that fit, 0 is none",
    )
    cpu_experts: int | None = Field(
        None,
        ge=0,
        description="layers, from the first, whose experts stay in the CPU's memory; None is as "
        "few as let all layers of a mixture of experts be on the GPU",
    )
    main_gpu: int = Field(0, ge=0, description="the GPU to use with split_mode none")
    split_mode: Literal["none", "layer", "row"] = Field(
        "layer", description="how several GPUs share a model: none uses one of them"
    )
    tensor_split: Annotated[tuple[float, ...], BeforeValidator(_read_split)] = Field(
        (),
        description="each GPU's proportion of the model, as text: 3,1; none is by free memory",
    )
    mmap: bool | None = Field(
        None, description="whether the file is mapped rather than read; None lets llama.cpp decide"
    )
    mlock: bool = Field(False, description="keep the model in memory, never in swap")
    rope_scaling: Literal["none", "linear", "yarn"] | None = Field(
        None, description="how positions beyond the trained ones are scaled; None is the model's"
    )
    rope_freq_base: float | None = Field(None, gt=0, description="None is the model's")
    rope_freq_scale: float | None = Field(
        None, gt=0, description="0.25 makes a context four times as long; None is the model's"
    )
    yarn_orig_ctx: int | None = Field(
        None, ge=1, description="the context before YaRN; None is what the model was trained on"
    )
    yarn_ext_factor: float | None = Field(None, ge=0, description="None is the model's")
    yarn_attn_factor: float | None = Field(None, ge=0, description="None is the model's")
    yarn_beta_fast: float | None = Field(None, ge=0, description="None is the model's")
    yarn_beta_slow: float | None = Field(None, ge=0, description="None is the model's")
    flash_attention: Literal["auto", "on", "off"] = Field(
        "auto", description="auto lets llama.cpp decide; without it, cached prefixes cost more"
    )
    adapters: Annotated[dict[str, Path], BeforeValidator(_read_adapters)] = Field(
        default_factory=dict,
        description="LoRA adapters in GGUF form, by the name requests give; "
        "as text: sums=sums.gguf,words=words.gguf",
    )

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.batch < self.sequences:
            raise ValueError(
                f"batch is {self.batch} and must have room for one token of each of the "
                f"{self.sequences} sequences"
            )
        if self.context and self.kv_cells and self.kv_cells < self.context:
            raise ValueError(
                f"kv_cells is {self.kv_cells} and must hold at least one context of {self.context}"
            )
        if self.type_v != "f16" and self.flash_attention == "off":
            raise ValueError(f"type_v {self.type_v} needs flash attention, which is off")
        if any(part < 0 for part in self.tensor_split) or (
            self.tensor_split and not any(self.tensor_split)
        ):
            raise ValueError("tensor_split needs proportions of at least 0, not all of them 0")
        return self
