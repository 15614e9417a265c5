"""Verdicts in words, for models that give no probabilities of the options."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NOT = r"(?P<not>(?:\bnot|n['’]t|\bnever)\s+(?:(?:\w+ly|quite|all|an?|the|yet|so)\s+)*)"
_UN = r"(?P<un>(?:in|un)(?=\w{4}))"


def written_option(text: str, options: Sequence[str]) -> int | None:
    """Which option a text names, by its index, or None.

    An option that the text consists of, or that a punctuation mark or a new line follows at its
    beginning, counts first ("A.", "Yes, it is"); else the last one, as :func:`last_option` says.
    """
    words = [option.strip() for option in options]
    begins = re.match(rf"[\W_]*({_any_of(words)})\b(?=\s*(?:$|[^\w\s]|\n))", text, re.IGNORECASE)
    return _index(begins[1], words) if begins else last_option(text, options)


def last_option(text: str, options: Sequence[str]) -> int | None:
    """Which option a text names last, by its index, or None.

    What is negated ("not correct", "isn't quite correct", "incorrect") names the other one of two
    options, and none of several.
    """
    words = [option.strip() for option in options]
    found = None
    for named in re.finditer(rf"{_NOT}?\b{_UN}??({_any_of(words)})\b", text, re.IGNORECASE):
        index = _index(named[3], words)
        if bool(named["not"]) == bool(named["un"]):
            found = index
        elif len(words) == 2:
            found = 1 - index
    return found


def _any_of(words: Sequence[str]) -> str:
    return "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))


def _index(named: str, words: Sequence[str]) -> int:
    if named in words:
        return words.index(named)
    return [word.lower() for word in words].index(named.lower())
