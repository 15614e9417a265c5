"""Verdicts in words, for models that give no probabilities of the options."""

from __future__ import annotations

import re
from collections.abc import Sequence


def written_option(text: str, options: Sequence[str]) -> int | None:
    """Which option a text names, by its index, or None.

    An option that the text consists of, or that a punctuation mark or a new line follows at its
    beginning, counts first ("A.", "Yes, it is"); else the last one that is named.
    """
    words = [option.strip() for option in options]
    choice = "|".join(re.escape(word) for word in sorted(words, key=len, reverse=True))
    begins = re.match(rf"[\W_]*({choice})\b(?=\s*(?:$|[^\w\s]|\n))", text, re.IGNORECASE)
    named = [begins[1]] if begins else re.findall(rf"\b({choice})\b", text, re.IGNORECASE)
    if not named:
        return None
    lowered = [word.lower() for word in words]
    exact = named[-1] in words
    return words.index(named[-1]) if exact else lowered.index(named[-1].lower())
