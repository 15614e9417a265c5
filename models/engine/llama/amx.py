"""Whether llama.cpp's code for Intel's AMX works, as it was compiled.

GCC before 12.4 and 13.3 drops a part of the tile configuration (GCC bug 114098). llama.cpp, if
compiled by it for a CPU with AMX, ends the process with SIGILL at the first batch of more than one
token. So a child process tries AMX before the first model is loaded.
"""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from functools import cache
from pathlib import Path

from thinkgraph.models.engine.llama.library import llama, start

TRIAL = Path(__file__).with_name("amx_trial.py")
SECONDS = 30
"""The longest time that the child process may take."""
FLAGS = "-fno-dse -fno-tree-dse"
"""Flags that compile it right with those versions of GCC; ``make`` sets them on a CPU with AMX."""
logger = logging.getLogger("thinkgraph")


@cache
def amx_works() -> bool:
    """Whether models may be loaded for AMX; a warning says how to compile llama.cpp anew if not.

    True as well where llama.cpp has no code for AMX, and where no child process can try it.
    """
    start()
    if b"AMX_INT8 = 1" not in llama.llama_print_system_info() or getattr(sys, "frozen", False):
        return True
    from llama_cpp._ggml import libggml  # noqa: PLC0415 - a part of llama-cpp-python without types

    if crashes(libggml._name):
        logger.warning(
            "llama.cpp's code for this CPU's AMX doesn't work, due to a fault of the compiler "
            "(GCC before 12.4 and 13.3): models run without AMX, more slowly. Compile it anew: "
            'CXXFLAGS="%s" pip install --force-reinstall --no-deps --no-cache-dir llama-cpp-python',
            FLAGS,
        )
        return False
    return True


def crashes(library: str, trial: Path = TRIAL) -> bool:
    """Whether the trial dies of an illegal instruction with this library of ggml."""
    command = [sys.executable, "-P", str(trial), library]
    try:
        done = subprocess.run(command, check=False, capture_output=True, timeout=SECONDS)  # noqa: S603 (our own file)
    except (OSError, subprocess.TimeoutExpired) as error:
        logger.warning("%s doesn't run: %s", " ".join(command), error)
        return False
    return done.returncode == -getattr(signal, "SIGILL", 0) != 0
