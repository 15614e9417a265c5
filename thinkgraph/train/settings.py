"""Settings of a training."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from thinkgraph.models.model import Frozen

LINEAR = "all-linear"


class TrainSettings(Frozen):
    """Settings of a supervised fine-tuning with LoRA (arXiv 2106.09685)."""

    rank: int = Field(16, ge=1, le=1024, description="of the two matrices of each adapted weight")
    alpha: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="the adapter is scaled by alpha / rank; None is twice the rank",
    )
    targets: str = Field(
        LINEAR, description="which weights are adapted: all-linear, or names: q_proj,v_proj"
    )
    dropout: float = Field(0.0, ge=0, lt=1, description="of the adapter's input")
    learning_rate: float = Field(
        5e-4, gt=0, allow_inf_nan=False, description="the highest, after the warm-up"
    )
    warmup: float = Field(
        0.1, ge=0, lt=1, description="share of the steps in which the rate rises; then a cosine"
    )
    batch: int = Field(16, ge=1, description="examples of a step")
    micro_batch: int | None = Field(
        None,
        ge=1,
        description="examples computed at once, which divide the batch; None is as many as fit "
        "into the memory",
    )
    steps: int | None = Field(None, ge=1, description="by default, those of the epochs")
    epochs: float = Field(
        1.0, gt=0, allow_inf_nan=False, description="times that every example is seen"
    )
    max_length: int = Field(1024, ge=8, description="tokens; longer examples are left out")
    held_out: int | None = Field(
        None,
        ge=0,
        description="questions taken from the data to measure on, never trained on; None is a "
        "tenth of them, and 64 at most",
    )
    evaluate_every: int | None = Field(
        None,
        ge=1,
        description="steps between two measurements and checkpoints; by default, a tenth of all "
        "steps",
    )
    patience: int = Field(
        3, ge=0, description="measurements without a better loss before it stops; 0 never stops"
    )
    quantize: Literal["none", "nf4"] = Field(
        "none", description="nf4 keeps the base in 4 bits (QLoRA, arXiv 2305.14314)"
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="of the base weights and of the computation"
    )
    threads: int | None = Field(None, ge=1, description="CPU threads; None is torch's choice")
    seed: int = Field(0, ge=0, description="of the adapter's start, the order and the division")

    @model_validator(mode="after")
    def _whole_batches(self) -> Self:
        if self.micro_batch and self.batch % min(self.micro_batch, self.batch):
            raise ValueError(f"micro_batch={self.micro_batch} doesn't divide batch={self.batch}")
        return self

    @property
    def scale(self) -> float:
        """The scale of the adapter: alpha / rank."""
        return (self.alpha or 2 * self.rank) / self.rank
