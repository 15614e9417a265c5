"""The page about comparing says what works."""

import re
from pathlib import Path

import pytest

from thinkgraph.evaluate.results import export
from thinkgraph.evaluate.runs.compare import DATABASE

PAGE = (Path(__file__).parents[3] / "docs" / "comparing.md").read_text("utf-8")


@pytest.mark.slow
def test_its_python_runs(tmp_path, monkeypatch, capsys):
    (program,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    monkeypatch.chdir(tmp_path)
    exec(program.replace(":20", ":2").replace("100}", "8}"), {})
    assert "direct" in capsys.readouterr().out
    assert (tmp_path / "comparison" / "comparison.sqlite").exists()


def test_the_files_that_it_names_are_those_that_are_written():
    named = set(re.findall(r"`([a-z]+\.[a-z]+)`", PAGE))
    assert {"results.csv", "results.json", "table.md", "index.html", DATABASE} <= named
    assert export.COLUMNS[0] == "question"
