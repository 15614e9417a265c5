"""The memory of a training step: how many examples are computed at once.

A process that takes more memory than there is gets killed without a message, so the default is
what an estimate says will fit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from thinkgraph.models.engine.machine import available_memory
from thinkgraph.train.errors import TrainError
from thinkgraph.train.example import Example

SHARE = 0.6
"""Share of the available memory that the estimate may fill."""
LOGIT_COPIES = 5
"""Copies of the logits: raw, upcast and shifted, log-probabilities, and two of gradients."""
HIDDEN_COPIES, MLP_COPIES = 16, 4
"""Vectors that a layer keeps per token for the backward pass: of the hidden size, of the MLP's."""


def micro_batch(model: Any, examples: Sequence[Example], batch: int, precision: str) -> int:
    """The largest divisor of the batch whose examples fit into the available memory.

    Args:
        model: the model with its weights loaded.
        examples: the training and the held-out examples; the longest one decides.
        batch: examples of a step.
        precision: float32 or bfloat16, of the computation.

    Raises:
        TrainError: not even one example fits.
    """
    free = _free(model)
    if free is None:
        return batch
    need = max(_bytes(model.config, each, 2 if precision == "bfloat16" else 4) for each in examples)
    fitting = [n for n in range(1, batch + 1) if batch % n == 0 and n * need <= SHARE * free]
    if not fitting:
        raise TrainError(
            f"the longest example takes some {need / 2**30:.1f} GiB, and {free / 2**30:.1f} GiB "
            "are free; lower --set max_length=…, or set micro_batch=1 to try it nevertheless"
        )
    return max(fitting)


def _bytes(config: Any, example: Example, width: int) -> int:
    """The estimate for one example; the output layer is computed for its answer only."""
    kept, tokens = len(example.answer) + 1, len(example.prompt) + len(example.answer)
    layer = HIDDEN_COPIES * config.hidden_size + MLP_COPIES * config.intermediate_size
    activations = tokens * config.num_hidden_layers * layer * width
    return int(activations + kept * config.vocab_size * LOGIT_COPIES * 4)


def _free(model: Any) -> int | None:
    """Bytes available where the model is, or will be, computed; None if unknown."""
    import torch

    if torch.cuda.is_available():
        return int(torch.cuda.mem_get_info()[0])
    return available_memory()
