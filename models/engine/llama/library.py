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
"""How long a thread of GNU's OpenMP spins for the others before it sleeps.

By default it spins for about a millisecond at each of the hundreds of barriers in a step.
Where other programs want the cores as well, that takes the core from the very thread it
waits for, and a step takes forty times as long. A tenth of it, to which OpenMP goes down by
itself once two engines have threads unless they wait actively, is too short: every barrier
then ends in sleep.
"""


@contextmanager
def _brief_spins() -> Iterator[None]:
    """Have OpenMP read the setting as it is loaded, and leave no trace for child processes."""
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


_LAST = 3  # lines of llama.cpp's log that stand in an error


class _Heard(threading.local):
    """What llama.cpp has warned of while this thread listened."""

    lines: deque[tuple[int, str]] | None = None


_heard = _Heard()


@llama.llama_log_callback  # type: ignore[untyped-decorator]
def _log(level: int, text: bytes, _: object) -> None:
    # A continued line (level 5) is logged as detail of its own.
    line = text.decode("utf-8", "replace").rstrip()
    logger.log(_LEVELS.get(level, logging.DEBUG), "%s", line)
    if _heard.lines is not None and _LEVELS.get(level, 0) >= logging.WARNING and line.strip():
        _heard.lines.append((_LEVELS[level], " ".join(line.split())))


@contextmanager
def listening() -> Iterator[deque[tuple[int, str]]]:
    """The last warnings and errors that llama.cpp logs on this thread within the block."""
    before, _heard.lines = _heard.lines, deque(maxlen=4 * _LAST)
    try:
        yield _heard.lines
    finally:
        _heard.lines = before


def because(lines: deque[tuple[int, str]]) -> str:
    """What llama.cpp logged last, as the end of an error's message: errors, else warnings."""
    errors = [line for level, line in lines if level >= logging.ERROR]
    last = (errors or [line for _, line in lines])[-_LAST:]
    if not last:
        return "; llama.cpp logged no reason (--debug shows all of its log)"
    return "; llama.cpp says: " + " | ".join(last)


_process = os.getpid()


def check_process() -> None:
    """Refuse a forked child where llama.cpp uses a GPU: the driver doesn't survive a fork.

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
    """Send llama.cpp's log to the logger ``thinkgraph.llama_cpp``, and make it ready."""
    llama.llama_log_set(_log, None)
    llama.llama_backend_init()
