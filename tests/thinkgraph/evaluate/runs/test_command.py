"""``thinkgraph compare``: a table, its files, a second start, and every bad input in one line."""

import csv
import json
import re

import pytest

from thinkgraph.evaluate.runs import config
from thinkgraph.models.backends.scripted import ScriptedModel

from .conftest import speak

GRAPHS = "direct,self-consistency@1,4"


@pytest.fixture
def data(tmp_path):
    file = tmp_path / "task.jsonl"
    lines = [{"id": f"q{n}", "question": f"What is {n} + 1?", "answer": n + 1} for n in range(5)]
    file.write_text("\n".join(map(json.dumps, lines)))
    return file


@pytest.fixture
def fixed(monkeypatch):
    """The texts of a scripted model, in place of the embedded one's."""
    model = ScriptedModel(speak, name="smollm2")
    monkeypatch.setattr(config, "load", lambda name, **settings: model)
    return model


def test_it_prints_a_table_and_writes_what_it_found(cli, data, fixed, tmp_path):
    out = tmp_path / "out"
    found = cli("compare", "--data", data, "--graphs", GRAPHS, "--out", out)
    assert found.status == 0
    for label in ("direct", "self-consistency@1", "self-consistency@4"):
        assert label in found.out
    assert "can't be told from direct" in " ".join(found.out.split())
    names = {file.name for file in out.iterdir()}
    assert {"comparison.sqlite", "index.html", "results.csv", "results.json"} <= names
    with (out / "results.csv").open(encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 5 * 3


def test_json_is_all_there_is_on_standard_output(cli, data, fixed, tmp_path):
    words = ("--graphs", GRAPHS, "--out", tmp_path / "out", "--json", "-q")
    found = cli("compare", "--data", data, *words)
    assert len(json.loads(found.out)["comparison"]["rows"]) == 15


def test_a_second_start_asks_nothing_and_says_the_same(cli, data, fixed, tmp_path):
    words = ("compare", "--data", data, "--graphs", GRAPHS, "--out", tmp_path / "out", "--json")
    first, asked = cli(*words), len(fixed.calls)
    again = cli(*words)
    assert len(fixed.calls) == asked
    assert "15 runs were kept from before" in again.err
    rows = [
        sorted(map(json.dumps, json.loads(found.out)["comparison"]["rows"]))
        for found in (first, again)
    ]
    assert rows[0] == rows[1]


def test_another_metric_needs_no_new_run(cli, data, fixed, tmp_path):
    words = ("compare", "--data", data, "--graphs", GRAPHS, "--out", tmp_path / "out")
    cli(*words)
    asked = len(fixed.calls)
    found = cli(*words, "--metric", "estimate:50%")
    assert found.status == 0
    assert "mae" in found.out.lower()
    assert len(fixed.calls) == asked


@pytest.mark.slow
def test_the_embedded_model_is_compared_on_its_own_task(cli, tmp_path):
    words = ("--graphs", "direct,program-aided,self-consistency@2", "-p", "max_tokens=24")
    found = cli("compare", "--data", "word-problems:3", *words, "--out", tmp_path / "out", "--json")
    rows = json.loads(found.out)["comparison"]["rows"]
    assert len(rows) == 9
    assert all(row["tokens"] > 0 and row["failure"] is None for row in rows)


def test_runs_that_fail_are_told_after_the_table(cli, data, fixed, tmp_path):
    fixed.context_length = 6
    found = cli("compare", "--data", data, "--graphs", "direct,debate", "--out", tmp_path / "out")
    assert found.status == 0
    assert "failed, and counted as wrong: 5 of 10 runs" in found.err
    assert "The same command tries them again" in found.err


BROKEN = '{"question": "a", "answer": "1"}\n{"question": "b", \n{"question": "c", "answer": "3"}\n'
NO_ANSWER = '{"question": "a", "answer": "1"}\n{"question": "b"}\n'
TWICE = '{"id": 7, "question": "a", "answer": "1"}\n{"id": 7, "question": "b", "answer": "2"}\n'


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (BROKEN, r"line 2\b"),
        (NO_ANSWER, r"'answer'.*line 2\b"),
        (TWICE, r"'7' at line 1, line 2"),
        ("", "empty|no question"),
        ("\n \n", "empty|no question"),
    ],
    ids=["a broken line", "a missing field", "an id twice", "an empty file", "blank lines"],
)
def test_bad_data_is_one_message_before_anything_runs(cli, fixed, tmp_path, content, says):
    file = tmp_path / "bad.jsonl"
    file.write_text(content)
    found = cli("compare", "--data", file, "--graphs", GRAPHS, "--out", tmp_path / "out")
    assert found.status == 2
    assert found.out == ""
    assert "bad.jsonl" in found.err
    assert re.search(says, found.err)
    assert "Traceback" not in found.err
    assert fixed.calls == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--data", "none.jsonl", "--graphs", "direct"), "none.jsonl"),
        (("--data", "word-problems:2", "--graphs", "direct,dirct"), "dirct"),
        (("--data", "word-problems:2", "--graphs", "direct,direct"), "twice"),
        (("--data", "word-problems:2", "--graphs", "direct", "--metric", "exct"), "exact"),
        (("--data", "word-problems:2", "--graphs", "direct", "-p", "sampels=3"), "sampels"),
        (("--data", "word-problems:2", "--graphs", "direct", "--metric", "choice"), "options"),
        (("--data", "word-problems:2", "--graphs", "direct", "-m", "smolm2"), "smollm2"),
    ],
)
def test_a_mistake_is_one_line_and_status_2(cli, tmp_path, words, says):
    found = cli("compare", *words, "--out", tmp_path / "out", "-q")
    assert found.status == 2
    assert found.out == ""
    assert says in found.err
    assert len(found.err.strip().splitlines()) == 1


def test_a_folder_that_can_not_be_made_is_said(cli, data, fixed, tmp_path):
    (tmp_path / "file").write_text("")
    words = ("--graphs", GRAPHS, "--out", tmp_path / "file", "-q")
    found = cli("compare", "--data", data, *words)
    assert found.status == 2
    assert "can't make the folder" in found.err
