"""Write the Q5_0 tensors of a GGUF file as Q8_0, without changing any weight.

    python benchmarks/exact_q8.py qwen-0.5b.gguf faster.gguf

llama.cpp has no code for Q5_0 that uses Intel's AMX. A block of Q5_0 is a scale and 32 numbers from
-16 to 15; the same scale and numbers are a block of Q8_0. The file grows by 30 %, and a CPU with
AMX decodes large batches faster. If any weight differs, it ends with an error.
"""

from __future__ import annotations

import sys
from typing import Any

import gguf
import numpy as np

Q5, Q8 = gguf.GGMLQuantizationType.Q5_0, gguf.GGMLQuantizationType.Q8_0
BLOCK = 22  # bytes of a block of Q5_0: a half-float, 32 high bits, 32 times four low bits


def widened(data: Any) -> Any:
    """The blocks of a Q5_0 tensor, as bytes, as blocks of Q8_0."""
    blocks = data.reshape(-1, BLOCK)
    scale, low = blocks[:, :2], blocks[:, 6:]
    bits = blocks[:, 2:6].copy().view("<u4") >> np.arange(32, dtype=np.uint32) & 1
    numbers = np.concatenate([low & 15, low >> 4], axis=1).astype(np.int8)
    numbers += (bits << 4).astype(np.int8) - 16
    return np.concatenate([scale, numbers.view(np.uint8)], axis=1).reshape(*data.shape[:-1], -1)


def rewrite(source: str, target: str) -> None:
    """Copy a file, with its tensors of type Q5_0 in type Q8_0."""
    reader = gguf.GGUFReader(source)
    writer = gguf.GGUFWriter(target, reader.fields["general.architecture"].contents())
    for field in reader.fields.values():
        if not field.name.startswith("GGUF.") and field.name != "general.architecture":
            inner = field.types[-1] if field.types[0] == gguf.GGUFValueType.ARRAY else None
            writer.add_key_value(field.name, field.contents(), field.types[0], inner)
    for tensor in reader.tensors:
        wide = tensor.tensor_type == Q5
        data = widened(tensor.data) if wide else tensor.data
        kind = Q8 if wide else tensor.tensor_type
        writer.add_tensor(tensor.name, data, raw_shape=data.shape, raw_dtype=kind)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def check(source: str, target: str) -> None:
    """Compare all weights of two files."""
    pairs = zip(gguf.GGUFReader(source).tensors, gguf.GGUFReader(target).tensors, strict=True)
    for one, other in pairs:
        weights = [gguf.dequantize(each.data, each.tensor_type) for each in (one, other)]
        if one.name != other.name or not np.array_equal(*weights):
            sys.exit(f"{target}: the weights of {other.name} differ")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit("usage: exact_q8.py SOURCE TARGET")
    rewrite(*sys.argv[1:])
    check(*sys.argv[1:])
