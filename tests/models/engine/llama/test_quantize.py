"""One matrix in another type."""

import gguf
import numpy as np
import pytest

from thinkgraph.models.engine.llama.quantize import quantized


@pytest.mark.parametrize(("kind", "within"), [("F32", 0), ("BF16", 0.02), ("Q6_K", 0.1)])
def test_a_matrix_is_in_another_type_what_it_was(kind, within):
    values = np.random.default_rng(0).normal(size=(3, 512)).astype(np.float32)
    own = gguf.GGMLQuantizationType[kind]
    block, size = gguf.GGML_QUANT_SIZES[own]
    made = quantized(values, own, 512 // block * size)
    assert np.abs(gguf.dequantize(made, own) - values).max() <= within
