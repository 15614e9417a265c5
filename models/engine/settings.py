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
        description="maximum number of tokens of a prompt and its completion together; None: what "
        "the KV cache can hold, up to the trained context",
    )
    kv_cells: int | None = Field(
        None,
        ge=8,
        description="number of tokens that the KV cache holds for all sequences together; None: "
        "what fits into the GPU's memory beside the model; on a CPU one context or half of the "
        "free memory, whichever is less, but at least 256 MiB",
    )
    type_k: CacheType = Field("f16", description="data type of the keys in the KV cache")
    type_v: CacheType = Field(
        "f16",
        description="data type of the values in the KV cache; q8_0 and q4_0 need flash attention",
    )
    sequences: int = Field(
        64,
        ge=1,
        le=MAX_SEQUENCES,
        description="maximum number of sequences in one batch; the rest of llama.cpp's "
        f"{MAX_SEQUENCES} sequence ids are for cached prefixes",
    )
    batch: int = Field(512, ge=1, description="maximum number of tokens in one step")
    micro_batch: int = Field(
        512, ge=1, description="maximum number of tokens computed at once within a step"
    )
    prefill: int = Field(
        128,
        ge=1,
        description="maximum number of prompt tokens in a step while other sequences decode; a "
        "lower value delays those less, a higher one finishes prompts sooner",
    )
    idle_cells: int = Field(
        4096,
        ge=0,
        description="maximum number of KV cells that hold cached prefixes not in use; 0: no "
        "prefix is cached",
    )
    idle_steps: int = Field(
        1000,
        ge=1,
        description="number of steps after which an unused prefix is dropped, since each kept "
        "cell adds a little attention time to every step",
    )
    threads: int | None = Field(
        None,
        ge=1,
        description="CPU threads; None: one for each available core, within the container's CPU "
        "quota",
    )
    gpu_layers: int = Field(
        -1,
        ge=-1,
        description="number of layers on the GPU, where the output layer counts as one and is "
        "placed first; -1: as many as fit; 0: none",
    )
    cpu_experts: int | None = Field(
        None,
        ge=0,
        description="number of layers, from the first, whose experts stay in the CPU's memory; "
        "None: the fewest with which all layers of a mixture-of-experts model fit on the GPU",
    )
    main_gpu: int = Field(0, ge=0, description="index of the GPU to use if `split_mode` is none")
    split_mode: Literal["none", "layer", "row"] = Field(
        "layer",
        description="how several GPUs share a model: by layers or by rows; none: only `main_gpu` "
        "is used",
    )
    tensor_split: Annotated[tuple[float, ...], BeforeValidator(_read_split)] = Field(
        (), description="proportion of the model on each GPU, as text: 3,1; empty: by free memory"
    )
    mmap: bool | None = Field(
        None,
        description="whether to memory-map the file rather than read it; None: llama.cpp decides",
    )
    mlock: bool = Field(
        False, description="whether to lock the model in memory, so that it is never swapped out"
    )
    rope_scaling: Literal["none", "linear", "yarn"] | None = Field(
        None,
        description="how positions beyond the trained context are scaled; None: the model's own "
        "scaling",
    )
    rope_freq_base: float | None = Field(
        None, gt=0, description="base frequency of RoPE; None: the model's own"
    )
    rope_freq_scale: float | None = Field(
        None,
        gt=0,
        description="frequency scale of RoPE; 0.25 makes the context four times as long; None: "
        "the model's own",
    )
    yarn_orig_ctx: int | None = Field(
        None, ge=1, description="context length before scaling by YaRN; None: the trained context"
    )
    yarn_ext_factor: float | None = Field(
        None,
        ge=0,
        description="YaRN's extrapolation mix factor; 0: full interpolation; None: the model's own",
    )
    yarn_attn_factor: float | None = Field(
        None,
        ge=0,
        description="YaRN's scaling factor of the attention's magnitude; None: the model's own",
    )
    yarn_beta_fast: float | None = Field(
        None, ge=0, description="YaRN's low correction dimension; None: the model's own"
    )
    yarn_beta_slow: float | None = Field(
        None, ge=0, description="YaRN's high correction dimension; None: the model's own"
    )
    flash_attention: Literal["auto", "on", "off"] = Field(
        "auto",
        description="whether to use flash attention; auto: llama.cpp decides; without it, cached "
        "prefixes cost more",
    )
    adapters: Annotated[dict[str, Path], BeforeValidator(_read_adapters)] = Field(
        default_factory=dict,
        description="LoRA adapters in GGUF form, by the name that requests use; as text: "
        "sums=sums.gguf,words=words.gguf",
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
