"""Search for delimiters in streamed text."""

from __future__ import annotations

from collections.abc import Collection


def held_back(text: str, delimiters: Collection[str]) -> int:
    """Length of the longest suffix of ``text`` that is a proper prefix of a delimiter."""
    longest = max(map(len, delimiters), default=1) - 1
    return next(
        (
            size
            for size in range(min(longest, len(text)), 0, -1)
            if any(len(d) > size and d.startswith(text[-size:]) for d in delimiters)
        ),
        0,
    )
