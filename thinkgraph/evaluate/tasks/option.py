"""Options of multiple-choice questions: parsing, lettering, and the option that an answer chose."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Mapping, Sequence
from string import ascii_uppercase
from typing import Any, NamedTuple

from thinkgraph.nodes.answers import equal
from thinkgraph.nodes.answers.extract import Choice

LETTERS = ascii_uppercase
_LISTED = re.compile(r"(?m)^\s*\(?A[).:]\s")
_LINE = re.compile(r"(?m)^[ \t]*\(?([A-Z])[).:][ \t]+(\S.*?)[ \t]*$")
_BARE = re.compile(r"[\s(\[*\"'`$]*([A-Za-z])[\s)\].:*\"'`$]*")
_LABEL = re.compile(r"\s*\(?([A-Za-z])\s?[).:]\s*(?=\S)")
_INLINE = re.compile(r"(?:^|(?<=[\s,;]))\(?([a-zA-Z])\s?\)\s*")
_LONGEST = 20_000  # maximum number of characters of a list in a text


class Options(NamedTuple):
    """The options of a question, with the labels from its data."""

    labels: tuple[str, ...]
    texts: tuple[str, ...]
    right: int | None = None
    """The index of the right option, if the options include that."""

    def letter(self, answer: Any) -> str | None:
        """The letter of the right option; None if the answer is none of them.

        Args:
            answer: a label, a letter, an option's words, or its index, counted from 0.
        """
        said = _folded(answer)
        bare = _BARE.fullmatch(said)
        for names in (self.labels, LETTERS[: len(self.texts)], self.texts):
            known = [_folded(name) for name in names]
            if isinstance(answer, int) and names is self.texts:
                continue
            for form in (said, bare[1] if bare else said):
                if form in known:
                    return LETTERS[known.index(form)]
        return LETTERS[int(said)] if said.isdecimal() and int(said) < len(self.texts) else None


def _folded(value: Any) -> str:
    return str(value).strip().casefold()


def read_options(value: Any) -> Options | None:
    """Parse the options of a record; None if the value isn't 2 to 26 different options.

    If every text begins with its label, as in `["A)21", "B)34"]`, the labels are removed.

    Args:
        value: a list of texts; a list of objects with a `label` and a `text`; an object from
            label to text, or from text to a score, 1 for the right one; an object with the lists
            `label` and `text`, or `choices` and `labels` (1 for the right one); or one of these
            as a string: JSON, a Python literal, or `a ) 21 , b ) 34`.
    """
    if isinstance(value, str):
        value = _parsed(value[:_LONGEST])
    right = None
    match value:
        case {"label": [*labels], "text": [*texts]}:
            pass
        case {"choices": [*texts], "labels": [*scores]}:
            labels, right = list(LETTERS[: len(texts)]), _best(scores)
        case {**named} if named and all(_is_score(each) for each in named.values()):
            labels, texts, right = list(LETTERS[: len(named)]), list(named), _best(named.values())
        case {**named}:
            labels, texts = list(named), list(named.values())
        case [dict(), *_]:
            labels, texts = _labelled(value)
        case [*texts]:
            labels = list(LETTERS[: len(texts)])
        case _:
            return None
    plain = all(isinstance(each, str | int | float) for each in texts)
    if not plain or len(labels) != len(texts) or not 2 <= len(texts) <= len(LETTERS):
        return None
    written = _without_labels([str(each).strip() for each in texts])
    if len(set(written)) < len(written):
        return None
    return Options(tuple(map(str, labels)), tuple(written), right)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        pass
    if text.lstrip()[:1] in ("[", "{"):
        try:
            return ast.literal_eval(text.strip())  # safe: evaluates literals only
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            return None
    _, *pairs = _INLINE.split(text)
    labels, texts = pairs[::2], [each.strip(" ,;") for each in pairs[1::2]]
    in_order = "".join(labels).upper() == LETTERS[: len(labels)]
    return dict(zip(labels, texts, strict=True)) if in_order and len(labels) > 1 else None


def _is_score(value: Any) -> bool:
    return isinstance(value, int | float) and value in (0, 1)


def _best(scores: Any) -> int | None:
    """The index of the only 1; None if there isn't exactly one."""
    ones = [place for place, score in enumerate(scores) if score == 1]
    return ones[0] if len(ones) == 1 else None


def _labelled(found: Sequence[Any]) -> tuple[list[Any], list[Any]]:
    """The labels and texts of a list of objects."""
    texts = [_first(each, ("text", "value", "content", "answer")) for each in found]
    labels = [_first(each, ("label", "key", "id", "letter")) for each in found]
    if None in labels:
        labels = list(LETTERS[: len(texts)])
    return labels, texts


def _first(values: Any, names: Sequence[str]) -> Any:
    if not isinstance(values, Mapping):
        return None
    return next((values[name] for name in names if name in values), None)


def _without_labels(texts: list[str]) -> list[str]:
    """The texts without their leading letters, if all have one, in order."""
    found = [_LABEL.match(text) for text in texts]
    letters = "".join(match[1].upper() for match in found if match)
    if letters != LETTERS[: len(texts)]:
        return texts
    return [text[match.end() :] for text, match in zip(texts, found, strict=True) if match]


def listed_options(text: str) -> Options | None:
    """The options listed in a question's text, one per line, as in BIG-Bench Hard."""
    found = _LINE.findall(text)
    letters, texts = [letter for letter, _ in found], [words for _, words in found]
    if len(found) < 2 or "".join(letters) != LETTERS[: len(found)] or len(set(texts)) < len(texts):
        return None
    return Options(tuple(letters), tuple(texts))


def with_options(text: str, choices: Sequence[str]) -> str:
    """A question followed by its options, one per line: `A. Paris`; unchanged if it lists them."""
    if _LISTED.search(text):
        return text
    lines = [f"{letter}. {choice}" for letter, choice in zip(LETTERS, choices, strict=False)]
    return "\n".join([text, *lines])


def chosen(answer: str | None, text: str, choices: Sequence[str]) -> str | None:
    """The letter of the chosen option, by the most reliable sign; None if there is none.

    In order: a bare letter; the words of exactly one option; a letter within the answer
    (`(B) Paris`); a letter in the whole text.

    Args:
        answer: the extracted answer, if there is one.
        text: the whole text of the answer.
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
