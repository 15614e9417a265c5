"""What is slow to import is imported by those who need it, and by nobody else."""

from __future__ import annotations

import subprocess
import sys

import pytest

SLOW = {
    "llama_cpp",
    "langgraph",
    "langchain_core",
    "huggingface_hub",
    "latex2sympy2_extended",
    "sympy",
}
COMMANDS = "import sys; from thinkgraph.cli import main; sys.argv = ['thinkgraph', *{}]; main()"


def loaded(program: str) -> set[str]:
    """The slow modules that a program of its own process has loaded in the end."""
    ending = "import atexit, sys; atexit.register(lambda: print('\\n', *sys.modules, sep='\\n'))\n"
    done = subprocess.run(
        [sys.executable, "-c", ending + program],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    names = set(done.stdout.split())
    assert "thinkgraph" in names
    return names & SLOW


@pytest.mark.slow
@pytest.mark.parametrize(
    "program",
    [
        "import thinkgraph",
        "import thinkgraph; thinkgraph.load('self-consistency')",
        "from thinkgraph import Graph, Generate, Vote, START, END, Spec",
        COMMANDS.format(["list"]),
        COMMANDS.format(["--help"]),
        COMMANDS.format(["check", "self-refine"]),
    ],
)
def test_neither_llama_cpp_nor_langgraph_is_loaded(program: str) -> None:
    assert loaded(program) == set()


@pytest.mark.slow
def test_a_compiled_graph_loads_langgraph_and_no_llama_cpp() -> None:
    program = "import thinkgraph; thinkgraph.load('direct').compile()"
    assert "langgraph" in loaded(program)
    assert "llama_cpp" not in loaded(program)
