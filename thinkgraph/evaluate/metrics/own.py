"""Custom metrics: functions from a Python file or an installed package."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Any

from thinkgraph.evaluate.metrics.metric import Metric, MetricError
from thinkgraph.evaluate.metrics.score import Score
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.nodes.python_file import load_python_file

GROUP = "thinkgraph.metrics"
"""The entry point group of metrics from other packages."""
FUNCTION = "score"
"""The default name of a file's function."""

ScoreFunction = Callable[..., bool | float]
"""A custom metric: from `(answer, reference)` or `(answer, reference, question)` to a bool or a
number from 0 to 1. A function with a parameter `text` gets the whole text there, and is also
called where no answer was found: `answer` is then None."""


class Own(Metric):
    """A custom metric.

    Args:
        name: the metric's name.
        function: see `ScoreFunction`.

    Raises:
        MetricError: the function's signature is not supported.
    """

    def __init__(self, name: str, function: ScoreFunction) -> None:
        self.name, self._function = name, function
        self._count, self._reads_text = _parameters(name, function)

    def score(self, question: Question, answer: str | None, text: str) -> Score:
        """Score an answer; None is an abstention with score 0, unless the function reads the text.

        Raises:
            MetricError: the function failed, or returned no valid score.
        """
        if answer is None and not self._reads_text:
            return Score(value=0, abstained=True)
        given = (answer, question.reference, question)[: self._count]
        more = {"text": text} if self._reads_text else {}
        try:
            score = float(self._function(*given, **more))
        except ThinkgraphError:
            raise
        except Exception as error:
            raise MetricError(
                f"the metric {self.name} failed on question {question.id!r}: "
                f"{type(error).__name__}: {error}"
            ) from error
        if not 0 <= score <= 1:
            raise MetricError(
                f"the metric {self.name} gave {score} for question {question.id!r}: a score is "
                "a bool, or a number from 0 to 1"
            )
        return Score(value=score, abstained=answer is None and score == 0)


def _parameters(name: str, function: ScoreFunction) -> tuple[int, bool]:
    """How many of (answer, reference, question) a function takes, and whether it takes `text`."""
    try:
        known = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):  # written in C
        return 3, False
    reads_text = any(each.name == "text" for each in known)
    if any(each.kind is each.VAR_POSITIONAL for each in known):
        return 3, reads_text
    places = [
        each
        for each in known
        if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) and each.name != "text"
    ]
    needed = sum(each.default is each.empty for each in places)
    if len(places) < 2 or needed > 3:
        raise MetricError(
            f"the metric {name} must be callable as (answer, reference) or "
            "(answer, reference, question), and may have a parameter `text` besides"
        )
    return min(len(places), 3), reads_text


def from_file(text: str) -> Own:
    """The metric of a Python file: `mine.py:score`, or `mine.py` if the function is `score`.

    Raises:
        MetricError: the file or function doesn't exist, or the file raises when it is run.
    """
    name, colon, function = text.rpartition(":")
    file, function = (name, function) if colon and name.endswith(".py") else (text, FUNCTION)
    path = Path(file)
    try:
        module = load_python_file(f"the metric {text}", path)
    except ThinkgraphError as error:
        raise MetricError(str(error)) from error
    found = getattr(module, function, None)
    if found is None:
        there = [n for n, v in vars(module).items() if inspect.isfunction(v) and n[0] != "_"]
        raise MetricError(
            f"{path} has no function {function!r}; it has {', '.join(there) or 'none'}"
        )
    return Own(text, _callable(text, found))


def from_package(entry: EntryPoint) -> Own:
    """The metric of an entry point.

    Raises:
        MetricError: the metric can't be loaded, or is not callable.
    """
    try:
        found = entry.load()
    except Exception as error:
        raise MetricError(
            f"the metric {entry.name} of {entry.value} can't be loaded: "
            f"{type(error).__name__}: {error}"
        ) from error
    return Own(entry.name, _callable(f"{entry.name} of {entry.value}", found))


def _callable(name: str, found: Any) -> ScoreFunction:
    if not callable(found):
        raise MetricError(
            f"the metric {name} is {type(found).__name__}: it must be "
            "callable, as (answer, reference, question)"
        )
    function: ScoreFunction = found
    return function
