"""The last number of a text."""

import re
from collections import deque

from thinkgraph.nodes.answers.extract.extractor import Extractor

SPACELESS = r"\u0e00-\u0e7f\u1000-\u109f\u2e80-\u9fff\uac00-\ud7af\uf900-\ufaff\uff00-\uffef"
"""Letters of scripts written without spaces (in a character class): they may stand beside a
number or an option's letter."""
APART = rf"(?<![^\W{SPACELESS}])"
"""Look-behind: no letter, digit or underscore before, except letters of such scripts."""

# A plain space is a thousands separator only where it is unlikely to separate two numbers.
_SPACED = r"(?<!\d )(?:[1-9]\d?(?: \d{3})+|[1-9]\d\d(?: \d{3})* 000)(?!\d| \d)"
_SEPARATED = r"\d{1,3}(?:(?:,|\{,\}|,?\\[,!]\s?|[\u00a0\u2009\u202f])\d{3})+(?!\d)"
_DOTTED = r"\d{1,3}(?:\.\d{3}){2,}(?![\d.])|\d{1,3}(?:\.\d{3})+,\d{1,2}(?!\d)"
_COMMA = r"(?<![\d,])\d+,\d{1,2}(?![\d,])|(?<![\d,])0,\d+(?![\d,])"
_DIGITS = rf"(?:{_SPACED},\d{{1,2}}(?!\d)|{_SPACED}|{_DOTTED}|{_SEPARATED}|{_COMMA}|\d+)"
_DECIMAL = rf"(?:{_DIGITS}(?:\.\d+)?|\.\d+)"
_RAISED = "[⁰¹²³⁴⁵⁶⁷⁸⁹⁻]+"
_ROOT = r"(?:√\s?\(?\d+\)?|\\sqrt\s?\{\s?\d+\s?\})(?:\s?/\s?\d+)?"
_BEGINNING = r"(?=[\s\-−\\$€£¥₹√\d.½¼¾⅓⅔])"  # rejects most positions at once
# A minus apart from its number is a sign only where no list, range or difference can be meant.
_MINUS = r"(?:(?<![\d)\]}])[-−](?!\s)|(?<=[=({$])[^\S\n]?[-−]\s|(?<=: )[-−]\s)"
_NUMBER = re.compile(
    rf"{_BEGINNING}{APART}(?<![.^]){_MINUS}?\s?(?:\\?[$€£¥₹]\s?)?(?:(?<![\d)\]}}])[-−])?"
    rf"(?:{_ROOT}|\\[dtc]?frac\s?\{{\s*-?{_DECIMAL}\s*\}}\s?\{{\s*{_DECIMAL}\s*\}}|\\[dtc]?frac\s?\d\s?\d"
    rf"|{_DECIMAL}(?:\s?\\[dtc]?frac\s?\{{\d+\}}\s?\{{\d+\}}|[eE][-+]?\d{{1,3}}(?!\w)"
    rf"|\s?(?:\\times|\\cdot|×|·|\*)\s?10\s?(?:\^\s?(?:\{{\s?-?\d{{1,3}}\s?\}}|-?\d{{1,3}})|{_RAISED})"
    rf"|\s?\^\s?(?:\{{\s?-?\d{{1,4}}\s?\}}|-?\d{{1,4}})|{_RAISED}|[½¼¾⅓⅔]|!(?=[^\w!]|$)(?<=\d!)(?!\s*$)"
    rf"|\s?{_ROOT}|\s?(?:π|\\pi(?![a-zA-Z]))(?:\s?/\s?\d+)?|i(?!\w)"
    r"|\s\d{1,9}/\d{1,9}|\s?/\s?\d+(?:\.\d+)?)?|[½¼¾⅓⅔])(?:\s?\\?%)?"
)
_CLOSED = re.compile(
    r"(?:[^\S\n]|\^?\{?\\(?:[a-zA-Z]+\s?(?:\{[^{}$\n]*\})?|[,;:! %])\}?|\^\{?\d\}?){0,8}\$"
)
"""The rest of a formula after its number, to the closing dollar: a unit, a power, a space."""
_PERCENT = re.compile(r"\s?\$?\s?(?:\\?%|(?:percent|per cent|pct)\b)")


class LastNumber(Extractor):
    """The last number."""

    name = "number"
    about = "the last number: 1,200, -3, $5, 1/2, .5, 2,74, 50%, 3e5, 10^6"

    def find(self, text: str) -> str | None:
        """Find the last number, with its sign, currency and percent."""
        last = deque(_NUMBER.finditer(text), maxlen=1)
        return _written(last[0], text) if last else None

    @staticmethod
    def all(text: str) -> list[str]:
        """All numbers, in the form in which `find` returns the last."""
        return [_written(found, text) for found in _NUMBER.finditer(text)]


def _written(found: re.Match[str], text: str) -> str:
    answer = re.sub(r"^-\s", "-", found[0].replace("−", "-").strip())
    if _CLOSED.match(text, found.end()):  # a formula, $50\%$ or $60 \text{ min}$, and not money
        answer = answer.removeprefix("$").strip()
    percent = not answer.endswith("%") and _PERCENT.match(text, found.end())
    return f"{answer}%" if percent else answer
