"""The conclusions of a comparison, as sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from thinkgraph.evaluate.analysis.difference import Difference, ErrorDifference
from thinkgraph.evaluate.analysis.statistics import Interval
from thinkgraph.evaluate.analysis.strategy import StrategySummary
from thinkgraph.evaluate.metrics.metric import Metric

_MANY = 10_000  # beyond it, a number of questions is impractical and isn't named exactly
_OFTEN = 0.1  # from this share of texts that reached max_tokens, a sentence says so


def found(
    strategies: Sequence[StrategySummary],
    differences: Sequence[Difference],
    thoughts: Sequence[Difference],
    metric: Metric,
    questions: int,
) -> Iterator[str]:
    """All sentences of a summary.

    Args:
        strategies: the baseline's first.
        differences: of the other strategies to the baseline.
        thoughts: differences of the costlier strategies to the direct answer.
        metric: defines what "right" means.
        questions: number of questions in the comparison.
    """
    yield _baseline(strategies[0], metric)
    for each in differences:
        yield _difference(each, questions, len(differences))
    for each in differences:
        if each.error is not None:
            yield _error(each, each.error)
    yield from _overthinking(thoughts)
    yield from _front(strategies)
    yield from _left_out(strategies, metric, questions)
    yield from _truncated(strategies)


class Beaten(NamedTuple):
    """A strategy off the Pareto front, and how far another is ahead of it for no more tokens.

    Attributes:
        strategy: the summary of the strategy off the front.
        gain: the other's mean score minus its own, on the questions that both answered, -1 to 1.
        interval: the confidence interval of `gain`.
    """

    strategy: StrategySummary
    gain: float
    interval: Interval


def equal_budget(best: StrategySummary, beaten: Sequence[Beaten]) -> str:
    """Say that a strategy does at least as well as others off the front for no more tokens."""
    ahead = [
        f"{one.label} ({_tokens(one)}, {_percent(one.share)}: "
        f"{_spread(100 * gain, 100 * interval.low, 100 * interval.high)})"
        for one, gain, interval in beaten
    ]
    what = f"{best.label} ({_tokens(best)}, {_percent(best.share)})"
    return f"For no more tokens, {what} does at least as well as {_listed(ahead)}."


def _baseline(strategy: StrategySummary, metric: Metric) -> str:
    if not strategy.questions:
        return f"{strategy.label} has answered no question yet."
    share = f"{_percent(strategy.share)} [{100 * strategy.low:.0f}, {100 * strategy.high:.0f}]"
    if strategy.right is None and not metric.estimates:
        return f"{strategy.label} scores {share} on {_count(strategy.questions)}."
    hits = round(strategy.share * strategy.questions)
    of = f"{hits:,} of {_count(strategy.questions)}"
    return f"{strategy.label} is {metric.claim} on {of}: {share}."


def _difference(each: Difference, questions: int, comparisons: int) -> str:
    pair = f"{each.label} and {each.baseline}"
    if not each.questions:
        return f"{pair} have no question in common yet."
    if each.sure:
        return f"{_claim(each)}{_on_both(each.questions, questions)}."
    on = f"on {_count(each.questions)}"
    if each.questions < questions:
        on = _on_both(each.questions, questions).strip()
    if not (each.gained or each.lost):
        width = f"[{_signed(each.low)}, {_signed(each.high)}]"
        return f"{pair} do alike {on}: no difference to be seen {width}."
    apart = _spread(each.points, each.low, each.high)
    unsure = f"{each.label} can't be told from {each.baseline} {on}: {apart}"
    if each.p < 0.05:
        unsure += f", not enough for one of {comparisons} comparisons"
    elif each.low > 0 or each.high < 0:
        unsure += ", too few to be sure"
    return f"{unsure}{_needed(each.needed)}."


def _claim(each: Difference) -> str:
    verdict, low, high = "better", each.low, each.high
    if each.points < 0:
        verdict, low, high = "worse", -each.high, -each.low
    points = f"{_points(abs(each.points))} [{_plain(low)}, {_plain(high)}]"
    return f"{each.label} is {verdict} than {each.baseline} by {points}"


def _on_both(count: int, questions: int) -> str:
    if count == questions:
        return ""
    return f" on the {_count(count)} that both have answered"


def _needed(needed: int | None) -> str:
    if needed is None:
        return ""
    if needed > _MANY:
        return f"; more than {_MANY:,} would be needed"
    unit = 10 ** max(len(str(needed)) - 2, 0)
    return f"; about {math.ceil(needed / unit) * unit:,} would be needed"


def _error(each: Difference, error: ErrorDifference) -> str:
    on = f"on the {_count(error.questions)} that both gave a number for"
    low, high = error.low, error.high
    whose = f"The mean absolute error of {each.label}"
    if not error.sure:
        spread = f"{_figures(error.mean)} [{_figures(low)}, {_figures(high)}]"
        return f"{whose} can't be told from that of {each.baseline} {on}: {spread}."
    verdict = "larger" if error.mean > 0 else "smaller"
    if error.mean < 0:
        low, high = -high, -low
    spread = f"{_figures(abs(error.mean))} [{_figures(low)}, {_figures(high)}]"
    return f"{whose} is {verdict} than that of {each.baseline} by {spread} {on}."


def _overthinking(thoughts: Sequence[Difference]) -> Iterator[str]:
    """Losses next to gains; harm is claimed only where it is significant."""
    for each in thoughts:
        if each.worse:
            yield (
                f"{each.label} overthinks: {each.baseline} does better on "
                f"{_count(len(each.lost))}, and it on {len(each.gained):,}."
            )
    helped = [_balance(each) for each in thoughts if each.better and each.lost]
    if helped:
        yield f"More thought than {thoughts[0].baseline} helps on the whole: {'; '.join(helped)}."
    unsure = [_balance(each) for each in thoughts if not each.sure and each.lost]
    if unsure:
        yield (
            f"Whether more thought than {thoughts[0].baseline} harms can't be told: "
            f"{'; '.join(unsure)}."
        )


def _balance(each: Difference) -> str:
    return f"{each.label} loses {len(each.lost):,} and gains {len(each.gained):,}"


def _front(strategies: Sequence[StrategySummary]) -> Iterator[str]:
    front = [each.label for each in strategies if each.on_front]
    if len(strategies) > 1 and front:
        yield f"As measured, the front of accuracy against tokens is {_listed(front)}."


def _left_out(
    strategies: Sequence[StrategySummary], metric: Metric, questions: int
) -> Iterator[str]:
    for each in strategies:
        if each.failures:
            wrong = "counted as wrong" if not metric.estimates else f"counted as not {metric.claim}"
            yield f"{each.label} failed on {_count(each.failures)}, {wrong}."
        if each.incomplete:
            count = _count(each.incomplete)
            yield f"Requests of {each.label} failed on {count}; the same command repeats them."
        if metric.estimates and each.abstained:
            yield (
                f"{each.label} gave no number for {_count(each.abstained)}: not {metric.claim}, "
                "and excluded from its mean errors."
            )
        if each.questions < questions:
            yield f"{each.label} has answered {each.questions:,} of {_count(questions)} so far."


def _truncated(strategies: Sequence[StrategySummary]) -> Iterator[str]:
    most_first = sorted(strategies, key=lambda each: -each.truncated)
    often = [each for each in most_first if each.truncated >= _OFTEN]
    shares = [f"{_percent(each.truncated)} of the texts of {each.label}" for each in often[:3]]
    if others := len(often[3:]):
        count = f"{others} other strateg{'y' if others == 1 else 'ies'}"
        shares.append(f"{_percent(_OFTEN)} or more of those of {count}")
    if shares:
        yield f"{_listed(shares)} reached max_tokens; a larger one may let them end."


def _count(questions: int) -> str:
    return f"{questions:,} question{'' if questions == 1 else 's'}"


def _tokens(strategy: StrategySummary) -> str:
    count = f"{strategy.tokens:,.0f}"
    return f"{count} token{'' if count == '1' else 's'}"


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %"


def _spread(points: float, low: float, high: float) -> str:
    """`+3 points [−5, +11]`."""
    unit = "point" if _plain(abs(points)) == "1" else "points"
    return f"{_signed(points)} {unit} [{_signed(low)}, {_signed(high)}]"


def _points(points: float) -> str:
    return f"{_plain(points)} point{'' if _plain(points) == '1' else 's'}"


def _plain(number: float) -> str:
    """A number without decimals, or with one where it would round to 0."""
    digits = 0 if abs(number) >= 0.5 else 1
    written = f"{number:.{digits}f}"
    return written.replace("-", "−") if float(written) else "0"


def _signed(number: float) -> str:
    written = _plain(number)
    return written if written == "0" or written[0] == "−" else f"+{written}"


def _figures(number: float) -> str:
    """A number with three significant digits; with an exponent only if very small or large."""
    if number and not 1e-3 <= abs(number) < 1e9:
        return f"{number:.3g}".replace("-", "−")
    digits = max(0, 2 - math.floor(math.log10(abs(number)))) if number else 0
    return f"{number:,.{digits}f}".replace("-", "−")


def _listed(things: Sequence[str]) -> str:
    return " and ".join([", ".join(things[:-1]), things[-1]]) if len(things) > 1 else things[0]
