"""The devices that llama.cpp can compute on, and their free memory."""

from __future__ import annotations

import ctypes
from typing import Any, NamedTuple

from thinkgraph.models.engine.llama.library import start
from thinkgraph.models.engine.machine import available_memory

_CPU, _GPU, _INTEGRATED = 0, 1, 2  # of ggml's enum of device types


class Device(NamedTuple):
    """A device that llama.cpp can compute on."""

    name: str
    """As llama.cpp names it: ``CUDA0``, ``CPU``."""
    free: int
    """Bytes of free memory."""
    total: int
    """Bytes of memory in total."""
    is_gpu: bool = True
    shares_memory: bool = False
    """Whether its memory is the CPU's, as an integrated GPU's is."""


def devices() -> list[Device]:
    """The GPUs that llama.cpp uses, in its order, followed by the CPU.

    Integrated GPUs are used only if there is no other GPU, and only those of one backend: a second
    backend may see the same ones.
    """
    start()
    ggml = _ggml()
    every = [ggml.ggml_backend_dev_get(n) for n in range(ggml.ggml_backend_dev_count())]
    gpus = [device for device in every if ggml.ggml_backend_dev_type(device) == _GPU]
    cpu = _device(ggml, ggml.ggml_backend_dev_by_type(_CPU))
    free = available_memory()  # ggml ignores containers, and on Linux the memory in use
    cpu = cpu._replace(free=cpu.free if free is None else free, is_gpu=False)
    if gpus:
        return [*(_device(ggml, gpu) for gpu in gpus), cpu]
    integrated = [d for d in every if ggml.ggml_backend_dev_type(d) == _INTEGRATED]
    backends = [ggml.ggml_backend_dev_backend_reg(device) for device in integrated]
    shared = [
        _device(ggml, gpu)
        for gpu, backend in zip(integrated, backends, strict=True)
        if backend == backends[0]
    ]
    return [
        *(gpu._replace(free=min(gpu.free, cpu.free), shares_memory=True) for gpu in shared),
        cpu,
    ]


def cpu_buffers() -> int:
    """The address of ggml's buffer type for the CPU's memory."""
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
        ("ggml_backend_dev_backend_reg", pointer, [pointer]),
        ("ggml_backend_dev_name", ctypes.c_char_p, [pointer]),
        ("ggml_backend_dev_memory", None, [pointer, size, size]),
        ("ggml_backend_dev_buffer_type", pointer, [pointer]),
    ):
        function = getattr(libggml, name)
        function.restype, function.argtypes = result, arguments
    return libggml
