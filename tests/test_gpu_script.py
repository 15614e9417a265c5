"""`benchmarks/gpu.sh`: what it does when a part fails, with stand-ins for what is built and run."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PYTHON = """#!/bin/sh
echo "$@" >>"$FOLDER/calls"
case "$*" in
    *version*) echo 1 ;;
    "-m pytest"*) exit 1 ;;
    -) exit "$OFFLOADED" ;;
esac
"""


@pytest.fixture
def script(tmp_path):
    """Runs a step of the script; its status, what it prints, and what Python was asked to run."""
    tools = tmp_path / "bin"
    (tmp_path / "site-1" / "llama_cpp").mkdir(parents=True)
    (tmp_path / "tools" / "llama_cpp_python-1" / "vendor" / "llama.cpp").mkdir(parents=True)
    (tmp_path / "llama_cpp_python-1.tar.gz").touch()
    tools.mkdir()

    def run(step, *, cmake="#!/bin/sh\n", offloaded=0):
        for name, text in (("python", PYTHON), ("cmake", cmake), ("nvcc", "#!/bin/sh\nexit 1\n")):
            (tools / name).write_text(text)
            (tools / name).chmod(0o755)
        env = os.environ | {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "FOLDER": str(tmp_path),
            "OFFLOADED": str(offloaded),
        }
        command = ["bash", ROOT / "benchmarks" / "gpu.sh", step, tmp_path, "model.gguf"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr, (tmp_path / "calls").read_text()

    return run


def test_it_measures_though_a_test_fails(script):
    status, told, calls = script("all")
    assert status == 0
    assert "no nvcc in PATH" in told
    assert "tests failed" in told
    assert "engine.py --model model.gguf" in calls


def test_without_a_gpu_it_neither_tests_nor_measures(script):
    for step in ("test", "bench", "all"):
        status, _, calls = script(step, offloaded=1)
        assert status == 1
        assert "pytest" not in calls
        assert "engine.py" not in calls


def test_a_build_that_fails_says_why(script):
    status, told, calls = script("all", cmake="#!/bin/sh\necho no CUDA compiler\nexit 1\n")
    assert status == 1
    assert "no CUDA compiler" in told
    assert "engine.py" not in calls
