"""The page about comparing says what works."""

import re
from pathlib import Path

import pytest

from thinkgraph.evaluate.results import export
from thinkgraph.evaluate.runs.compare import DATABASE
from thinkgraph.graphs.catalogue import builtin_names
from thinkgraph.graphs.graph import load
from thinkgraph.graphs.runtime.models import Roles
from thinkgraph.models.errors import ThinkgraphError

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


def runs_on_an_endpoint(name, params):
    graph, model = load(name), Roles("openai:m@http://127.0.0.1:9/v1", {})
    if not set(params) <= set(graph.spec.params):
        return False
    try:
        graph.check_models(model, params)
    except ThinkgraphError:
        return False
    return True


def test_the_strategies_that_it_says_run_on_an_endpoint_do_and_no_others():
    told = re.search(
        r"Of the (\d+) built-in\s+strategies, (\d+) run on an endpoint:(.*?)\.\n", PAGE, re.S
    )
    first, *more = re.split(r"with `-p (.*?)`", told[3])
    plain = {name for name in builtin_names() if runs_on_an_endpoint(name, {})}
    assert set(re.findall(r"`(.*?)`", first)) == plain
    assert (int(told[1]), int(told[2])) == (len(builtin_names()), len(plain))
    for setting, names in zip(more[::2], more[1::2], strict=True):
        params = dict([setting.split("=")])
        able = {name for name in builtin_names() if runs_on_an_endpoint(name, params)}
        assert set(re.findall(r"`(.*?)`", names)) == able - plain
