"""Numbers as they are written in digits: `1,200`, `1.200,50`, `0,125`, `0.(3)`, `5 million`."""

import re
from fractions import Fraction

LONGEST = 400
"""Numbers with more characters than this are compared by their spelling."""
DIGITS = r"(?:[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?(?![\d,])|\d+\.?\d*|\.\d+)"
"""An unsigned number in English notation."""
SCALES = {
    "dozen": 12,
    "hundred": 10**2,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}

_SIGN = r"(?P<sign>[-+]?)\s*"
_FOREIGN = [
    re.compile(_SIGN + pattern)
    for pattern in (
        r"(?P<whole>0),(?P<part>\d+)",  # no group of thousands follows a zero
        r"(?P<whole>\d{4,}),(?P<part>\d{1,2}|\d{4,})",
        r"(?P<whole>\d{1,3}(?:\.\d{3})+),(?P<part>\d+)",
        r"(?P<whole>\d{1,3}(?: \d{3})+),(?P<part>\d+)",
        r"(?P<whole>\d{1,3}(?:\.\d{3}){2,})(?P<part>)",
        r"(?P<whole>\d{1,3}(?:['’]\d{3})+)(?:\.(?P<part>\d+))?",
        r"(?P<whole>\d{1,2}(?:,\d\d)*,0\d(?:,\d\d)*,\d{3})(?:\.(?P<part>\d+))?",  # 1,00,000
    )
]
_COMMA = re.compile(r"[-+]?\s*\d+,(?:\d{1,2}|\d{4,})")
_REPEATING = re.compile(
    r"(?P<sign>-?)\s*(?P<whole>\d{0,30})\.(?P<fixed>\d{0,30}?)"
    r"(?:\\overline\s?(?:\{\s*(?P<bar>\d{1,30})\s*\}|(?P<digit>\d))|\((?P<round>\d{1,30})\)"
    r"|(?:(?P<same>\d)(?P=same){2,30}|(?P<group>\d{2,9})(?P=group){1,9})"
    r"\s?(?:\.\.\.|…|\\[lc]?dots|\\dotsc))"
)


def read_digits(text: str) -> Fraction:
    """The value of what `DIGITS` matches."""
    return Fraction(text.replace(",", "").rstrip("."))


def foreign(text: str) -> Fraction | None:
    """The value of a number whose separators can't be English ones; None for anything else."""
    match = next((found for each in _FOREIGN if (found := each.fullmatch(text))), None)
    if match is None or len(text) > LONGEST:
        return None
    whole = re.sub(r"\D", "", match["whole"])
    value = Fraction(f"{whole}.{match['part'] or '0'}")
    return -value if match["sign"] == "-" else value


def decimal_comma(text: str) -> Fraction | None:
    """The value of `2,74` if its comma is a decimal comma; it may also separate two numbers."""
    if not _COMMA.fullmatch(text) or len(text) > LONGEST:
        return None
    return Fraction(text.replace(",", ".").replace(" ", ""))


def repeating(text: str) -> Fraction | None:
    r"""The value of `0.\overline{3}`, `0.(3)` and `0.333...`; None for anything else."""
    match = _REPEATING.fullmatch(text) if len(text) <= LONGEST else None
    if match is None:
        return None
    period = match["bar"] or match["digit"] or match["round"] or match["same"] or match["group"]
    nines = (10 ** len(period) - 1) * 10 ** len(match["fixed"])
    fixed = Fraction(int(match["whole"] + match["fixed"] or "0"), 10 ** len(match["fixed"]))
    value = fixed + Fraction(int(period), nines)
    return -value if match["sign"] else value


def scale(word: str) -> int | None:
    """The factor that `million` or `millions` stands for; None for other words."""
    return SCALES.get(word.lower().rstrip("s"))
