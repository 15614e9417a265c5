"""Verdicts in words, for models that give no probabilities of the options."""

from __future__ import annotations

import re
from collections.abc import Sequence

_NOT = r"(?P<not>(?:\bnot|n['’]t|\bnever)\s+(?:(?:\w+ly|quite|all|an?|the|yet|so)\s+)*)"
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

    A negated option ("not correct", "isn't quite correct", "incorrect") names the other one of two
    options; if there are more options, it is ignored.
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
