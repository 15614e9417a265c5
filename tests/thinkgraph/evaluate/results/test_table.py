"""The table of a comparison: all of it is there, in 80 columns, in a pipe and in Markdown."""

import io

import pytest
from rich.console import Console

from thinkgraph.evaluate.analysis.summary import Difference, StrategySummary, Summary
from thinkgraph.evaluate.results.columns import accuracy, cost, difference, lines, signed, verdict
from thinkgraph.evaluate.results.table import markdown, report


def printed(made, width=80, **settings):
    stream = io.StringIO()
    report(made.comparison, made.summary, Console(file=stream, width=width, **settings))
    return stream.getvalue()


def found(points=21.0, low=12.0, high=30.0, p=0.001):
    return Difference(
        label="b", baseline="a", points=points, low=low, high=high, p=p, p_adjusted=p,
        gained=(), lost=(), needed=None,
    )  # fmt: skip


def strategy(**changed):
    values = {
        "label": "a", "questions": 10, "right": 5, "share": 0.5, "low": 0.2, "high": 0.8,
        "abstained": 0, "failures": 0, "tokens": 10, "prompt_tokens": 5, "calls": 1,
        "seconds": 0.1, "tokens_per_right": 20, "on_front": True,
    }  # fmt: skip
    return StrategySummary(**values | changed)


def of(*strategies, differences=(), measure="right"):
    return Summary(
        measure=measure,
        strategies=strategies,
        differences=differences,
        overthought={},
        equal_budget=(),
        sentences=(),
    )


def test_a_pipe_gets_one_table_without_colours_or_boxes(made):
    text = printed(made)
    assert sum(line.startswith("strategy") for line in text.splitlines()) == 1
    assert "\x1b" not in text
    assert not set(text) & set("│┃┏┓└┘━─…")


def test_every_strategy_stands_with_its_numbers_whole(made):
    text = printed(made)
    for line in lines(made.summary):
        s = line.strategy
        assert f"{100 * s.share:.1f}%" in text
        assert text.count(f"\n{s.label} ") == 1
        if line.difference:
            assert difference(line.difference) in text


def test_a_wide_terminal_gets_one_table(made):
    text = printed(made, width=160)
    assert sum(line.startswith("strategy") for line in text.splitlines()) == 1
    assert "points" in text and "tokens/right" in text


def test_sentences_come_whole_and_wrapped(made):
    seen = " ".join(printed(made).split())
    assert all(said in seen for said in made.summary.sentences)


def test_a_label_that_looks_like_markup_or_steers_the_terminal_is_text(made):
    first = made.summary.strategies[0].model_copy(update={"label": "[red]x[/red]\x1b[2J"})
    told = made.summary.model_copy(update={"strategies": (first,)})
    text = printed(made._replace(summary=told), force_terminal=True, color_system=None)
    assert "[red]x[/red] [2J" in text
    assert "\x1b[2J" not in text


def test_what_is_still_missing_is_said(made):
    rows = made.comparison.rows[:-3]
    half = made.comparison.model_copy(update={"rows": rows})
    assert "3 answers are still missing" in printed(made._replace(comparison=half), width=160)


@pytest.mark.parametrize(
    ("points", "p", "said"), [(5.0, 0.01, "better"), (-5.0, 0.01, "worse"), (5.0, 0.2, "not sure")]
)
def test_only_what_is_sure_is_claimed(points, p, said):
    assert verdict(found(points=points, p=p)) == said


def test_points_are_signed_and_nothing_is_minus_zero():
    assert [signed(x) for x in (20.6, -3.2, -0.4, 0.0)] == ["+21", "−3", "0", "0"]
    assert difference(found(low=-2)) == "+21 [−2, +30]"


def test_estimates_show_their_errors_and_the_share_within():
    errors = {"mae": 1234.5, "rmsle": 0.4567, "within": 0.5}
    told = of(strategy(right=None, errors=errors), measure="within")
    cells = {column.head: column.cell(next(lines(told))) for column in accuracy(told)}
    assert cells == {"within": "50.0%", "95 %": "20 to 80%", "mae": "1234", "rmsle": "0.457"}


def test_what_is_not_finished_shows_how_many_questions_each_has_answered():
    told = of(strategy(), strategy(label="b", questions=7))
    (column,) = (each for each in accuracy(told) if each.head == "answered")
    assert [column.cell(line) for line in lines(told)] == ["10", "7"]


def test_scores_have_their_own_heads():
    told = of(strategy(right=None), measure="score")
    heads = [column.head for column in [*accuracy(told), *cost(told)]]
    assert "score" in heads and "tokens/point" in heads and "within" not in heads


def test_silence_and_failures_have_columns_where_there_are_some():
    assert [c.head for c in accuracy(of(strategy()))] == ["right", "95 %"]
    heads = [c.head for c in accuracy(of(strategy(abstained=2, failures=1)))]
    assert heads == ["right", "95 %", "silent", "failed"]


def test_a_strategy_not_yet_asked_has_no_numbers():
    told = of(strategy(questions=0, right=0, share=0, tokens_per_right=None))
    assert {column.cell(next(lines(told))) for column in accuracy(told)} == {"–"}


def test_markdown_is_a_table_that_a_label_cannot_break(made):
    first = made.summary.strategies[0].model_copy(update={"label": "a|b`c\n<i>"})
    text = markdown(made.summary.model_copy(update={"strategies": (first,)}))
    table = [line for line in text.splitlines() if line.startswith("|")]
    bars = {line.replace("\\|", "").count("|") for line in table}
    assert len(table) == 3 and len(bars) == 1
    assert "<i>" not in text and "a\\|bc &lt;i>" in text
    assert all(f"- {said}" in text for said in made.summary.sentences)
