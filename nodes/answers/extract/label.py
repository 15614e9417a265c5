"""Answers from a known set: yes and no, or labels."""

import re

from pydantic import Field, field_validator

from thinkgraph.models.cached_property import cached_property
from thinkgraph.nodes.answers.extract.boxed import Boxed
from thinkgraph.nodes.answers.extract.extractor import Extractor
from thinkgraph.nodes.answers.extract.final import Final

_YES = "yes yeah yep true correct ja oui sí si sì sim да tak evet 是 是的 はい 네 예"
_NO = "no nope false incorrect nein non não nee нет nie hayır 否 不是 不 いいえ 아니요"
_YES_NO = dict.fromkeys(_YES.split(" "), "yes") | dict.fromkeys(_NO.split(" "), "no")
_WORD = re.compile(r"[^\W\d_]+")
LEADING = re.compile(
    r"\A[\s*_\"'`]*(yes|no)\b(?![\w'-])[*_\"'`]*(?:\s*[,.;:!–—](?!\s*\d+\s*\Z)|\s*\Z|\s-|\n)",
    re.IGNORECASE,
)
"""A text that begins with yes or no as its answer, unlike "no apples"."""


class YesNo(Extractor):
    """Yes or no."""

    name = "yes-no"
    about = "yes or no, in English letters, of a text that says either in one of 12 languages"

    def find(self, text: str) -> str | None:
        """Find yes or no in a box, after a marker, as the first word, or the only one of them."""
        for part in (Boxed().find(text), Final().find(text), text):
            word = _WORD.search(part or "")
            if word and word[0].lower() in _YES_NO:
                return _YES_NO[word[0].lower()]
        said = {word for word in map(str.lower, _WORD.findall(text)) if word in ("yes", "no")}
        return said.pop() if len(said) == 1 else None


class OneOf(Extractor):
    """One of a set of labels."""

    name = "one-of"
    about = (
        "one of a set of labels, without regard to case: {one-of: [positive, negative]}; "
        "yes and no stand for true and false"
    )
    setting = "labels"

    labels: tuple[str, ...] = Field(min_length=2, max_length=1000)
    """The labels, each of at least one letter or digit."""

    @field_validator("labels")
    @classmethod
    def _distinct(cls, labels: tuple[str, ...]) -> tuple[str, ...]:
        folded = [label.strip().casefold() for label in labels]
        if len(set(folded)) < len(folded) or not all(re.search(r"\w", label) for label in folded):
            raise ValueError("one-of: the labels must be different, each with a letter or digit")
        return tuple(label.strip() for label in labels)

    def find(self, text: str) -> str | None:
        """Find the label in a box, after a marker, or the only one in the text or its last line."""
        truth = self._truth
        if truth and (leading := LEADING.match(text)):  # "No, that isn't true."
            return truth[leading[1].lower()]
        for part in (Boxed().find(text), Final().find(text), text, text.rstrip().split("\n")[-1]):
            found = {match.casefold() for match in self._pattern.findall(part or "")}
            if len(found) == 1:
                return self._spelled[found.pop()]
        said = YesNo().find(text) if truth else None
        return truth[said] if said else None

    @property
    def _truth(self) -> dict[str, str]:
        """The labels that yes and no stand for, where these are true and false; else empty."""
        if self._spelled.keys() != {"true", "false"}:
            return {}
        return {"yes": self._spelled["true"], "no": self._spelled["false"]}

    @cached_property
    def _spelled(self) -> dict[str, str]:
        return {label.casefold(): label for label in self.labels}

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        longest = sorted(self.labels, key=len, reverse=True)
        joined = "|".join(map(re.escape, longest))
        return re.compile(rf"(?<!\w)(?:{joined})(?!\w)", re.IGNORECASE)
