"""Where a model's weights are: mapped from the file, or in memory of the engine's own."""

from __future__ import annotations

import ctypes
import mmap
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from ..errors import ModelError
from .gguf_file import GgufHeader
from .library import llama
from .settings import EngineSettings

SHARE = 4  # of the memory available, weights may take this part unasked
HUGE_PAGE = 2 << 20
_LIMITS = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)


def load_weights(path: Path, settings: EngineSettings) -> Any:
    """Have llama.cpp load a model's weights.

    Raises:
        ModelError: it can't.
    """
    params = llama.llama_model_default_params()
    params.n_gpu_layers = settings.gpu_layers
    if settings.weights == "loaded":
        params.load_mode = llama.LLAMA_LOAD_MODE_NONE
    params.progress_callback = callback = llama.llama_progress_callback(_huge_pages())
    model = llama.llama_model_load_from_file(str(path).encode(), params)
    del callback  # llama.cpp has kept no reference of its own
    if not model:
        raise ModelError(
            f"llama.cpp can't load {path}; its log (logger thinkgraph.llama_cpp) says why"
        )
    return model


def place(header: GgufHeader, settings: EngineSettings) -> Literal["mapped", "loaded"]:
    """Where the weights are to be: as the settings say, or what suits the memory there is."""
    if settings.weights != "auto":
        return settings.weights
    files = header.metadata.get("split.count")
    size = header.size * (files if isinstance(files, int) else 1)
    fits = size * SHARE <= available_memory()
    return "loaded" if fits and not offloads(settings) else "mapped"


def offloads(settings: EngineSettings) -> bool:
    """Whether layers go to a GPU."""
    return settings.gpu_layers != 0 and bool(llama.llama_supports_gpu_offload())


def available_memory() -> int:
    """Bytes that programs here may take without swapping; 0 where the system doesn't say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        free = next(int(x.split()[1]) << 10 for x in lines if x.startswith("MemAvailable:"))
    except (OSError, StopIteration):
        return 0
    for limit in _LIMITS:  # a container's
        with suppress(OSError, ValueError):
            free = min(free, int(limit.read_text()))
    return free


def _huge_pages() -> Callable[[float, object], bool]:
    """What llama.cpp calls as it loads: at first, its memory is there and nothing is in it.

    With pages of 2 MiB the processor looks up addresses some five hundred times less often.
    """
    before = set(_regions())

    def advise(progress: float, _: object) -> bool:
        if progress == 0 and hasattr(mmap, "MADV_HUGEPAGE"):
            madvise = ctypes.CDLL(None).madvise
            for start, size in set(_regions()) - before:
                madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), mmap.MADV_HUGEPAGE)
        return True

    return advise


def _regions() -> Iterator[tuple[int, int]]:
    """Start and size in bytes of what this process has in memory of its own, where it's large."""
    try:
        lines = Path("/proc/self/maps").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        span, access, _, _, inode, *_ = line.split()
        start, end = (int(address, 16) for address in span.split("-"))
        if access == "rw-p" and inode == "0" and end - start >= HUGE_PAGE:
            yield start, end - start
