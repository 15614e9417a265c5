"""The devices that llama.cpp can compute on, and the memory that each has left."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

from thinkgraph.models.engine.llama.library import start
from thinkgraph.models.engine.machine import available_memory

_CPU, _GPU = 0, 1  # of ggml's enum of device types; an integrated GPU (2) shares the CPU's memory


class Device(NamedTuple):
    """One device."""

    name: str
    """As llama.cpp names it: ``CUDA0``, ``CPU``."""
    free: int
    """Bytes that can be had now."""
    total: int
    """Bytes it has."""
    is_gpu: bool = True


def devices() -> list[Device]:
    """The GPUs, in llama.cpp's order, and the CPU behind them."""
    start()
    ggml = _ggml()
    found = []
    for index in range(ggml.ggml_backend_dev_count()):
        device = ggml.ggml_backend_dev_get(index)
        if ggml.ggml_backend_dev_type(device) == _GPU:
            found.append(_device(ggml, device))
    cpu = _device(ggml, ggml.ggml_backend_dev_by_type(_CPU))
    free = available_memory()  # ggml knows nothing of containers, and on Linux of what is in use
    found.append(cpu._replace(free=cpu.free if free is None else free, is_gpu=False))
    return found


def cpu_buffers() -> int:
    """The address of the kind of buffers that are in the CPU's memory."""
    ggml = _ggml()
    cpu = ggml.ggml_backend_dev_by_type(_CPU)
    return int(ggml.ggml_backend_dev_buffer_type(cpu))


def _device(ggml: Any, device: int) -> Device:
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    ggml.ggml_backend_dev_memory(device, ctypes.byref(free), ctypes.byref(total))
    return Device(ggml.ggml_backend_dev_name(device).decode(), free.value, total.value)


def _ggml() -> Any:
    """ggml's library, with the signatures that llama-cpp-python doesn't declare."""
    from llama_cpp._ggml import libggml  # noqa: PLC0415 - a part of llama-cpp-python without types

    pointer, size = ctypes.c_void_p, ctypes.POINTER(ctypes.c_size_t)
    for name, result, arguments in (
        ("ggml_backend_dev_count", ctypes.c_size_t, []),
        ("ggml_backend_dev_get", pointer, [ctypes.c_size_t]),
        ("ggml_backend_dev_by_type", pointer, [ctypes.c_int]),
        ("ggml_backend_dev_type", ctypes.c_int, [pointer]),
        ("ggml_backend_dev_name", ctypes.c_char_p, [pointer]),
        ("ggml_backend_dev_memory", None, [pointer, size, size]),
        ("ggml_backend_dev_buffer_type", pointer, [pointer]),
    ):
        function = getattr(libggml, name)
        function.restype, function.argtypes = result, arguments
    return libggml
