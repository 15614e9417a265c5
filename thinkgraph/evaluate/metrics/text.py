"""Metrics of texts: what stands in them, yes or no, and which of a set of labels."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence

from thinkgraph.evaluate.metrics.metric import Metric
from thinkgraph.evaluate.metrics.score import Score
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.nodes.answers.extract import Final, Text


class Contains(Metric):
    """Right is a text in which the right answer stands, as whole words; capitals don't matter."""

    name = "contains"

    def score(self, question: Question, answer: str | None, text: str) -> Score:
        """Score the whole text; the extracted answer only where there is no text."""
        said = Text()(text) or answer
        if not said:
            return Score(value=0, abstained=True)
        return Score(value=stands_in(question.reference, said))


class OneOf(Metric):
    """Right is the right one of a set of labels, such as `positive` and `negative`.

    Args:
        labels: each with other words for it; the words of two labels must differ.
    """

    def __init__(self, name: str, labels: Mapping[str, Sequence[str]]) -> None:
        self.name = name
        self.needs = f"one of {', '.join(labels)} as right answer"
        self._words = {
            _plain(word): label for label, more in labels.items() for word in (label, *more)
        }
        longest = sorted(self._words, key=len, reverse=True)
        self._pattern = re.compile("|".join(_whole(word) for word in longest))

    def fits(self, question: Question) -> bool:
        """Whether the right answer is one of the labels."""
        return _plain(question.reference) in self._words

    def score(self, question: Question, answer: str | None, text: str) -> Score:
        """A text in which no label can be made out is wrong, and an abstention."""
        label = self.find(answer, text)
        right = self._words.get(_plain(question.reference))
        return Score(value=label is not None and label == right, abstained=label is None)

    def find(self, answer: str | None, text: str) -> str | None:
        """The label that was chosen, by the surest sign there is.

        The only one in the extracted answer; the only one after the last marker of an answer;
        the one that the text begins with; the only one in the text; the only one in its last
        line.
        """
        said = Text()(text) or ""
        lines = said.splitlines()
        for place in (answer, Final()(said)):
            found = set(self._in(place or ""))
            if len(found) == 1:
                return found.pop()
        first = self._pattern.match(_plain(said).lstrip("*_#>\"'( "))
        if first:
            return self._words[first[0]]
        for place in (said, lines[-1] if lines else ""):
            found = set(self._in(place))
            if len(found) == 1:
                return found.pop()
        return None

    def _in(self, text: str) -> Iterator[str]:
        return (self._words[match[0]] for match in self._pattern.finditer(_plain(text)))


YES_NO = {"yes": ("y", "true", "correct"), "no": ("n", "false", "incorrect")}
"""The labels of `yes-no`, with other words for them."""


def yes_no() -> OneOf:
    """The metric of questions that are answered by yes or no."""
    return OneOf("yes-no", YES_NO)


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
