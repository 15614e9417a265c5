"""Metrics by name: `exact`, `numeric:1%`, `one-of:red,green`, `mine.py:score`."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib.metadata import entry_points

from thinkgraph.evaluate.metrics.choice import Choice
from thinkgraph.evaluate.metrics.exact import Exact
from thinkgraph.evaluate.metrics.measured import Measured
from thinkgraph.evaluate.metrics.metric import Metric, MetricError
from thinkgraph.evaluate.metrics.numeric import Asymmetric, Estimate, Numeric
from thinkgraph.evaluate.metrics.own import GROUP, Own, from_file, from_package
from thinkgraph.evaluate.metrics.text import Contains, Label, one_of, yes_no
from thinkgraph.evaluate.tasks.gym import PREFIX as GYM
from thinkgraph.evaluate.tasks.gym import gym_score
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.graphs.language.problem import suggestion
from thinkgraph.nodes.answers.equal import parse_tolerance

ONE_OF = "one-of"
ASYMMETRIC = "asymmetric"
MOST_LABELS = 50
"""Maximum number of labels that `one-of` takes from the right answers of the data."""
_TOLERANT: dict[str, Callable[[str], Metric]] = {
    "numeric": Numeric,
    "estimate": Estimate,
    "quantity": Measured,
}
_PLAIN: dict[str, Callable[[], Metric]] = {
    "exact": Exact,
    "choice": Choice,
    "contains": Contains,
    "yes-no": yes_no,
    "numeric": Numeric,
    "estimate": Estimate,
    "quantity": Measured,
    GYM: lambda: Own(GYM, gym_score),
}


def find_metric(text: str, questions: Sequence[Question] = ()) -> Metric:
    """Return the metric of a name.

    Args:
        text: a name: `exact`, `contains`, `yes-no`, `choice`, `one-of`, `numeric`, `quantity`,
            `estimate`, `asymmetric:OVER,UNDER` (an estimate whose error costs more on one side
            than on the other), `reasoning-gym`, or the name of an installed package's metric. A
            colon may be followed by the tolerance (`numeric:1%`: a number, or a percentage of
            the right answer; the default is 0 for `numeric` and `quantity`, and 20 % for
            `estimate`) or the labels (`one-of:red,green`). `FILE.py:FUNCTION` is a custom metric.
        questions: `one-of` without labels takes them from the right answers of these.

    Raises:
        MetricError: no metric has that name (the message suggests the nearest), the text after
            the colon is invalid, or a custom metric can't be loaded.
    """
    if re.search(r"\.py(:\w*)?$", text):
        return from_file(text)
    name, colon, setting = (part.strip() for part in text.partition(":"))
    others = {entry.name: entry for entry in entry_points(group=GROUP)}
    if name == ONE_OF:
        return _one_of(setting if colon else None, questions)
    if name == ASYMMETRIC:
        try:
            return Asymmetric(setting.replace(" ", ""))
        except ValueError:
            raise MetricError(
                f"{name}: what a unit too much costs and what one too few must follow the colon, "
                f"such as {name}:0.5,1"
            ) from None
    if name not in _PLAIN and name not in others:
        known = {*_PLAIN, *others, ONE_OF, ASYMMETRIC, "FILE.py:FUNCTION"}
        raise MetricError(f"there is no metric {name!r}; {suggestion(name, known) or ''}")
    if colon and name not in _TOLERANT:
        raise MetricError(f"the metric {name} takes nothing after a colon, and has {setting!r}")
    if colon:
        return _TOLERANT[name](_checked(name, setting))
    return _PLAIN[name]() if name in _PLAIN else from_package(others[name])


def _one_of(given: str | None, questions: Sequence[Question]) -> Label:
    if given is None:
        labels = list(dict.fromkeys(each.reference.strip() for each in questions))
        if not 2 <= len(labels) <= MOST_LABELS:
            raise MetricError(
                f"{ONE_OF} takes its labels from the right answers, and of these there are "
                f"{len(labels)} different ones; name them: {ONE_OF}:LABEL,LABEL"
            )
        return _labels(ONE_OF, labels)
    labels = [label.strip() for label in given.split(",") if label.strip()]
    if len(set(labels)) < 2:
        raise MetricError(f"{ONE_OF} needs two or more labels after a colon: {ONE_OF}:red,green")
    return _labels(f"{ONE_OF}:{','.join(labels)}", labels)


def _labels(name: str, labels: Sequence[str]) -> Label:
    try:
        return one_of(name, labels)
    except ValueError:
        raise MetricError(f"{name}: labels must differ, and have a letter or digit") from None


def _checked(name: str, tolerance: str) -> str:
    try:
        parse_tolerance(tolerance)
    except ValueError as error:
        raise MetricError(f"{name}: {error}") from None
    if not tolerance:
        raise MetricError(f"{name}: a tolerance must follow the colon, such as {name}:1%")
    return tolerance.replace(" ", "")
