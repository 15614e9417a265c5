"""llama.cpp's log, as a Python logger that says nothing unless asked."""

from __future__ import annotations

import logging

import llama_cpp.llama_cpp as llama

logger = logging.getLogger("thinkgraph.llama_cpp")
logger.addHandler(logging.NullHandler())
logger.propagate = False

_LEVELS = {1: logging.INFO, 2: logging.WARNING, 3: logging.ERROR, 4: logging.DEBUG}


@llama.llama_log_callback  # type: ignore[untyped-decorator]
def _log(level: int, text: bytes, _: object) -> None:
    # A continued line (level 5) is logged as detail of its own.
    logger.log(_LEVELS.get(level, logging.DEBUG), "%s", text.decode("utf-8", "replace").rstrip())


def capture() -> None:
    """Send llama.cpp's log to the logger ``thinkgraph.llama_cpp``."""
    llama.llama_log_set(_log, None)
