"""The command line, called as a user calls it, within this process."""

import sys
from typing import NamedTuple

import pytest

from thinkgraph.cli import main
from thinkgraph.nodes import registry
from thinkgraph.nodes.sharing import IMPORT


class Outcome(NamedTuple):
    status: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch, capsys):
    def call(*words):
        monkeypatch.setattr(sys, "argv", ["thinkgraph", *map(str, words)])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main()
            sys.exit(0)
        printed = capsys.readouterr()
        return Outcome(ended.value.code or 0, printed.out, printed.err)

    return call


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry of the test's own."""
    monkeypatch.setattr(registry, "_registered", {})
    monkeypatch.setattr(registry, "_imported", {})
    monkeypatch.setenv(IMPORT, "")
