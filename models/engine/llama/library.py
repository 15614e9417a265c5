"""The llama.cpp library: loaded once, with its log sent to Python's logging."""

from __future__ import annotations

import importlib
import logging
import os
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

from thinkgraph.models.errors import ModelError

logger = logging.getLogger("thinkgraph.llama_cpp")
logger.addHandler(logging.NullHandler())
logger.propagate = False

SPINS = "1000"
"""Spin count of GNU's OpenMP: how long a thread spins at a barrier before it sleeps.

By default it spins for about a millisecond at each of the hundreds of barriers in a step.
If other programs use the cores too, that takes the core from the very thread that it waits
for, and a step takes forty times as long. A tenth of this count, to which OpenMP goes down
by itself once two engines have threads unless they wait actively, is too short: every
barrier then ends in sleep.
"""


@contextmanager
def _brief_spins() -> Iterator[None]:
    """Set the spin count while OpenMP is loaded, without passing it on to child processes."""
    if {"GOMP_SPINCOUNT", "OMP_WAIT_POLICY"} & os.environ.keys():
        yield
        return
    os.environ |= {"GOMP_SPINCOUNT": SPINS, "OMP_WAIT_POLICY": "active"}
    try:
        yield
    finally:
        del os.environ["GOMP_SPINCOUNT"], os.environ["OMP_WAIT_POLICY"]


with _brief_spins():
    llama: Any = importlib.import_module("llama_cpp.llama_cpp")

_LEVELS = {1: logging.DEBUG, 2: logging.INFO, 3: logging.WARNING, 4: logging.ERROR}


_LAST = 3  # lines of llama.cpp's log that an error quotes


class _Heard(threading.local):
    """llama.cpp's warnings and errors in the current :func:`listening` block of this thread."""

    lines: deque[tuple[int, str]] | None = None


_heard = _Heard()


@llama.llama_log_callback  # type: ignore[untyped-decorator]
def _log(level: int, text: bytes, _: object) -> None:
    # A continued line (level 5) is logged separately, for debugging.
    line = text.decode("utf-8", "replace").rstrip()
    logger.log(_LEVELS.get(level, logging.DEBUG), "%s", line)
    if _heard.lines is not None and _LEVELS.get(level, 0) >= logging.WARNING and line.strip():
        _heard.lines.append((_LEVELS[level], " ".join(line.split())))


@contextmanager
def listening() -> Iterator[deque[tuple[int, str]]]:
    """Collect the last warnings and errors that llama.cpp logs on this thread in the block."""
    before, _heard.lines = _heard.lines, deque(maxlen=4 * _LAST)
    try:
        yield _heard.lines
    finally:
        _heard.lines = before


def because(lines: deque[tuple[int, str]]) -> str:
    """llama.cpp's last errors, or else warnings, as the end of an error's message."""
    errors = [line for level, line in lines if level >= logging.ERROR]
    last = (errors or [line for _, line in lines])[-_LAST:]
    if not last:
        return "; llama.cpp logged no reason (--debug shows all of its log)"
    if unknown := next((line for line in errors if "unknown model architecture" in line), None):
        hint = "; a newer llama-cpp-python may know it: pip install --upgrade llama-cpp-python"
        return f"; llama.cpp says: {unknown}{hint}"
    return "; llama.cpp says: " + " | ".join(last)


_process = os.getpid()


def check_process() -> None:
    """Refuse a forked child if llama.cpp uses a GPU: the driver doesn't survive a fork.

    Raises:
        ModelError: this process is a child of the one that loaded llama.cpp for a GPU.
    """
    if os.getpid() != _process and llama.llama_supports_gpu_offload():
        raise ModelError(
            "llama.cpp can't use the GPU in a process that was forked after it was loaded; "
            "start the process with multiprocessing's spawn or forkserver"
        )


@cache
def start() -> None:
    """Initialize llama.cpp, and send its log to the logger ``thinkgraph.llama_cpp``."""
    llama.llama_log_set(_log, None)
    llama.llama_backend_init()
