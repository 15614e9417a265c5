"""Progress: what is done, what is kept, what failed, and how often each is right so far."""

import io

import pytest
from rich.console import Console

from thinkgraph.evaluate.metrics.find import find_metric
from thinkgraph.evaluate.results.progress import ComparisonProgress, token_lines
from thinkgraph.evaluate.runs.row import Row
from thinkgraph.evaluate.runs.variant import Variant
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.evaluate.tasks.task import Task

TASK = Task(
    name="sums",
    questions=tuple(Question(id=str(n), text=f"{n} + 1?", reference=str(n + 1)) for n in range(4)),
)
VARIANTS = [Variant(label=name, graph=name) for name in ("direct", "debate")]


def row(question, strategy, answer):
    cost = {"tokens": 1, "prompt_tokens": 1, "calls": 1}
    return Row(question=str(question), strategy=strategy, answer=answer, text="", **cost)


def shown(rows, *, terminal):
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100, highlight=False)
    with ComparisonProgress(TASK, VARIANTS, find_metric("exact"), console=console) as progress:
        for given in rows:
            progress.take(*given)
    return console.file.getvalue()


ROWS = [
    (row(0, "direct", "1"), True),
    (row(0, "debate", "2"), False),
    (row(1, "direct", "5"), False),
    (Row.failed("1", "debate", "too long"), False),
]


@pytest.mark.parametrize("terminal", [True, False])
def test_the_last_state_tells_shares_kept_rows_and_failures(terminal):
    text = shown(ROWS, terminal=terminal)
    assert "direct 50%, debate 0%; 1 run was kept from before; 1 failed" in text


def test_a_pipe_gets_plain_lines_with_the_count():
    text = shown(ROWS, terminal=False)
    assert text.startswith("4 of 8 runs, ")
    assert "\x1b" not in text


def test_a_terminal_gets_a_bar_of_what_this_start_has_to_do():
    assert "3/7" in shown(ROWS, terminal=True)


@pytest.mark.parametrize("terminal", [True, False])
def test_tokens_are_told_before_the_first_run_ends(terminal, monkeypatch):
    monkeypatch.setattr("thinkgraph.evaluate.results.progress.EVERY", 0)
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100, highlight=False)
    with ComparisonProgress(TASK, VARIANTS, find_metric("exact"), console=console) as progress:
        progress.spend(1200)
        progress.spend(34)
    text = console.file.getvalue()
    assert "1,234 tokens, " in text
    assert "so far" not in text


def test_work_without_a_bar_tells_its_tokens_from_time_to_time(monkeypatch):
    lines = []
    monkeypatch.setattr("thinkgraph.evaluate.results.progress.EVERY", 3600)
    spend = token_lines(lines.append)
    spend(1200)
    assert not lines
    monkeypatch.setattr("thinkgraph.evaluate.results.progress.EVERY", 0)
    spend(34)
    assert len(lines) == 1 and lines[0].startswith("1,234 tokens, ")


def test_who_has_no_row_yet_has_no_share():
    assert "debate" not in shown(ROWS[:1], terminal=False)


def test_nothing_is_shown_when_quiet(capsys):
    with ComparisonProgress(TASK, VARIANTS, find_metric("exact"), shown=False) as progress:
        progress.take(*ROWS[0])
    assert capsys.readouterr() == ("", "")
