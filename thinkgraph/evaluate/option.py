"""The options of a multiple choice: lettered, shown, and found again in an answer."""

from __future__ import annotations

import re
from collections.abc import Sequence
from string import ascii_uppercase as LETTERS

from thinkgraph.nodes.answers import equal
from thinkgraph.nodes.answers.extract import Choice

_BARE = re.compile(r"[\s(\[*\"'`$]*([A-Za-z])[\s)\].:*\"'`$]*")


def with_options(text: str, choices: Sequence[str]) -> str:
    """A question with its options below it, one a line: `A. Paris`."""
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
