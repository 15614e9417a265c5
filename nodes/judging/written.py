"""Verdicts in words, for models that give no probabilities of the options."""

from __future__ import annotations

import re
from collections.abc import Sequence

_OVER = r"\b(?<!\bnot )(?:better|rather|more\s+\w+)\s+than|\bover|\binstead\s+of"
_NOT = (
    rf"(?P<not>(?:\bnot|n['’]t|\bnever|{_OVER})\s+"
    r"(?:(?:\w+ly|quite|all|an?|the|yet|so|answer|option)\s+)*)"
)
_UN = r"(?P<un>(?:in|un)(?=\w{4}))"


def written_option(text: str, options: Sequence[str]) -> int | None:
    """The index of the option that a text names, or None.

    An option at the beginning counts if it is the whole text, or if a punctuation mark or a line
    break follows it ("A.", "Yes, it is"). Otherwise the last one counts; see :func:`last_option`.
    """
    words = [option.strip() for option in options]
    begins = re.match(rf"[\W_]*({_any_of(words)})\b(?=\s*(?:$|[^\w\s]|\n))", text, re.IGNORECASE)
    return _index(begins[1], words) if begins else last_option(text, options)


def last_option(text: str, options: Sequence[str]) -> int | None:
    """The index of the option that a text names last, or None.

    A negated option ("not correct", "isn't quite correct", "incorrect") and one that another is
    preferred to ("better than B") name the other one of two options; if there are more options,
    they are ignored. A label of one letter has its own case, since "a" is a word.
    """
    words = [option.strip() for option in options]
    found = None
    option = _any_of(words, cased=True)
    for named in re.finditer(rf"{_NOT}?\b{_UN}??({option})\b", text, re.IGNORECASE):
        index = _index(named[3], words)
        if bool(named["not"]) == bool(named["un"]):
            found = index
        elif len(words) == 2:
            found = 1 - index
    return found


def _any_of(words: Sequence[str], *, cased: bool = False) -> str:
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
