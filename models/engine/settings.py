"""Engine settings: context, KV cells, batch sizes, threads, GPU layers, adapters."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from thinkgraph.models.model import Frozen

MAX_SEQUENCES = 256  # what llama.cpp is compiled for


def _read_adapters(given: object) -> object:
    """Adapters as a command line gives them."""
    if not isinstance(given, str):
        return given
    pairs = [part.partition("=") for part in given.split(",")]
    if not all(name and file for name, _, file in pairs):
        raise ValueError("write NAME=FILE, and a comma before the next")
    return {name: file for name, _, file in pairs}


class EngineSettings(Frozen):
    """Settings of one engine; two equal ones of one file share the engine."""

    context: int | None = Field(
        None,
        ge=8,
        description="tokens that a prompt and its completion may have together; "
        "None is 4096, or what the model was trained on where that is less",
    )
    kv_cells: int | None = Field(
        None,
        ge=8,
        description="tokens that the KV cache holds for all sequences together; None is what "
        "256 MiB hold, and at least one context",
    )
    sequences: int = Field(
        64, ge=1, le=MAX_SEQUENCES // 2, description="sequences that may run in one batch"
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
        None, ge=1, description="CPU threads; None is one for each core that may be used"
    )
    gpu_layers: int = Field(-1, ge=-1, description="layers on the GPU; -1 is all, 0 is none")
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
        return self


def available_threads() -> int:
    """Cores this process may use, counting the two threads of one core once."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    try:
        smt = Path("/sys/devices/system/cpu/smt/active").read_text().strip() == "1"
    except OSError:
        smt = False
    return max(1, (count or 1) // (2 if smt and (count or 1) > 2 else 1))
