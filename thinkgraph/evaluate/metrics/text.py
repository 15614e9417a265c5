"""Metrics of texts: whether they contain the answer, yes or no, and labels of a set."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from thinkgraph.evaluate.metrics.metric import Metric
from thinkgraph.evaluate.metrics.score import Score
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.nodes.answers import Extractor
from thinkgraph.nodes.answers.extract import OneOf, Text, YesNo


class Contains(Metric):
    """Accepts a text that contains the right answer as whole words, ignoring case."""

    name = "contains"

    def score(self, question: Question, answer: str | None, text: str) -> Score:
        """Score the whole text, or the extracted answer if the text is empty."""
        said = Text()(text) or answer
        if not said:
            return Score(value=0, abstained=True)
        return Score(value=stands_in(question.reference, said))


class Label(Metric):
    """Accepts the right label of a set, such as `positive` and `negative`.

    Args:
        name: the metric's name.
        extractor: finds the label in a text, and in the right answer.
        labels: what a right answer must be, for error messages.
    """

    def __init__(self, name: str, extractor: Extractor, labels: str) -> None:
        self.name, self._extractor = name, extractor
        self.needs = f"{labels} as right answer"

    def fits(self, question: Question) -> bool:
        """Whether the right answer is one of the labels."""
        return self._extractor(question.reference) is not None

    def score(self, question: Question, answer: str | None, text: str) -> Score:
        """Score an answer; a text without a recognisable label is wrong, and an abstention."""
        label = (self._extractor(answer) if answer else None) or self._extractor(text)
        right = self._extractor(question.reference) or ""
        same = label is not None and label.casefold() == right.casefold()
        return Score(value=same, abstained=label is None)


def yes_no() -> Label:
    """The metric of yes-no questions."""
    return Label("yes-no", YesNo(), "yes or no")


def one_of(name: str, labels: Sequence[str]) -> Label:
    """The metric of a set of labels, ignoring case.

    Raises:
        ValueError: a label is repeated, or has no letter or digit.
    """
    return Label(name, OneOf(labels=tuple(labels)), f"one of {', '.join(labels)}")


def stands_in(wanted: str, text: str) -> bool:
    """Whether a text contains another as whole words, ignoring case and white space."""
    wanted = _plain(wanted)
    return bool(wanted) and re.search(_whole(wanted), _plain(text)) is not None


def _plain(text: str) -> str:
    """A text normalized for comparison: NFKC, casefolded, single spaces, no final full stop."""
    folded = unicodedata.normalize("NFKC", text).replace("’", "'").casefold()
    return " ".join(folded.split()).rstrip(".").strip()


def _whole(words: str) -> str:
    """A regular expression that matches words, but not within a longer word or number."""
    before = r"(?<![^\W_])(?<!\d[.,])" if words[:1].isalnum() else ""
    after = r"(?![^\W_])(?![.,]\d)" if words[-1:].isalnum() else ""
    return f"{before}{re.escape(words)}{after}"
