"""Verdicts in words, for models that give no probabilities of the options."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

_OVER = r"\b(?<!\bnot )(?:better|rather|more\s+\w+)\s+than|\bover|\binstead\s+of"
_NOT = (
    rf"(?P<not>(?:\bnot|n['’]t|\bnever|{_OVER})\s+"
    r"(?:(?:\w+ly|quite|all|an?|the|yet|so|answer|option|choose|pick|select|prefer|take)\s+)*)"
)
_UN = r"(?P<un>(?:in|un)(?=\w{4}))"
_MARKS = r"[*_`\"()\[\]{}$]"
_CALLED = r"(?:(?:the\s+)?(?:answer|option|choice)s?\s+)?"
_LIST = (
    rf"\b(?:OPTION)(?:\s*,\s*{_CALLED}(?:OPTION)){{0,25}}\s*,?\s*"
    rf"(?:\b(?:and|or|nor)\b|&|/)\s*{_CALLED}(?:OPTION)\b"
)
_OPENING = rf"^[^\w\n]*{_CALLED}(OPTION)\b(?=\s*(?:$|[^\w\s]))"
_PRAISE = r"most\s+(?:accurate|complete|consistent|convincing|correct|plausible|reliable)"
_STATED = (
    r"(?:\b(?:answer|choice|option|verdict)\s*(?:(?:is|would\s+be|must\s+be)\b|:)[\s:]*"
    r"|\b(?:choose|pick|select|prefer|go\s+with)\s+)"
    rf"{_CALLED}(OPTION)\b(?!['’]s|\s+(?!because|since|as|for|over|to|instead|rather|than)\w)"
    r"|\b(OPTION)\s+(?:is|seems|looks)\s+(?:\w+ly\s+)?(?:the\s+)?"
    rf"(?:best|better|correct|right|{_PRAISE})\b"
    rf"|\b(?:is|be)\s+{_CALLED}(OPTION)\b(?=[^\w\n]*$)"
    rf"|^[^\w\n]*{_CALLED}(OPTION)\b(?=[^\w\n]*$)"
)
"""An explicit choice: "The answer is B", "I choose B", "B is better", or a line with B alone."""
_CLAUSE = r"[.!?;:,\n]|\b(?:but|so|however|therefore|thus|hence|while|whereas)\b"
_SECOND = rf"\band\b(?=\s+{_CALLED}(?:OPTION)\s+\w)"
"""Between two clauses, each with an option of its own: "A is wrong and B is right"."""
_NOUN = r"(?:final[ ]+)?(?:answer|number|result|solution|sum|total|value)s?"
_ATTRIBUTE = (
    r"(?<=\bno)[ ]+(?!(?:because|since|as|is|from|here|I)\b)\w"
    rf"|[ ]+{_NOUN}(?:[ ]*[:=]|[ ]+(?:is|are|was|would|should|must|can|equals)\b)"
)
"""After an option that says something of a noun: "no unit", "the correct answer is 6"."""
_ARTICLE = r"^\W*A\s+(?!was\b|did\b|had\b)[a-z]+(?<!s)\b"
"""The beginning of a clause that is an article ("A careful reading"), and not a label."""
_ASIDE = r"\W*(?:which|that|as|because|since|like|unlike|compared|although|though|if)\b"
"""The beginning of a clause that is read only if no other one names an option."""
_DENIED = r"\b(?:not|never)\b|n['’]t\b"
_DISBELIEF = (
    r"(?:\b(?:not|cannot|never)|n['’]t)"
    r"(?:\s+(?:agree|be|believe|case|claim|say|that|the|think|to|true|would))*\s+$"
)
"""Before a choice that is denied: "I don't think that"."""
_FAULTY = r"\s+(?:is|looks|seems|was)\s+(?:\w+\s+){0,5}?(?<!not\s)(?:incorrect|mistaken|wrong)\b"
"""After an option that is said to be wrong."""
_WORSE = (
    r"\b(?:worse|less|inferior|loses|outperformed|beaten)\b"
    r"|(?:\bnot|n['’]t)\s+(?:as|so|better|more)\b"
)
"""What says, between two options, that the second one is better."""


class _Named(NamedTuple):
    """An option that a text names, and where."""

    option: int
    start: int
    end: int


def written_option(text: str, options: Sequence[str]) -> int | None:
    """The index of the option that a text chooses, or None if it can't be read.

    The last explicit choice counts ("The answer is B"). Else an option at the beginning does, if it
    is the whole text or a punctuation mark or a line break follows it ("A.", "Yes, it is") and no
    other line begins with another one. Else the last clause that names an option counts: by its
    first one ("B agrees with C"), or by the last where the first is said to be worse. One that is
    denied ("I don't think A is better") or said to be wrong is the other one of two options.
    Options in a list ("A and C") don't count; for negated ones see :func:`last_option`.
    """
    words = [re.sub(_MARKS, " ", option).strip() or option for option in options]
    option, any_case = _any_of(words), _any_of(words, cased=False)
    text = re.sub(_MARKS, " ", text).strip()
    text = re.sub(_LIST.replace("OPTION", option), "…", text, flags=re.I)
    text = re.sub(_SECOND.replace("OPTION", option), ";", text, flags=re.I)
    if stated := list(_stated(text, words)):
        return next((index for index in reversed(stated) if index is not None), None)
    opening = _OPENING.replace("OPTION", any_case)
    openings = {_index(named, words) for named in re.findall(opening, text, re.I | re.M)}
    if len(openings) == 1 and re.match(opening, text, re.I):
        return openings.pop()
    if len(openings) > 1:
        return None
    text = re.sub(_ARTICLE, "…", text, flags=re.M) if len(list(_named(text, words))) > 1 else text
    clauses = re.split(_CLAUSE, text, flags=re.I)[::-1]
    for clause in sorted(clauses, key=lambda each: bool(re.match(_ASIDE, each, re.I))):
        if named := list(_named(clause, words)):
            chosen = _chosen(clause, named)
            is_faulty = re.match(_FAULTY, clause[named[-1].end :], re.I)
            return _other(chosen, words) if is_faulty else chosen
    return None


def last_option(text: str, options: Sequence[str]) -> int | None:
    """The index of the option that a text names last, or None.

    A negated option ("not correct", "isn't quite correct", "incorrect") and one that another is
    preferred to ("better than B") name the other one of two options; if there are more options,
    they are ignored. A label of one letter has its own case, since "a" is a word.
    """
    named = list(_named(text, [option.strip() for option in options]))
    return named[-1].option if named else None


def _stated(text: str, words: Sequence[str]) -> Iterator[int | None]:
    """The options that a text chooses explicitly, in its order.

    What is denied ("I don't think B is better") is the other one of two options, else None.
    """
    for stated in re.finditer(_STATED.replace("OPTION", _any_of(words)), text, re.I | re.M):
        index = _index(next(filter(None, stated.groups())), words)
        is_denied = re.search(_DISBELIEF, text[: stated.start()], re.I)
        yield _other(index, words) if is_denied else index


def _named(text: str, words: Sequence[str]) -> Iterator[_Named]:
    """The options that a text names, in its order."""
    option = rf"{_NOT}?\b{_UN}??({_any_of(words)})\b(?!{_ATTRIBUTE})"
    for named in re.finditer(option, text, re.I):
        index = _index(named[3], words)
        if bool(named["not"]) == bool(named["un"]):
            yield _Named(index, *named.span(3))
        elif len(words) == 2:
            yield _Named(1 - index, *named.span(3))


def _chosen(clause: str, named: Sequence[_Named]) -> int | None:
    """Which of the named options a clause chooses, or None."""
    first, last = named[0], named[-1]
    between = clause[first.end : last.start]
    if first.option != last.option and re.search(_WORSE, between, re.I):
        return last.option
    is_denied = len({each.option for each in named}) > 1 and re.search(_DENIED, between, re.I)
    return None if is_denied else first.option


def _other(index: int | None, words: Sequence[str]) -> int | None:
    """The other one of two options; None if there are more, or none was chosen."""
    return 1 - index if index is not None and len(words) == 2 else None


def _any_of(words: Sequence[str], *, cased: bool = True) -> str:
    """A pattern of the words, the longest first; ``cased``: single letters only in their case."""
    patterns = {word: re.escape(word) for word in sorted(words, key=len, reverse=True)}
    return "|".join(
        f"(?-i:{pattern})" if cased and len(word) == 1 else pattern
        for word, pattern in patterns.items()
    )


def _index(named: str, words: Sequence[str]) -> int:
    if named in words:
        return words.index(named)
    return [word.lower() for word in words].index(named.lower())
