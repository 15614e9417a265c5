"""The options of a multiple choice: read, lettered, shown, and found again in an answer."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from string import ascii_uppercase
from typing import Any, NamedTuple

from thinkgraph.nodes.answers import equal
from thinkgraph.nodes.answers.extract import Choice

LETTERS = ascii_uppercase
_LISTED = re.compile(r"(?m)^\s*\(?A[).:]\s")
_BARE = re.compile(r"[\s(\[*\"'`$]*([A-Za-z])[\s)\].:*\"'`$]*")


class Options(NamedTuple):
    """The options of a question and what its data calls them."""

    labels: tuple[str, ...]
    texts: tuple[str, ...]

    def letter(self, answer: Any) -> str | None:
        """The letter of the right option; None if the answer is none of them.

        Args:
            answer: a label, a letter, an option's words, or its place counted from 0.
        """
        said = str(answer).strip().casefold()
        for names in (self.labels, LETTERS[: len(self.texts)], self.texts):
            known = [name.strip().casefold() for name in names]
            if said in known and not (isinstance(answer, int) and names is self.texts):
                return LETTERS[known.index(said)]
        return LETTERS[int(said)] if said.isdecimal() and int(said) < len(self.texts) else None


def read_options(value: Any) -> Options | None:
    """Options as data has them; None if these are none, or not 2 to 26 different ones.

    Args:
        value: a list of texts; an object from label to text; an object with the lists `label`
            and `text`; or one of these as JSON in a text.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            return None
    match value:
        case {"label": [*labels], "text": [*texts]}:
            pass
        case {**named}:
            labels, texts = list(named), list(named.values())
        case [*texts]:
            labels = list(LETTERS[: len(texts)])
        case _:
            return None
    plain = all(isinstance(each, str | int | float) for each in texts)
    if not plain or len(labels) != len(texts) or not 2 <= len(set(map(str, texts))) <= 26:
        return None
    if len(set(map(str, texts))) < len(texts):
        return None
    return Options(tuple(map(str, labels)), tuple(str(each).strip() for each in texts))


def with_options(text: str, choices: Sequence[str]) -> str:
    """A question with its options below it, one a line: `A. Paris`; as it is, if it has them."""
    if _LISTED.search(text):
        return text
    lines = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False)]
    return "\n".join([text, *lines])


def chosen(answer: str | None, text: str, choices: Sequence[str]) -> str | None:
    """The letter of the option that was chosen, by the surest sign there is.

    A bare letter; the words of exactly one option; a letter within the answer (`(B) Paris`); and
    where there is no answer to read, a letter in the whole text.

    Args:
        answer: the comparable answer, if there is one.
        text: the text that gave it.
        choices: the options, in the order A, B; two or more.
    """
    for letter in (_letter(answer, choices), _named(answer, choices)):
        if letter is not None:
            return letter
    sign = Choice(letters=LETTERS[: len(choices)])
    return (sign(answer) if answer else None) or sign(text)


def _letter(answer: str | None, choices: Sequence[str]) -> str | None:
    bare = _BARE.fullmatch(answer or "")
    letter = bare[1].upper() if bare else ""
    return letter if letter and letter in LETTERS[: len(choices)] else None


def _named(answer: str | None, choices: Sequence[str]) -> str | None:
    if not answer:
        return None
    same = [equal(answer, choice) for choice in choices]
    return LETTERS[same.index(True)] if sum(same) == 1 else None
