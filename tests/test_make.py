"""`make` sets an environment up without compiling what is there already."""

from __future__ import annotations

import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
FILES = (".ci/make_venv.py", "constraints.txt", "pyproject.toml")


def made(folder: Path, least: str = "0.3.35") -> str:
    """Run the script in a folder that asks for a version; what it prints."""
    for name in FILES:
        (folder / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    project = folder / "pyproject.toml"
    project.write_text(project.read_text("utf-8").replace(">=0.3.35", f">={least}"), "utf-8")
    command = [sys.executable, FILES[0]]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


@pytest.mark.slow
def test_a_llama_cpp_python_that_is_installed_is_used_and_may_have_any_new_enough_version(
    tmp_path: Path,
) -> None:
    for _ in range(2):  # what was linked is found again
        told = made(tmp_path)
        assert f"Using llama-cpp-python {version('llama-cpp-python')}" in told
    constraints = (tmp_path / ".venv" / "constraints.txt").read_text("utf-8")
    assert "llama_cpp_python" not in constraints and "numpy==" in constraints
    (site,) = (tmp_path / ".venv" / "lib").glob("python*/site-packages")
    links = {path.name.partition("-")[0] for path in site.iterdir() if path.is_symlink()}
    assert links == {"llama_cpp", "llama_cpp_python"}
    known = [str(tmp_path / ".venv" / "bin" / "python"), "-m", "pip", "show", "llama-cpp-python"]
    assert "Version" in subprocess.run(known, check=True, capture_output=True, text=True).stdout


def test_a_python_that_cannot_make_environments_names_the_missing_package(tmp_path: Path) -> None:
    """As that of Debian without python3-venv."""
    hide = "import runpy, sys; sys.modules['ensurepip'] = None; runpy.run_path({!r}, run_name={!r})"
    code = hide.format(str(ROOT / FILES[0]), "__main__")
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert done.returncode == 1 and "apt install python3-venv" in done.stderr
    assert "Traceback" not in done.stderr and not list(tmp_path.iterdir())


@pytest.mark.slow
def test_one_that_is_too_old_is_compiled_anew_in_the_pinned_version(tmp_path: Path) -> None:
    assert "Compiling llama.cpp" in made(tmp_path, least="99.0")
    assert "llama_cpp_python==" in (tmp_path / ".venv" / "constraints.txt").read_text("utf-8")


@pytest.mark.slow
def test_one_whose_code_for_amx_crashes_is_compiled_anew(tmp_path: Path) -> None:
    trial = tmp_path / "models" / "engine" / "llama" / "amx_trial.py"
    trial.parent.mkdir(parents=True)
    trial.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)", "utf-8")
    assert "Compiling llama.cpp" in made(tmp_path)
