"""Settings of a training."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, model_validator

from thinkgraph.models.model import Frozen

LINEAR = "all-linear"


class TrainSettings(Frozen):
    """Settings of a supervised fine-tuning with LoRA (arXiv 2106.09685)."""

    rank: int = Field(16, ge=1, le=1024, description="rank of the LoRA matrices")
    alpha: float | None = Field(
        None,
        gt=0,
        allow_inf_nan=False,
        description="the adapter is scaled by alpha / rank; None: twice the rank",
    )
    targets: str = Field(
        LINEAR, description="weights to adapt: all-linear, or names such as q_proj,v_proj"
    )
    dropout: float = Field(
        0.0, ge=0, lt=1, description="dropout probability of the adapter's input"
    )
    learning_rate: float = Field(
        5e-4, gt=0, allow_inf_nan=False, description="peak learning rate, after the warm-up"
    )
    warmup: float = Field(
        0.1,
        ge=0,
        lt=1,
        description="share of the steps in which the learning rate rises; it then decays as a "
        "cosine",
    )
    batch: int = Field(16, ge=1, description="number of examples per step")
    micro_batch: int | None = Field(
        None,
        ge=1,
        description="number of examples computed at once, a divisor of batch; None: as many as "
        "fit into memory",
    )
    steps: int | None = Field(
        None, ge=1, description="number of steps; None: as many as epochs takes"
    )
    epochs: float = Field(
        1.0, gt=0, allow_inf_nan=False, description="number of passes over the examples"
    )
    max_length: int = Field(
        1024,
        ge=8,
        description="maximum length of an example in tokens; longer examples are left out",
    )
    held_out: int | None = Field(
        None,
        ge=0,
        description="number of questions held out from the data for evaluation; None: a tenth of "
        "them, at most 64",
    )
    evaluate_every: int | None = Field(
        None,
        ge=1,
        description="number of steps between two evaluations, each with a checkpoint; None: a "
        "tenth of all steps",
    )
    patience: int = Field(
        3,
        ge=0,
        description="number of evaluations without a better loss after which training stops; 0: "
        "never",
    )
    quantize: Literal["none", "nf4"] = Field(
        "none",
        description="quantization of the base weights; nf4: 4 bits (QLoRA, arXiv 2305.14314)",
    )
    precision: Literal["float32", "bfloat16"] = Field(
        "float32", description="data type of the base weights and of the computation"
    )
    threads: int | None = Field(None, ge=1, description="CPU threads; None: torch's choice")
    seed: int = Field(
        0,
        ge=0,
        description="seed of the adapter's initialization, of the order of the examples, and of "
        "the held-out division",
    )

    @model_validator(mode="after")
    def _whole_batches(self) -> Self:
        if self.micro_batch and self.batch % min(self.micro_batch, self.batch):
            raise ValueError(f"micro_batch={self.micro_batch} doesn't divide batch={self.batch}")
        return self

    @property
    def scale(self) -> float:
        """The scale of the adapter: alpha / rank."""
        return (self.alpha or 2 * self.rank) / self.rank
