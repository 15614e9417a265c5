"""Make .venv, and compile llama.cpp only if this Python has no llama-cpp-python that will do.

`make` runs this with $(PYTHON). Where that Python's environment has a llama-cpp-python that is new
enough, .venv gets links to it. What pip may install goes to .venv/constraints.txt: constraints.txt,
without the version of llama-cpp-python if one is installed already or comes as a wheel ($WHEELS).
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import sysconfig
import venv
from collections.abc import Sequence
from importlib.metadata import Distribution, distributions
from importlib.util import find_spec
from pathlib import Path

NAME = "llama-cpp-python"
VENV = Path(".venv").absolute()
TRIAL = Path("models/engine/llama/amx_trial.py")


def numbers(version: str) -> list[int]:
    """The parts of a version, to be compared."""
    return [int(part) for part in re.findall(r"\d+", version)]


def new_enough(path: Sequence[str]) -> Distribution | None:
    """The llama-cpp-python on a search path that is as new as pyproject.toml asks for, if any."""
    (least,) = set(re.findall(rf'"{NAME}>=([\d.]+)"', Path("pyproject.toml").read_text("utf-8")))
    found = next(iter(distributions(name=NAME, path=list(path))), None)
    return found if found and numbers(found.version) >= numbers(least) else None


def works() -> bool:
    """Whether this Python can load it, and its code for AMX was compiled right.

    A library that it needs may be gone; what a compiler may do to AMX is told in
    models/engine/llama/amx.py.
    """
    load = [sys.executable, "-c", "from llama_cpp._ggml import libggml; print(libggml._name)"]
    loaded = subprocess.run(load, capture_output=True, check=False, text=True)  # noqa: S603 (this Python)
    if loaded.returncode:
        return False
    trial = [sys.executable, str(TRIAL), loaded.stdout.strip()]
    tried = subprocess.run(trial, capture_output=True, check=False)  # noqa: S603 (our own file)
    return tried.returncode != -getattr(signal, "SIGILL", 0)


def link(found: Distribution, folder: Path) -> None:
    """Show a package, and what pip knows of it, in another environment."""
    package = Path(str(find_spec("llama_cpp").origin)).parent  # type: ignore[union-attr]
    (metadata,) = (file for file in found.files or () if file.name == "METADATA")
    about = Path(str(found.locate_file(metadata))).parent
    for target in (package, about):
        (folder / target.name).symlink_to(target)


def main() -> None:
    """Make the environment and its constraints."""
    if find_spec("ensurepip") is None:
        sys.exit("Python's ensurepip is missing; on Debian and Ubuntu: apt install python3-venv")
    if not (VENV / "bin" / "python").exists():
        venv.create(VENV, with_pip=True, symlinks=True)
    site = Path(sysconfig.get_path("purelib", "venv", {"base": str(VENV)}))
    installed = new_enough([str(site)])
    if installed is None and (other := new_enough(sys.path)) and works():
        link(other, site)
        installed = other
    if installed:
        place = Path(str(installed.locate_file("")))
        print(f"Using {NAME} {installed.version} of {place}")
    lines = Path("constraints.txt").read_text("utf-8").splitlines(keepends=True)
    if installed or os.environ.get("WHEELS"):
        lines = [line for line in lines if not line.startswith("llama_cpp_python==")]
    else:
        print("Compiling llama.cpp, once: about six minutes on two cores; pip keeps the result")
    (VENV / "constraints.txt").write_text("".join(lines), encoding="utf-8")


if __name__ == "__main__":
    main()
