"""The columns of a comparison's table, for the terminal, Markdown and the HTML page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from thinkgraph.evaluate.analysis.summary import Difference, StrategySummary, Summary

NOTHING = "–"


class Line(NamedTuple):
    """One line of the table: a strategy."""

    strategy: StrategySummary
    difference: Difference | None
    """None for the baseline."""


class Column(NamedTuple):
    """A column: its heading, cells, sort key (lines with the key None come last) and help text."""

    head: str
    cell: Callable[[Line], str]
    key: Callable[[Line], float | None]
    about: str


def lines(summary: Summary) -> Iterator[Line]:
    """A line for each strategy, in the summary's order."""
    differences = {found.label: found for found in summary.differences}
    for strategy in summary.strategies:
        yield Line(strategy, differences.get(strategy.label))


def accuracy(summary: Summary) -> list[Column]:
    """The columns about accuracy, and about the difference to the baseline."""
    found = summary.strategies
    columns = list(_share(summary.measure))
    if len({strategy.questions for strategy in found}) > 1:
        columns.append(_count("answered", "questions", "questions that it has answered so far"))
    columns += [_error(name) for name in _errors(summary)]
    if any(strategy.abstained for strategy in found):
        columns.append(
            _count("silent", "abstained", "runs in whose text the metric could read none")
        )
    if any(strategy.failures for strategy in found):
        columns.append(_count("failed", "failures", "runs that ended with an error: wrong"))
    return columns + (_against(summary.differences[0].baseline) if summary.differences else [])


def cost(summary: Summary) -> list[Column]:
    """The columns about the cost per question, and about the Pareto front."""
    per = {"right": "tokens/right", "within": "tokens/hit", "score": "tokens/point"}
    return [
        _mean("tokens", "tokens", 0, "sampled a question, as if the strategy ran alone"),
        _mean("prompt", "prompt_tokens", 0, "prompt tokens a question, once a call"),
        _mean("calls", "calls", 1, "model calls a question"),
        Column(
            "seconds",
            lambda line: _number(line.strategy.seconds or None, 2),
            lambda line: line.strategy.seconds or None,
            "a question: its tokens at the comparison's pace",
        ),
        Column(
            per[summary.measure],
            lambda line: _number(line.strategy.tokens_per_right, 0),
            lambda line: line.strategy.tokens_per_right,
            "sampled tokens for one right answer, or for a total score of 1",
        ),
        Column(
            "front",
            lambda line: "◆" if line.strategy.on_front else "",
            lambda line: float(line.strategy.on_front),
            "◆: no other is at least as right for fewer tokens, on the questions of both",
        ),
    ]


def signed(points: float) -> str:
    """Rounded percentage points with their sign; 0 has none."""
    rounded = round(points)
    return f"{rounded:+d}".replace("-", "−") if rounded else "0"


def difference(found: Difference) -> str:
    """A difference with its interval, in percentage points: ``+21 [+12, +30]``."""
    return f"{signed(found.points)} [{signed(found.low)}, {signed(found.high)}]"


def verdict(found: Difference) -> str:
    """The claim about a difference: better, worse, or not sure."""
    if not found.sure:
        return "not sure"
    return "better" if found.points > 0 else "worse"


def percent(share: float) -> str:
    """A share, 0 to 1, as a percentage."""
    return f"{100 * share:.1f}%"


def interval(strategy: StrategySummary) -> str:
    """The 95 % interval of a strategy's share."""
    return f"{100 * strategy.low:.0f} to {100 * strategy.high:.0f}%"


def _share(head: str) -> Iterator[Column]:
    yield Column(
        head,
        lambda line: percent(line.strategy.share) if line.strategy.questions else NOTHING,
        lambda line: line.strategy.share if line.strategy.questions else None,
        "mean score, 0 to 1" if head == "score" else "share of the questions",
    )
    yield Column(
        "95 %",
        lambda line: interval(line.strategy) if line.strategy.questions else NOTHING,
        lambda line: line.strategy.low if line.strategy.questions else None,
        "interval of the share: Wilson's, or a bootstrap's of scores between 0 and 1",
    )


def _errors(summary: Summary) -> list[str]:
    """The names of all errors, without ``within``, which the share shows already."""
    names = dict.fromkeys(name for found in summary.strategies for name in found.errors)
    return [name for name in names if name != "within"]


def _error(name: str) -> Column:
    def found(line: Line) -> float | None:
        return line.strategy.errors.get(name)

    return Column(name, lambda line: _figures(found(line)), found, "less is better")


def _count(head: str, field: str, about: str) -> Column:
    def found(line: Line) -> int:
        return int(getattr(line.strategy, field))

    return Column(head, lambda line: str(found(line)), found, about)


def _mean(head: str, field: str, decimals: int, about: str) -> Column:
    def found(line: Line) -> float | None:
        return float(getattr(line.strategy, field)) if line.strategy.questions else None

    return Column(head, lambda line: _number(found(line), decimals), found, about)


def _against(baseline: str) -> list[Column]:
    def points(line: Line) -> float | None:
        return line.difference.points if line.difference else None

    def sureness(line: Line) -> float | None:
        return line.difference.p_adjusted if line.difference else None

    return [
        Column(
            "points",
            lambda line: difference(line.difference) if line.difference else NOTHING,
            points,
            f"more than {baseline} has, with the 95 % interval: a paired bootstrap",
        ),
        Column(
            "claim",
            lambda line: verdict(line.difference) if line.difference else "baseline",
            sureness,
            "whether the difference is sure: a paired test, corrected for many (Holm)",
        ),
    ]


def _number(value: float | None, decimals: int) -> str:
    return NOTHING if value is None else f"{value:.{decimals}f}"


def _figures(value: float | None) -> str:
    """A number with at least three significant digits, with an exponent only where needed."""
    if value is None:
        return NOTHING
    return f"{value:.0f}" if 100 <= abs(value) < 1e9 else f"{value:.3g}"
