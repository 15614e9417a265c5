"""Bad specs, each with the report that it should get.

The first line of each says which codes are expected, at which line and column. The whole report
stands beside it; ``THINKGRAPH_UPDATE=1 pytest tests/graphs/checker/test_gallery.py`` writes it.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from thinkgraph.graphs.checker.check import check_files, render

BAD = Path(__file__).parent / "bad"
SPECS = sorted(path.name for path in BAD.glob("*.yaml"))


@pytest.fixture(autouse=True)
def inside(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD)


@pytest.mark.parametrize("name", SPECS)
def test_every_mistake_is_found_at_its_place(name: str):
    first = Path(name).read_text().splitlines()[0]
    expected = first.removeprefix("# ").split(", ")
    own = [found for found in check_files([name]) if found.file == name]
    found = [f"{each.code} {each.line}:{each.column}" for each in own]
    assert sorted(found) == sorted(expected)


@pytest.mark.parametrize("name", SPECS)
def test_the_report_reads_as_written_down(name: str):
    expected = Path(name).with_suffix(".txt")
    report = render(check_files([name])) + "\n"
    if os.environ.get("THINKGRAPH_UPDATE"):
        expected.write_text(report)
    assert report == expected.read_text()


def test_there_are_at_least_forty_of_one_mistake_and_some_of_several():
    mistakes = [len(Path(name).read_text().splitlines()[0].split(",")) for name in SPECS]
    assert sum(count == 1 for count in mistakes) >= 40
    assert sum(count >= 3 for count in mistakes) >= 5
