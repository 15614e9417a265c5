"""Metrics of texts: what stands in them, yes or no, and which of a set of labels."""

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
    """Right is a text in which the right answer stands, as whole words; capitals don't matter."""

    name = "contains"

    def score(self, question: Question, answer: str | None, text: str) -> Score:
        """Score the whole text; the extracted answer only where there is no text."""
        said = Text()(text) or answer
        if not said:
            return Score(value=0, abstained=True)
        return Score(value=stands_in(question.reference, said))


class Label(Metric):
    """Right is the right one of a set of labels, such as `positive` and `negative`.

    Args:
        name: of the metric.
        extractor: finds the label in a text, and in the right answer.
        labels: what a right answer must be, in words.
    """

    def __init__(self, name: str, extractor: Extractor, labels: str) -> None:
        self.name, self._extractor = name, extractor
        self.needs = f"{labels} as right answer"

    def fits(self, question: Question) -> bool:
        """Whether the right answer is one of the labels."""
        return self._extractor(question.reference) is not None

    def score(self, question: Question, answer: str | None, text: str) -> Score:
        """A text in which no label can be made out is wrong, and an abstention."""
        label = (self._extractor(answer) if answer else None) or self._extractor(text)
        right = self._extractor(question.reference) or ""
        same = label is not None and label.casefold() == right.casefold()
        return Score(value=same, abstained=label is None)


def yes_no() -> Label:
    """The metric of questions that are answered by yes or no."""
    return Label("yes-no", YesNo(), "yes or no")


def one_of(name: str, labels: Sequence[str]) -> Label:
    """The metric of a set of labels; capitals don't matter.

    Raises:
        ValueError: a label twice, or one without a letter or digit.
    """
    return Label(name, OneOf(labels=tuple(labels)), f"one of {', '.join(labels)}")


def stands_in(wanted: str, text: str) -> bool:
    """Whether a text stands in another as whole words; capitals and white space don't matter."""
    wanted = _plain(wanted)
    return bool(wanted) and re.search(_whole(wanted), _plain(text)) is not None


def _plain(text: str) -> str:
    """A text as it is compared: normal form, no capitals, single blanks, no closing full stop."""
    folded = unicodedata.normalize("NFKC", text).replace("’", "'").casefold()
    return " ".join(folded.split()).rstrip(".").strip()


def _whole(words: str) -> str:
    """A pattern of words that doesn't begin or end within another word or number."""
    before = r"(?<![^\W_])(?<!\d[.,])" if words[:1].isalnum() else ""
    after = r"(?![^\W_])(?![.,]\d)" if words[-1:].isalnum() else ""
    return f"{before}{re.escape(words)}{after}"
