"""The summary of a comparison: accuracy, cost and significance of each strategy."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import Literal

from pydantic import Field

from thinkgraph.evaluate.analysis import sentences
from thinkgraph.evaluate.analysis.difference import Difference, ErrorDifference
from thinkgraph.evaluate.analysis.scores import StrategyScores, mean, score_all
from thinkgraph.evaluate.analysis.statistics import (
    Interval,
    difference_interval,
    holm,
    mean_interval,
    paired_test,
    questions_needed,
    score_interval,
    wilson,
)
from thinkgraph.evaluate.analysis.strategy import StrategySummary
from thinkgraph.evaluate.metrics.metric import Metric
from thinkgraph.evaluate.runs.comparison import Comparison
from thinkgraph.models.model import Frozen

__all__ = ["Difference", "ErrorDifference", "StrategySummary", "Summary", "summarize"]


Interval3 = tuple[float, float, float]


class Group(Frozen):
    """Scores of the strategies on the questions of one group."""

    name: str
    questions: int = Field(
        description="number of questions that every strategy has answered, so that shares are "
        "comparable"
    )
    shares: dict[str, Interval3] = Field(
        description="share with the lower and upper end of its interval, 0 to 1, by the "
        "strategy's label"
    )


class Summary(Frozen):
    """The strategies, in the order of the comparison, with their differences and conclusions."""

    strategies: tuple[StrategySummary, ...]
    differences: tuple[Difference, ...] = Field(
        description="difference of each other strategy from the baseline"
    )
    overthought: dict[str, tuple[str, ...]] = Field(
        description="ids of the questions on which a costlier strategy does worse than the direct "
        "answer, by the strategy's label; some are due to chance"
    )
    overthinking: tuple[str, ...] = Field(
        (),
        description="labels of costlier strategies that are significantly worse than the direct "
        "answer",
    )
    equal_budget: tuple[str, ...] = Field(
        description="sentences on strategies that do at least as well as others for no more tokens"
    )
    sentences: tuple[str, ...] = Field(description="findings in plain words")
    groups: tuple[Group, ...] = Field(
        (), description="results by group of questions; empty: the questions have no groups"
    )
    measure: Literal["right", "within", "score"] = Field(
        "right",
        description="what the shares measure: right answers, estimates within the tolerance, or "
        "mean scores from 0 to 1",
    )


def summarize(
    comparison: Comparison, metric: Metric, results: Sequence[StrategyScores] | None = None
) -> Summary:
    """Summarize a comparison, finished or not.

    Two strategies are compared on the questions that both have answered. A failed run counts as
    a wrong answer. Shares of right answers have a Wilson interval, differences a paired bootstrap
    interval; each strategy is tested against the baseline, with Holm's correction for the number
    of tests.

    Args:
        comparison: the questions, strategies and rows.
        metric: judges the answers.
        results: every row with its score, if already known; otherwise all rows are scored now.

    Raises:
        MetricError: a metric from another package failed.
    """
    results = results or score_all(comparison, metric)  # a user's metric may be slow: score once
    baseline = results[0]
    direct = next(
        (s for s, v in zip(results, comparison.variants, strict=True) if v.graph == "direct"),
        baseline,
    )
    strategies = _summaries(results, metric, comparison)
    differences = _differences(results, baseline, comparison.seed)
    # If the direct answer is the baseline, reuse its tests, so that the two can't contradict.
    thoughts = differences if direct is baseline else _differences(results, direct, comparison.seed)
    models = {variant.label: variant.model for variant in comparison.variants}
    thoughts = [
        each
        for each in thoughts
        if _costlier(results, each) and models[each.label] == models[direct.label]
    ]
    return Summary(
        strategies=tuple(strategies),
        differences=tuple(differences),
        overthought={each.label: each.lost for each in thoughts if each.lost},
        overthinking=tuple(each.label for each in thoughts if each.worse),
        equal_budget=tuple(_equal_budget(strategies, results, comparison.seed)),
        sentences=tuple(
            sentences.found(strategies, differences, thoughts, metric, len(comparison.questions))
        ),
        groups=tuple(_groups(results, comparison)),
        measure=_measure(strategies, metric),
    )


def _measure(
    strategies: Sequence[StrategySummary], metric: Metric
) -> Literal["right", "within", "score"]:
    if metric.estimates:
        return "within"
    return "score" if any(each.right is None for each in strategies) else "right"


def _groups(results: Sequence[StrategyScores], comparison: Comparison) -> Iterator[Group]:
    names = sorted({question.group for question in comparison.questions})
    begun = [result for result in results if result.scores]
    for name in names if names != [""] else ():
        members = [
            each.id
            for each in comparison.questions
            if each.group == name and all(each.id in result.scores for result in begun)
        ]
        shares = {}
        for result in begun if members else ():
            values = [result.scores[id].value for id in members]
            low, high = _share_interval(values, comparison.seed)
            shares[result.label] = (mean(values), low, high)
        yield Group(name=name or "(none)", questions=len(members), shares=shares)


def _summaries(
    results: Sequence[StrategyScores], metric: Metric, comparison: Comparison
) -> list[StrategySummary]:
    strategies = [_summary_of(result, metric, comparison) for result in results]
    return [
        each.model_copy(update={"on_front": _on_front(result, results)})
        for each, result in zip(strategies, results, strict=True)
    ]


def _summary_of(result: StrategyScores, metric: Metric, comparison: Comparison) -> StrategySummary:
    rows, scores = list(result.rows.values()), list(result.scores.values())
    values, ended = [score.value for score in scores], [row for row in rows if row.failure is None]
    total, tokens = math.fsum(values), result.tokens([*result.rows])
    low, high = _share_interval(values, comparison.seed)
    drafts = [draft for row in rows for draft in row.drafts if draft.live]
    judged = not metric.estimates and all(value in (0, 1) for value in values)
    return StrategySummary(
        label=result.label,
        questions=len(rows),
        right=round(total) if judged else None,
        share=mean(values),
        low=low,
        high=high,
        abstained=sum(score.abstained for score in scores),
        failures=len(rows) - len(ended),
        incomplete=sum(row.lost is not None for row in rows),
        truncated=mean([draft.finish_reason == "length" for draft in drafts]),
        tokens=tokens,
        prompt_tokens=mean([row.prompt_tokens for row in ended]),
        calls=mean([row.calls for row in ended]),
        seconds=tokens * comparison.pace(result.label),
        tokens_per_right=tokens * len(ended) / total if total else None,
        on_front=False,
        errors=metric.errors(scores),
    )


def _share_interval(scores: Sequence[float], seed: int) -> Interval:
    if not scores:
        return Interval(0.0, 1.0)
    if all(score in (0, 1) for score in scores):
        return wilson(round(sum(scores)), len(scores))
    return score_interval(scores, seed=seed)


def _on_front(one: StrategyScores, results: Sequence[StrategyScores]) -> bool:
    return one.has_answered and not any(_dominates(other, one) for other in results)


def _dominates(one: StrategyScores, other: StrategyScores) -> bool:
    """Whether one is as accurate for no more tokens, and better in one of the two.

    Measured on the questions that both have answered: in an unfinished comparison the means of
    two strategies are of different questions.
    """
    shared = one.shared(other)
    if not (shared and one.has_answered):
        return False
    gain = _gain(one, other)
    saved = other.tokens(shared) - one.tokens(shared)
    return min(gain, saved) >= 0 and max(gain, saved) > 0


def _differences(
    results: Sequence[StrategyScores], baseline: StrategyScores, seed: int
) -> list[Difference]:
    """The difference of each other strategy to the baseline, with p-values adjusted by Holm."""
    others = [result for result in results if result is not baseline]
    found = [_difference(result, baseline, seed, len(others)) for result in others]
    adjusted = holm([each.p for each in found])
    errors = [each.error for each in found if each.error is not None]
    corrected = iter(holm([each.p for each in errors]))
    return [
        each.model_copy(
            update={
                "p_adjusted": p,
                "needed": None if p < 0.05 else each.needed,
                "error": each.error
                and each.error.model_copy(update={"p_adjusted": next(corrected)}),
            }
        )
        for each, p in zip(found, adjusted, strict=True)
    ]


def _difference(
    result: StrategyScores, baseline: StrategyScores, seed: int, comparisons: int
) -> Difference:
    by_question = result.gains(baseline)
    gains = list(by_question.values())
    low, high = difference_interval(gains, seed=seed) if gains else Interval(-1.0, 1.0)
    needed = questions_needed(gains, comparisons=comparisons)
    p = paired_test(gains, seed)
    return Difference(
        label=result.label,
        baseline=baseline.label,
        questions=len(gains),
        points=100 * mean(gains),
        low=100 * low,
        high=100 * high,
        p=p,
        p_adjusted=p,
        gained=_where(by_question, lambda gain: gain > 0),
        lost=_where(by_question, lambda gain: gain < 0),
        # The normal approximation may need fewer questions than the exact test has had already.
        needed=max(needed, len(gains) + 1) if needed else None,
        error=_error_difference(result, baseline, seed),
    )


def _where(gains: dict[str, float], holds: Callable[[float], bool]) -> tuple[str, ...]:
    return tuple(question for question, gain in gains.items() if holds(gain))


def _error_difference(
    result: StrategyScores, baseline: StrategyScores, seed: int
) -> ErrorDifference | None:
    errors = [
        (result.scores[each].error, baseline.scores[each].error) for each in result.shared(baseline)
    ]
    more = [one - other for one, other in errors if one is not None and other is not None]
    if not more:
        return None
    low, high = mean_interval(more, seed=seed)
    p = paired_test(more, seed)
    return ErrorDifference(
        mean=mean(more), low=low, high=high, p=p, p_adjusted=p, questions=len(more)
    )


def _costlier(results: Sequence[StrategyScores], difference: Difference) -> bool:
    """Whether a strategy samples more tokens than its baseline, on the questions of both."""
    by_label = {result.label: result for result in results}
    one, other = by_label[difference.label], by_label[difference.baseline]
    shared = one.shared(other)
    return one.tokens(shared) > other.tokens(shared)


def _equal_budget(
    strategies: Sequence[StrategySummary], results: Sequence[StrategyScores], seed: int
) -> list[str]:
    """For each strategy on the front, a sentence about those that it beats for no more tokens."""
    by_label = {each.label: each for each in strategies}
    beaten: dict[str, list[sentences.Beaten]] = {}
    for one in results:
        cheaper = [each for each in results if _dominates(each, one)]
        if not cheaper:
            continue
        best = max(cheaper, key=lambda each: (_gain(each, one), -by_label[each.label].tokens))
        gains = list(best.gains(one).values())
        interval = difference_interval(gains, seed=seed)
        found = sentences.Beaten(by_label[one.label], mean(gains), interval)
        beaten.setdefault(best.label, []).append(found)
    return [
        sentences.equal_budget(each, beaten[each.label])
        for each in strategies
        if each.label in beaten
    ]


def _gain(one: StrategyScores, other: StrategyScores) -> float:
    return mean(list(one.gains(other).values()))
