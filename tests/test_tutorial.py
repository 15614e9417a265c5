"""The tutorial, done by a machine: its files are written, its commands run, their output compared.

    python tests/test_tutorial.py

writes the real output into the tutorial, save where three dots stand in it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

TUTORIAL = Path(__file__).parents[1] / "docs" / "tutorial.md"
BLOCK = re.compile(r"^```(\w+)(?: (\S+))?\n(.*?)^```$", re.MULTILINE | re.DOTALL)
DOTS = "..."


class Command(NamedTuple):
    """A command of the tutorial, and what it says is printed."""

    text: str
    output: str
    files: dict[str, str]
    """The tutorial's files, as they are when the command runs."""


def commands(text: str) -> Iterator[Command]:
    files: dict[str, str] = {}
    for kind, name, body in BLOCK.findall(text):
        if name:
            files[name] = body
        elif kind == "console":
            for piece in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
                line, _, output = piece.partition("\n")
                yield Command(line, output, dict(files))


class Shell:
    """Runs commands in a folder, as a person would after installing the package."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._status = folder, 0
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        self._environment = {**os.environ, "PATH": path, "XDG_CACHE_HOME": str(folder / "cache")}
        self._environment |= {"COLUMNS": "100", "NO_COLOR": "1", "PYTHONIOENCODING": "utf-8"}

    def run(self, command: Command) -> str:
        if command.text == "echo $?":
            return f"{self._status}\n"
        for name, body in command.files.items():
            (self._folder / name).write_text(body, "utf-8")
        done = subprocess.run(
            ["bash", "-c", command.text],
            check=False,
            cwd=self._folder,
            env=self._environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=200,
        )
        self._status = done.returncode
        return "".join(f"{line.rstrip()}\n" for line in done.stdout.splitlines())


def pattern(output: str) -> str:
    """What output the tutorial's text stands for: a line of three dots is any lines."""
    lines = [
        r"(?:.*\n)*" if line == DOTS else ".*".join(map(re.escape, line.split(DOTS))) + r"\n"
        for line in output.splitlines()
    ]
    return "".join(lines)


@pytest.mark.slow
@pytest.mark.timeout(400)
def test_every_command_of_the_tutorial_prints_what_it_says(tmp_path: Path) -> None:
    shell, found = Shell(tmp_path), list(commands(TUTORIAL.read_text("utf-8")))
    assert len(found) > 10
    for command in found:
        printed = shell.run(command)
        assert re.fullmatch(pattern(command.output), printed), f"$ {command.text}\n{printed}"


def test_dots_stand_for_what_differs_and_for_nothing_else() -> None:
    assert re.fullmatch(pattern("a ... c\n"), "a b c\n")
    assert re.fullmatch(pattern("a\n...\nd\n"), "a\nb\nc\nd\n")
    assert not re.fullmatch(pattern("a.c\n"), "abc\n")
    assert not re.fullmatch(pattern("a\n"), "a\nb\n")


def test_every_block_of_the_tutorial_is_used() -> None:
    text = TUTORIAL.read_text("utf-8")
    assert text.count("\n```") == 2 * len(BLOCK.findall(text)) + 2  # the installation is not run
    assert len(list(commands(text))) > 10


def write() -> None:
    text = TUTORIAL.read_text("utf-8")
    with tempfile.TemporaryDirectory() as folder:
        shell = Shell(Path(folder))
        for command in commands(text):
            printed = shell.run(command)
            if DOTS not in command.output:
                old, new = f"$ {command.text}\n{command.output}", f"$ {command.text}\n{printed}"
                # A command may come twice: the first that has the old output is the one.
                at = text.index(old, text.index(command.files["my-refine.yaml"]))
                text = text[:at] + new + text[at + len(old) :]
    TUTORIAL.write_text(text, "utf-8")


if __name__ == "__main__":
    write()
