"""Bracket matching in an answer; all kinds of brackets match each other, as in intervals."""


def depth(text: str) -> int:
    """The nesting depth of the brackets in a text."""
    deepest = now = 0
    for sign in text:
        now += (sign in "([{") - (sign in ")]}")
        deepest = max(deepest, now)
    return deepest


def closing(text: str, start: int) -> int | None:
    """The position of the bracket that closes the one at `start`; None if there is none."""
    open_now = 0
    for place in range(start, len(text)):
        open_now += (text[place] in "([{") - (text[place] in ")]}")
        if open_now == 0:
            return place
    return None


def encloses(text: str) -> bool:
    """Whether the bracket that opens `text` is closed by its last character and not before."""
    return bool(text) and closing(text, 0) == len(text) - 1


def split(text: str, separator: str) -> list[str]:
    """Split at a separator outside all brackets."""
    parts, open_now, start, place = [], 0, 0, 0
    while place < len(text):
        sign = text[place]
        open_now += (sign in "([{") - (sign in ")]}")
        if open_now <= 0 and text.startswith(separator, place):
            parts.append(text[start:place])
            place += len(separator)
            start = place
            continue
        place += 1
    return [part.strip() for part in [*parts, text[start:]]]
