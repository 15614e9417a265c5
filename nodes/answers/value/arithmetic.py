r"""Exact arithmetic: `2\frac{1}{2}`, `3 \cdot 10^4`, `5!`, `(1+2)/3`, in bounded time.

A recursive descent parser of normalized LaTeX. Texts with symbols, roots or functions give None,
and so do values that are too large for any answer.
"""

import re
from fractions import Fraction

from thinkgraph.nodes.answers.value.numeral import DIGITS, LONGEST, read_digits

_BITS = 4000
_LARGEST_FACTORIAL = 400
_TOKEN = re.compile(
    rf"\s*(?:(?P<number>{DIGITS})(?P<exponent>[eE][-+]?\d{{1,3}}(?!\w))?"
    r"|(?P<frac>\\frac)|(?P<op>\\times|\\cdot|\\div|[-+*/^!()%{}]))(?![a-zA-Z])"
)
_MIXED = re.compile(r"\s+(\d+)\s*/\s*(\d+)(?![\d.,/])|\s*\\frac\s*\{\s*(\d+)\s*\}\{\s*(\d+)\s*\}")
_DEEPEST = 40


class _NoNumberError(Exception):
    """The text is not arithmetic, or its value is too large."""


def evaluate(text: str) -> Fraction | None:
    """The value of an arithmetic expression; None for other texts, or if undefined or too large."""
    if len(text) > LONGEST or not re.search(r"\d", text) or re.search(r"\([^()]*,", text):
        return None
    try:
        return _Parser(text).value()
    except (_NoNumberError, ZeroDivisionError, RecursionError):
        return None


class _Parser:
    def __init__(self, text: str) -> None:
        self._text, self._place, self._depth = text.strip(), 0, 0

    def value(self) -> Fraction:
        found = self._sum()
        if self._place != len(self._text):
            raise _NoNumberError
        return found

    def _peek(self) -> re.Match[str] | None:
        return _TOKEN.match(self._text, self._place)

    def _take(self, *operators: str) -> str | None:
        token = self._peek()
        if token and token["op"] in operators:
            self._place = token.end()
            return token["op"]
        return None

    def _sum(self) -> Fraction:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _NoNumberError
        value = self._product()
        while sign := self._take("+", "-"):
            term = self._product()
            value = value + term if sign == "+" else value - term
        self._depth -= 1
        return value

    def _product(self) -> Fraction:
        value = self._signed()
        while True:
            if sign := self._take("*", r"\times", r"\cdot", "/", r"\div"):
                factor = self._signed()
                value = value / factor if sign in ("/", r"\div") else value * factor
            elif (token := self._peek()) and token["op"] == "(":  # 2(3) is a product
                value *= self._power()
            else:
                return _bounded(value)

    def _signed(self) -> Fraction:
        if sign := self._take("-", "+"):
            value = self._signed()
            return -value if sign == "-" else value
        return self._power()

    def _power(self) -> Fraction:
        base = self._atom()
        if self._take("!"):
            base = _factorial(base)  # 5!! is another function
        if self._take("%"):
            base /= 100
        if not self._take("^"):
            return base
        return _raised(base, self._signed())

    def _atom(self) -> Fraction:
        token = self._peek()
        if token is None:
            raise _NoNumberError
        self._place = token.end()
        if token["frac"]:
            over, under = self._group("{", "}"), self._group("{", "}")
            return over / under
        if token["op"]:
            self._place = token.start()
            return self._group("(", ")") if token["op"] == "(" else self._group("{", "}")
        value = read_digits(token["number"])
        if token["exponent"]:
            return value * Fraction(10) ** int(token["exponent"][1:])
        return value + self._mixed() if token["number"].isdigit() else value

    def _mixed(self) -> Fraction:
        r"""The fraction right after a whole number: `2 1/2`, `2\frac{1}{2}`."""
        match = _MIXED.match(self._text, self._place)
        if match is None:
            return Fraction(0)
        part = Fraction(int(match[1] or match[3]), int(match[2] or match[4]))
        if part >= 1:
            raise _NoNumberError
        self._place = match.end()
        return part

    def _group(self, opening: str, closing: str) -> Fraction:
        if not self._take(opening):
            raise _NoNumberError
        value = self._sum()
        if not self._take(closing):
            raise _NoNumberError
        return value


def _factorial(value: Fraction) -> Fraction:
    if value.denominator != 1 or not 0 <= value <= _LARGEST_FACTORIAL:
        raise _NoNumberError
    product = 1
    for factor in range(2, int(value) + 1):
        product *= factor
    return Fraction(product)


def _raised(base: Fraction, exponent: Fraction) -> Fraction:
    bits = max(base.numerator.bit_length(), base.denominator.bit_length())
    large = abs(base) not in (0, 1) and abs(exponent) * bits > _BITS
    if exponent.denominator != 1 or large or (not base and exponent <= 0):
        raise _NoNumberError
    return base ** int(exponent)


def _bounded(value: Fraction) -> Fraction:
    if max(value.numerator.bit_length(), value.denominator.bit_length()) > 4 * _BITS:
        raise _NoNumberError
    return value
