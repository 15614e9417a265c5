"""Lowers Python's switch interval while an engine is open.

A step calls into llama.cpp some hundred times. Each return waits for the GIL, which a busy thread
of the caller holds for one switch interval.
"""

from __future__ import annotations

import os
import sys
import threading

SWITCH_S = 0.00005

_lock = threading.Lock()
_engines = 0
_usual = 0.0  # before the first engine was opened


def lower() -> None:
    """Lower the interval for an engine that is being opened."""
    global _engines, _usual  # noqa: PLW0603 - the interval is the process's too
    with _lock:
        _engines += 1
        if _engines == 1:
            _usual = sys.getswitchinterval()
            sys.setswitchinterval(min(SWITCH_S, _usual))


def restore() -> None:
    """Restore the interval when the last engine has been closed."""
    global _engines  # noqa: PLW0603
    with _lock:
        _engines -= 1
        if not _engines:
            sys.setswitchinterval(_usual)


def _forget() -> None:
    """Reset the state in a forked child, which has none of the engines."""
    global _lock, _engines  # noqa: PLW0603
    _lock = threading.Lock()
    if _engines:
        _engines = 0
        sys.setswitchinterval(_usual)


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget)
