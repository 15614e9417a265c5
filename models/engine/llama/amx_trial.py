"""Multiply two matrices with AMX: a program of its own, since a faulty llama.cpp ends its process.

    python amx_trial.py LIBRARY

LIBRARY is the path of ggml's shared library.
"""

import ctypes
import itertools
import sys
from typing import Any

_CPU, _F32, _Q8_0 = 0, 0, 8  # of ggml's enums of device types and tensor types
_INNER, _OUTER, _ROWS = 256, 64, 32  # several tiles in each direction


class _Arena(ctypes.Structure):
    """ggml_init_params: the memory of a context."""

    _fields_ = (("size", ctypes.c_size_t), ("buffer", ctypes.c_void_p), ("bare", ctypes.c_bool))


def multiply(ggml: Any) -> None:
    """Multiply a matrix in AMX's layout by several rows, if ggml can use AMX on this machine."""
    device = ggml.ggml_backend_dev_by_type(_CPU)
    if not (buffers := _amx_buffers(ggml, device)):
        return
    weights = ggml.ggml_init(_Arena(1 << 16, None, True))
    matrix = ggml.ggml_new_tensor_2d(weights, _Q8_0, _INNER, _OUTER)
    ggml.ggml_backend_alloc_ctx_tensors_from_buft(weights, buffers)
    arena = ggml.ggml_init(_Arena(1 << 22, None, False))
    rows = ggml.ggml_new_tensor_2d(arena, _F32, _INNER, _ROWS)
    graph = ggml.ggml_new_graph(arena)
    ggml.ggml_build_forward_expand(graph, ggml.ggml_mul_mat(arena, matrix, rows))
    ggml.ggml_backend_graph_compute(ggml.ggml_backend_dev_init(device, None), graph)


def _amx_buffers(ggml: Any, device: int) -> int | None:
    """The type of buffers whose matrices are multiplied with AMX."""
    registry = ggml.ggml_backend_dev_backend_reg(device)
    address = ggml.ggml_backend_reg_get_proc_address(registry, b"ggml_backend_dev_get_extra_bufts")
    signature = ctypes.CFUNCTYPE(ctypes.POINTER(ctypes.c_void_p), ctypes.c_void_p)
    kinds = itertools.takewhile(bool, signature(address)(device))
    return next((kind for kind in kinds if ggml.ggml_backend_buft_name(kind) == b"AMX"), None)


def _load(path: str) -> Any:
    """ggml's library, with the signatures of what is called here."""
    ggml = ctypes.CDLL(path)
    pointer, int64 = ctypes.c_void_p, ctypes.c_int64
    for name, result, arguments in (
        ("ggml_backend_dev_by_type", pointer, [ctypes.c_int]),
        ("ggml_backend_dev_backend_reg", pointer, [pointer]),
        ("ggml_backend_reg_get_proc_address", pointer, [pointer, ctypes.c_char_p]),
        ("ggml_backend_buft_name", ctypes.c_char_p, [pointer]),
        ("ggml_backend_alloc_ctx_tensors_from_buft", pointer, [pointer, pointer]),
        ("ggml_backend_dev_init", pointer, [pointer, ctypes.c_char_p]),
        ("ggml_backend_graph_compute", ctypes.c_int, [pointer, pointer]),
        ("ggml_init", pointer, [_Arena]),
        ("ggml_new_tensor_2d", pointer, [pointer, ctypes.c_int, int64, int64]),
        ("ggml_mul_mat", pointer, [pointer, pointer, pointer]),
        ("ggml_new_graph", pointer, [pointer]),
        ("ggml_build_forward_expand", None, [pointer, pointer]),
    ):
        function = getattr(ggml, name)
        function.restype, function.argtypes = result, arguments
    return ggml


if __name__ == "__main__":
    multiply(_load(sys.argv[1]))
