"""Whether two answers are equal by value."""

from collections.abc import Sequence
from fractions import Fraction

from thinkgraph.nodes.answers.equal import judge
from thinkgraph.nodes.answers.value.read import canonical
from thinkgraph.nodes.answers.value.relation import is_relation
from thinkgraph.nodes.answers.value.unit import Unit
from thinkgraph.nodes.answers.value.value import (
    Collection,
    Either,
    Expression,
    Named,
    Number,
    Quantity,
    Value,
)

Tolerance = float | str
"""How far apart two equal numbers may be: a number (absolute), or `"1%"` of the larger one."""


def equal(one: str, other: str, question: str = "", *, tolerance: Tolerance | None = None) -> bool:
    """Whether two answers are equal by value: `equal("0.5", "\\\\frac12")`.

    Reflexive, symmetric, thread-safe, and of bounded time for any texts. Numbers are compared
    exactly, other mathematics by sympy in a subprocess (see `judge`), and the rest as words,
    without regard to case, spacing and closing punctuation. Not transitive if a text leaves
    something out: `5` equals both `5 cents` and `5 dollars`.

    Args:
        one: an answer.
        other: another answer.
        question: the question; see `canonical`.
        tolerance: how far apart two equal numbers may be; None for exactly equal.

    Raises:
        ValueError: the tolerance is negative or not a number.
    """
    return equal_values(
        canonical(one, question), canonical(other, question), parse_tolerance(tolerance)
    )


def parse_tolerance(tolerance: Tolerance | None) -> tuple[Fraction, bool]:
    """Read a tolerance as (size, whether it is relative).

    Raises:
        ValueError: the tolerance is negative or not a number.
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
    """Whether two values are equal: what `equal` does after it has parsed the answers."""
    same = one == other
    match one, other:
        case _ if same:
            pass
        case (Either(), _) | (_, Either()):
            same = _either(one, other, tolerance)
        case (Named(), _) | (_, Named()):
            same = _named(one, other, tolerance)
        case (Quantity(), _) | (_, Quantity()):
            same = _quantities(one, other, tolerance)
        case Number(), Number():
            same = _close(one.number, other.number, tolerance)
        case Collection(), Collection():
            same = _collections(one, other, tolerance)
        case (Number() | Expression(), Number() | Expression()):
            same = _expressions(one, other, tolerance)
    return same


def conflicting(one: Value, other: Value) -> bool:
    """Whether two values have left sides or units that exclude each other: cents and dollars."""
    if isinstance(one, Named) and isinstance(other, Named) and one.name != other.name:
        return True
    left, right = (value.value if isinstance(value, Named) else value for value in (one, other))
    if not (isinstance(left, Quantity) and isinstance(right, Quantity)):
        return False
    return left.unit != right.unit and _ratio(left.unit, right.unit) != 1


def _either(one: Value, other: Value, tolerance: tuple[Fraction, bool]) -> bool:
    """Compare values with two readings; two of them have to match in the same reading."""
    if isinstance(one, Either) and isinstance(other, Either):
        return equal_values(one.first, other.first, tolerance) or equal_values(
            one.second, other.second, tolerance
        )
    if isinstance(other, Either):
        one, other = other, one
    if not isinstance(one, Either):
        raise TypeError(f"{one} has one reading")
    return any(equal_values(reading, other, tolerance) for reading in (one.first, one.second))


def _named(one: Value, other: Value, tolerance: tuple[Fraction, bool]) -> bool:
    """Compare values with left sides: `x = 5` equals 5 and 2x = 10, but not y = 5."""
    if isinstance(one, Named) and isinstance(other, Named) and one.name != other.name:
        return _same_equation(one, other)
    left, right = (value.value if isinstance(value, Named) else value for value in (one, other))
    return equal_values(left, right, tolerance) or _same_equation(one, other)


def _same_equation(one: Value, other: Value) -> bool:
    left, right = _equation(one), _equation(other)
    return bool(left and right) and judge.same(left or "", right or "")


def _equation(value: Value) -> str | None:
    match value:
        case Named(name, Number() | Expression() as right):
            return f"{name}={_latex(right)}"
        case Named(name, Collection(kind, (low, high))):
            return _ray(name, kind, low, high)
        case Expression(latex) if is_relation(latex):
            return latex
    return None


def _ray(name: str, kind: str, low: Value, high: Value) -> str | None:
    r"""The interval (3, \infty) of x as the inequality x > 3."""
    equals = r"\le" if "[" in kind or "]" in kind else "<"
    match low, high:
        case Expression(r"-\infty"), Number() | Expression():
            return f"{name}{equals} {_latex(high)}"
        case Number() | Expression(), Expression(r"\infty"):
            return f"{_latex(low)}{equals} {name}"
    return None


def _quantities(one: Value, other: Value, tolerance: tuple[Fraction, bool]) -> bool:
    """Compare quantities; a number without a unit takes that of the other."""
    if not (isinstance(one, Quantity) and isinstance(other, Quantity)):
        left, right = (
            value.value if isinstance(value, Quantity) else value for value in (one, other)
        )
        return equal_values(left, right, tolerance)
    ratio = _ratio(one.unit, other.unit)
    if ratio is None:
        return False
    if ratio == 1:
        return equal_values(one.value, other.value, tolerance)
    if not (isinstance(one.value, Number) and isinstance(other.value, Number)):
        return False
    return _close(one.value.number * ratio, other.value.number, tolerance)


def _ratio(one: Unit, other: Unit) -> Fraction | None:
    return one.factor / other.factor if one.of_one_kind(other) else None


def _close(one: Fraction, other: Fraction, tolerance: tuple[Fraction, bool]) -> bool:
    size, relative = tolerance
    return abs(one - other) <= size * (max(abs(one), abs(other)) if relative else 1)


def _collections(one: Collection, other: Collection, tolerance: tuple[Fraction, bool]) -> bool:
    if one.kind != other.kind or len(one.members) != len(other.members):
        return False
    if one.ordered:
        pairs = zip(one.members, other.members, strict=True)
        return all(equal_values(left, right, tolerance) for left, right in pairs)
    if len(_names(one)) > 1 or len(_names(other)) > 1:  # 1, 2 doesn't say which of x and y is 1
        return _names(one) == _names(other) and _matched(one.members, other.members, tolerance)
    return _matched(one.members, other.members, tolerance)


def _names(collection: Collection) -> set[str]:
    return {member.name for member in collection.members if isinstance(member, Named)}


def _matched(
    ones: Sequence[Value], others: Sequence[Value], tolerance: tuple[Fraction, bool]
) -> bool:
    left = list(others)
    for one in ones:
        partner = next((other for other in left if equal_values(one, other, tolerance)), None)
        if partner is None:
            return False
        left.remove(partner)
    return True


def _expressions(
    one: Number | Expression, other: Number | Expression, tolerance: tuple[Fraction, bool]
) -> bool:
    left, right = _latex(one), _latex(other)
    if is_relation(left) != is_relation(right):  # 2x = 0 is not 0
        return False
    if judge.same(left, right):
        return True
    if not tolerance[0] or is_relation(left):
        return False
    one_size, other_size = _size(one), _size(other)
    if one_size is None or other_size is None:
        return False
    return _close(one_size, other_size, tolerance)


def _size(value: Number | Expression) -> Fraction | None:
    return value.number if isinstance(value, Number) else judge.size(value.latex)


def _latex(value: Number | Expression) -> str:
    if isinstance(value, Expression):
        return value.latex
    return f"\\frac{{{value.number.numerator}}}{{{value.number.denominator}}}"
