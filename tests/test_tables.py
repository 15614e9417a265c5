"""benchmarks/tables.py: what is kept of a comparison, and the tables that are made of it."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest

from thinkgraph.evaluate.analysis.summary import summarize
from thinkgraph.evaluate.metrics.find import find_metric
from thinkgraph.evaluate.results.export import Judgement, Results
from thinkgraph.evaluate.runs.comparison import Comparison
from thinkgraph.evaluate.runs.row import Row
from thinkgraph.evaluate.runs.variant import Variant
from thinkgraph.evaluate.tasks.question import Question

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "tables.py"
PAGE = "# Results\n\n<!-- table one -->\nstale\n<!-- end -->\n\nMore.\n"


@pytest.fixture
def script(tmp_path, monkeypatch):
    spec = importlib.util.spec_from_file_location("tables", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PAGE", tmp_path / "results.md")
    monkeypatch.setattr(module, "RESULTS", tmp_path / "results")
    table = module.Table("tiny", "task.jsonl", 4, "direct,vote")
    monkeypatch.setattr(module, "TABLES", {"one": table, "two": table})
    module.PAGE.write_text(PAGE)
    return module


@pytest.fixture
def folder(tmp_path):
    """A comparison: the vote loses two of four questions, one of which has a longer text."""
    answers = {"direct": "7777", "vote": "7887"}
    texts = {"7": "It is 7.", "8": "Let me `think`. It is 8."}
    questions = [
        Question(id=f"q{n}", text=f"Question {n}?{'!' * n}", reference="7") for n in range(4)
    ]
    rows = [
        Row(
            question=f"q{n}",
            strategy=label,
            answer=answer,
            text=texts[answer],
            tokens=9,
            prompt_tokens=9,
            calls=1,
        )
        for label, given in answers.items()
        for n, answer in enumerate(given)
    ]
    comparison = Comparison(
        task="task",
        model="tiny",
        seed=0,
        metric="exact",
        variants=tuple(Variant(label=label, graph="direct") for label in answers),
        questions=tuple(questions),
        rows=tuple(rows),
    )
    judgements = [
        Judgement(question=row.question, strategy=row.strategy, right=row.answer == "7")
        for row in rows
    ]
    summary = summarize(comparison, find_metric("exact"))
    made = Results(comparison=comparison, summary=summary, judgements=tuple(judgements))
    (tmp_path / "results.json").write_text(made.model_dump_json())
    return tmp_path


def test_a_comparison_is_kept_without_its_answers_texts_but_for_an_example(script, folder):
    script.keep("one", folder)
    kept, summary, shown = script.read("one")
    assert [each.share for each in summary.strategies] == [1.0, 0.5]
    assert not any(row.text for row in kept.rows)
    assert all(each.text for each in kept.questions)  # "as a percentage" may stand there
    assert shown == [
        {
            "question": "Question 1?!",
            "right": "It is 7.",
            "strategy": "vote",
            "wrong": "Let me `think`. It is 8.",
        }
    ]


def test_its_table_takes_its_place_in_the_page_with_the_example(script, folder, capsys):
    script.keep("one", folder)
    script.write(["one", "two"])
    page = script.PAGE.read_text()
    assert "| `vote` | 50.0% |" in page and "stale" not in page and page.endswith("\n\nMore.\n")
    assert "- `Question 1?!` Right: `It is 7.` Wrong, by `vote`: `Let me 'think'. It is 8.`" in page
    assert capsys.readouterr().out.startswith("one: 4 questions")
    script.write(["one"])
    assert script.PAGE.read_text() == page


def test_a_table_without_a_place_is_told_and_the_others_are_written(script, folder, capsys):
    script.keep("two", folder)
    script.keep("one", folder)
    with pytest.raises(SystemExit, match="has no place for <!-- table two -->"):
        script.write(["two", "one"])
    assert "stale" not in script.PAGE.read_text()
    assert capsys.readouterr().out.count("\n") == 1


def test_one_that_fails_does_not_end_the_others(script, folder, tmp_path, monkeypatch, capsys):
    def compare(words, check):
        out = Path(words[words.index("--out") + 1])
        if out.name == "one":
            return subprocess.CompletedProcess(words, 2)
        out.mkdir(parents=True)
        (folder / "results.json").rename(out / "results.json")
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(script.subprocess, "run", compare)
    script.PAGE.write_text(PAGE.replace("one", "two"))
    monkeypatch.setattr(sys, "argv", ["tables.py", "run", "--runs", str(tmp_path / "runs")])
    with pytest.raises(SystemExit, match="failed, as said above: one"):
        script.main()
    assert "| `vote` |" in script.PAGE.read_text()
    monkeypatch.setattr(sys, "argv", ["tables.py", "keep", "--runs", str(tmp_path / "none")])
    script.main()  # nothing was run, so that nothing is kept


def test_fitted_params_of_a_tables_model_compete_too(script, tmp_path, monkeypatch):
    monkeypatch.setattr(script, "PARAMS", tmp_path)
    for name in ("tiny.vote.yaml", "other.vote.yaml"):
        (tmp_path / name).touch()
    parsed = type("Options", (), dict.fromkeys(["data", "models", "runs"], tmp_path))
    parsed.threads = 2
    parsed.options = ""
    words = script.command("one", parsed)
    assert [words[n + 1] for n, word in enumerate(words) if word == "--params"] == [
        str(tmp_path / "tiny.vote.yaml")
    ]
