"""Results as files: all of it comes back, nothing in it is a formula, nothing is half written."""

import csv
import io
import json

import pytest

from thinkgraph.evaluate.results.export import ExportError, Results, export, to_csv, to_json


def table(made):
    return list(csv.DictReader(io.StringIO(to_csv(made.comparison, made.correct))))


def answering(made, answer):
    row = made.comparison.rows[0].model_copy(update={"answer": answer})
    return made._replace(comparison=made.comparison.model_copy(update={"rows": (row,)}))


def test_json_comes_back_as_the_comparison_it_was(made):
    found = Results.model_validate_json(to_json(*made))
    assert (found.comparison, found.summary) == (made.comparison, made.summary)
    assert {(j.question, j.strategy): j.right for j in found.judgements} == made.correct


def test_csv_has_a_line_for_each_row_in_the_order_of_questions_and_strategies(made):
    lines = table(made)
    asked = [q.id for q in made.comparison.questions]
    labels = [v.label for v in made.comparison.variants]
    assert [(x["question"], x["strategy"]) for x in lines] == [
        (q, s) for q in asked for s in labels
    ]
    rows = {(r.question, r.strategy): r for r in made.comparison.rows}
    for line in lines:
        row = rows[line["question"], line["strategy"]]
        assert int(line["tokens"]) == row.tokens
        assert line["right"] == str(made.correct[row.question, row.strategy]).lower()
        assert json.loads(line["votes"]) == row.votes


@pytest.mark.parametrize(
    "answer", ["=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "＝1"]
)
def test_a_formula_is_made_text(made, answer):
    assert table(answering(made, answer))[0]["answer"] == f"'{answer}"


@pytest.mark.parametrize("answer", ["-5", "+3.5", "-1e3", "5-3", "a = b"])
def test_a_number_or_an_ordinary_text_stays_as_it_is(made, answer):
    assert table(answering(made, answer))[0]["answer"] == answer


def test_missing_answers_and_marks_are_empty(made):
    silent = answering(made, None)._replace(correct={})
    assert (table(silent)[0]["answer"], table(silent)[0]["right"]) == ("", "")


def test_nothing_answered_yet_is_a_table_with_a_head(made):
    empty = made.comparison.model_copy(update={"rows": ()})
    assert to_csv(empty, {}).splitlines()[0].startswith("question,strategy,answer")


@pytest.mark.slow
def test_all_files_are_written_and_written_again(made, tmp_path):
    out = tmp_path / "a" / "b"
    first = {path.name: path.read_bytes() for path in export(out, *made)}
    assert {"results.json", "results.csv", "index.html", "tradeoff.svg", "table.md"} < set(first)
    assert {path.name: path.read_bytes() for path in export(out, *made)} == first
    assert {path.name for path in out.iterdir()} == set(first)


@pytest.mark.slow
def test_a_file_that_cannot_be_written_leaves_the_one_before(made, tmp_path, monkeypatch):
    export(tmp_path, *made)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(self, content):
        with self.open("wb") as part:
            part.write(content[:10])
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("pathlib.Path.write_bytes", full)
    with pytest.raises(ExportError, match=r"results\.json can't be written: No space left"):
        export(tmp_path, *made)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_folder_that_is_a_file_is_an_error_in_words(made, tmp_path):
    (tmp_path / "out").write_text("x")
    with pytest.raises(ExportError, match="can't be written"):
        export(tmp_path / "out", *made)
