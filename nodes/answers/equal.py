"""Equality of two answers by value."""

from collections.abc import Sequence
from fractions import Fraction

from thinkgraph.nodes.answers import judge
from thinkgraph.nodes.answers.value import (
    Collection,
    Expression,
    Number,
    Value,
    Words,
    canonical,
    is_relation,
)

Tolerance = float | str
"""How far apart two equal numbers may be: a number (absolute), or `"1%"` of the larger one."""


def equal(one: str, other: str, question: str = "", *, tolerance: Tolerance | None = None) -> bool:
    """Whether two answers are equal by value: `equal("0.5", "\\\\frac12")`.

    Reflexive and symmetric, from any thread, in bounded time whatever the texts hold. Numbers
    compare exactly; other mathematics by math-verify, in a process of its own (see `judge`);
    the rest as words, without regard to case, spacing and closing punctuation.

    Args:
        one: an answer.
        other: another.
        question: what was asked; see `canonical`.
        tolerance: how far apart two equal numbers may be; None for exactly equal.

    Raises:
        ValueError: the tolerance is negative or no number.
    """
    return equal_values(
        canonical(one, question), canonical(other, question), parse_tolerance(tolerance)
    )


def parse_tolerance(tolerance: Tolerance | None) -> tuple[Fraction, bool]:
    """Read a tolerance as (size, whether it is relative).

    Raises:
        ValueError: negative, or no number.
    """
    text = str(tolerance or 0).strip()
    relative = text.endswith("%")
    try:
        size = Fraction(text.removesuffix("%").strip()) / (100 if relative else 1)
    except (ValueError, ZeroDivisionError):
        size = Fraction(-1)
    if size < 0:
        raise ValueError(
            f"tolerance {tolerance!r} is neither a number of 0 or more, such as 0.01, "
            'nor a percentage, such as "1%"'
        )
    return size, relative


def equal_values(one: Value, other: Value, tolerance: tuple[Fraction, bool]) -> bool:
    """Whether two values are equal; what `equal` does after reading the answers."""
    if one == other:
        return True
    if isinstance(one, Number) and isinstance(other, Number):
        return _close(one.number, other.number, tolerance)
    if isinstance(one, Collection) and isinstance(other, Collection):
        return _collections(one, other, tolerance)
    if any(isinstance(value, Words | Collection) for value in (one, other)):
        return False
    left, right = _latex(one), _latex(other)
    # math-verify takes the right side of an equation for its value: 2x = 0 would equal 0.
    return is_relation(left) == is_relation(right) and judge.same(left, right)


def _close(one: Fraction, other: Fraction, tolerance: tuple[Fraction, bool]) -> bool:
    size, relative = tolerance
    return abs(one - other) <= size * (max(abs(one), abs(other)) if relative else 1)


def _collections(one: Collection, other: Collection, tolerance: tuple[Fraction, bool]) -> bool:
    if one.kind != other.kind or len(one.members) != len(other.members):
        return False
    if one.ordered:
        pairs = zip(one.members, other.members, strict=True)
        return all(equal_values(left, right, tolerance) for left, right in pairs)
    return _matched(one.members, list(other.members), tolerance)


def _matched(ones: Sequence[Value], others: list[Value], tolerance: tuple[Fraction, bool]) -> bool:
    for one in ones:
        partner = next((other for other in others if equal_values(one, other, tolerance)), None)
        if partner is None:
            return False
        others.remove(partner)
    return True


def _latex(value: Value) -> str:
    if isinstance(value, Expression):
        return value.latex
    if isinstance(value, Number):
        return f"\\frac{{{value.number.numerator}}}{{{value.number.denominator}}}"
    raise TypeError(f"{value} is not a scalar")
