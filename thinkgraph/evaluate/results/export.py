"""Export of a comparison to files, for people and for other tools.

``results.json`` has everything, as :class:`Results` documents it. ``results.csv`` has a line for
each row, for spreadsheets and data frames. Spreadsheets interpret a cell that begins with ``=``,
``+``, ``-`` or ``@`` as a formula, and models write such texts; so an apostrophe precedes them,
unless they are numbers, such as ``-5``. For the exact texts, read the JSON.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field

from thinkgraph.evaluate.analysis.summary import Summary
from thinkgraph.evaluate.results import plot
from thinkgraph.evaluate.results.page import Correct, to_html
from thinkgraph.evaluate.results.table import markdown
from thinkgraph.evaluate.runs.comparison import Comparison
from thinkgraph.evaluate.runs.row import Row
from thinkgraph.evaluate.runs.variant import Variant
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.evaluate.tasks.task import Task
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Frozen

COLUMNS = (
    *("question", "strategy", "answer", "reference", "right"),
    *("tokens", "prompt_tokens", "calls", "seconds"),
    *("drafts", "votes", "tie", "cut", "failure", "group"),
)
FORMULA = tuple("=+-@\t\r\n＝＋－＠")
"""Characters that may start a formula in a spreadsheet, including full-width forms."""


class ExportError(ThinkgraphError):
    """The results can't be written."""


class Judgement(Frozen):
    """Whether one strategy's answer to one question is right."""

    question: str
    strategy: str
    right: bool | None = Field(
        description="whether the answer is right; None: the metric has no right and wrong"
    )


class Results(Frozen):
    """The content of ``results.json``."""

    version: Literal[1] = Field(1, description="version of the file's format")
    comparison: Comparison
    summary: Summary
    judgements: tuple[Judgement, ...] = Field(description="one for each row, in the rows' order")


def to_json(comparison: Comparison, summary: Summary, correct: Correct) -> str:
    """Everything as JSON of :class:`Results`; numbers that aren't finite become null."""
    judgements = tuple(
        Judgement(question=row.question, strategy=row.strategy, right=_mark(row, correct))
        for row in comparison.rows
    )
    results = Results(comparison=comparison, summary=summary, judgements=judgements)
    return results.model_dump_json(indent=1) + "\n"


def to_csv(comparison: Comparison, correct: Correct) -> str:
    """CSV with a line for each row, ordered by question and then by strategy.

    ``right`` is ``true``, ``false`` or empty; ``votes`` is a JSON object; ``seconds`` are the
    row's tokens at the comparison's pace. Missing answers are empty.
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row, question in _ordered(comparison):
        line = {
            **row.model_dump(include=set(COLUMNS)),
            "group": question.group,
            "reference": question.reference,
            "right": _mark(row, correct),
            "seconds": f"{row.tokens * comparison.pace(row.strategy):.4g}",
            "drafts": len(row.drafts),
            "votes": json.dumps(row.votes, ensure_ascii=False),
        }
        writer.writerow({name: _cell(value) for name, value in line.items()})
    return text.getvalue()


def read_results(out: Path) -> Results | None:
    """The results in a folder; None if there are none that can be read."""
    try:
        return Results.model_validate_json((out / "results.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None


def check_out(out: Path, task: Task, variants: Sequence[Variant], model: str, seed: int) -> None:
    """Refuse a folder with the results of another comparison, which would be overwritten.

    A comparison with the same data, model and seed, and more strategies or questions, counts as
    the same.

    Raises:
        ExportError: the folder has other results; the message says which, and what to do.
    """
    file = out / "results.json"
    try:
        there = json.loads(file.read_text(encoding="utf-8"))["comparison"]
        before = {
            "data": there["task"],
            "model": there["model"],
            "seed": there["seed"],
        }
        lost = [v["label"] for v in there["variants"]]
        questions = {question["id"] for question in there["questions"]}
    except (OSError, ValueError, KeyError, TypeError):
        return
    now = {"data": task.name, "model": model, "seed": seed}
    changed = [f"{name} {before[name]}" for name in now if before[name] != now[name]]
    if not changed and not questions & {question.id for question in task.questions}:
        changed = [f"other questions of the name {task.name}"]
    missing = sorted({*lost} - {variant.label for variant in variants})
    if not changed and missing:
        changed = [f"strategies that are not asked for now: {', '.join(missing)}"]
    if changed:
        raise ExportError(
            f"{out} has the results of another comparison ({'; '.join(changed)}); "
            "give another --out, or --replace to overwrite them (samples are kept)"
        )


def export(out: Path, comparison: Comparison, summary: Summary, correct: Correct) -> list[Path]:
    """Write all results into a folder, which is created if missing, and return the files' paths.

    These are results.json, results.csv, table.md, index.html, and both plots as SVG and PNG. Each
    file is replaced atomically, so that a full disk leaves the previous version intact.

    Raises:
        ExportError: a file can't be written.
    """
    written = []
    for name, content in _files(comparison, summary, correct):
        try:
            out.mkdir(parents=True, exist_ok=True)
            written.append(_replace(out / name, content))
        except OSError as error:
            raise ExportError(
                f"{out / name} can't be written: {error.strerror or error}; no answer is lost, "
                "run the same command again with room there or another --out"
            ) from None
    return written


def _files(
    comparison: Comparison, summary: Summary, correct: Correct
) -> Iterator[tuple[str, bytes]]:
    yield "results.json", to_json(comparison, summary, correct).encode()
    yield "results.csv", to_csv(comparison, correct).encode()
    yield "table.md", markdown(summary).encode()
    yield "index.html", to_html(comparison, summary, correct).encode()
    yield from plot.files(summary)


def _replace(path: Path, content: bytes) -> Path:
    part = path.with_name(f".{path.name}.part")
    try:
        part.write_bytes(content)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)
    return path


def _ordered(comparison: Comparison) -> Iterator[tuple[Row, Question]]:
    """Each row with its question, question by question."""
    rows = {(row.question, row.strategy): row for row in comparison.rows}
    for question in comparison.questions:
        for variant in comparison.variants:
            if row := rows.get((question.id, variant.label)):
                yield row, question


def _mark(row: Row, correct: Correct) -> bool | None:
    return correct.get((row.question, row.strategy))


def _cell(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    text = str(value)
    return f"'{text}" if text.startswith(FORMULA) and not _is_number(text) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
