"""Decides whether two LaTeX expressions are equal; run as a script in a subprocess.

The expressions are parsed by latex2sympy and compared with sympy. Two expressions are equal when
their difference vanishes: at random values of their symbols, to thirty digits, or by simplification
if they have no numeric value. Two equations are equal when the differences of their sides are
proportional. Imports nothing of thinkgraph; see `judge`.
"""

import json
import random
import re
import sys
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import sympy  # type: ignore[import-untyped]
from latex2sympy2_extended import (  # type: ignore[import-untyped]
    NormalizationConfig,
    latex2sympy,
    normalize_latex,
)
from latex2sympy2_extended.latex2sympy2 import ConversionConfig  # type: ignore[import-untyped]
from sympy.core.function import AppliedUndef  # type: ignore[import-untyped]
from sympy.core.relational import Relational  # type: ignore[import-untyped]

_MEMORY = 1 << 30
_PLACES = 5
_DIGITS = 40
# Its unit removal would drop the m of 2k + 3m.
_SPELLING = NormalizationConfig(
    basic_latex=True, units=False, malformed_operators=True, nits=True, boxed="none"
)
_READING = ConversionConfig(interpret_as_mixed_fractions=False, lowercase_symbols=False)
_TRUTHS = (sympy.true, sympy.false)
_PRIMES = re.compile(r"(?<=[A-Za-z])'+")  # latex2sympy drops them
_FLIPPED = {
    sympy.StrictLessThan: sympy.StrictGreaterThan,
    sympy.LessThan: sympy.GreaterThan,
}


def same(one: str, other: str) -> bool:
    """Whether two LaTeX expressions or relations are equal by value."""
    left, right = parse(one), parse(other)
    if left is None or right is None:
        return False
    left, right = _products(left, right), _products(right, left)
    if isinstance(left, Relational) and isinstance(right, Relational):
        return _same_relation(left, right)
    if isinstance(left, sympy.Expr) and isinstance(right, sympy.Expr):
        return _same_value(left, right)
    return type(left) is type(right) and left not in _TRUTHS and bool(left == right)


def size(latex: str) -> str | None:
    """The value of a real constant to fifteen digits; None with symbols or without a value."""
    expression = parse(latex)
    if not isinstance(expression, sympy.Expr) or expression.free_symbols:
        return None
    value = expression.evalf(20)
    return str(value.evalf(15)) if value.is_real and value.is_finite and value.is_Float else None


@lru_cache(maxsize=1024)
def parse(latex: str) -> Any:
    """Read LaTeX as a sympy expression with exact numbers; None if it can't be read."""
    try:
        read = latex2sympy(
            normalize_latex(_PRIMES.sub(_prime, latex), _SPELLING),
            normalization_config=None,
            conversion_config=_READING,
        )
        if not isinstance(read, sympy.Basic):
            return None
        return _exact(read)
    except (Exception, RecursionError):
        return None


def _prime(primes: re.Match[str]) -> str:
    return f"_{{{'P' * len(primes[0])}}}"


def _exact(read: sympy.Basic) -> sympy.Basic:
    """Replace decimals by fractions, and i by the imaginary unit."""
    decimals = {each: sympy.Rational(str(each)) for each in read.atoms(sympy.Float)}
    plain = {each: sympy.Symbol(each.name) for each in read.atoms(sympy.Symbol)}
    imaginary = {each: sympy.I for each in read.free_symbols if getattr(each, "name", "") == "i"}
    return read.xreplace({**decimals, **plain, **imaginary})


def _products(one: sympy.Basic, other: sympy.Basic) -> sympy.Basic:
    """Replace calls such as `p(1-p)` by products if p is a symbol as well."""
    symbols = {each.name for each in one.free_symbols | other.free_symbols}
    calls = [
        each for each in one.atoms(AppliedUndef) if each.name in symbols and len(each.args) == 1
    ]
    return one.xreplace({c: sympy.Symbol(c.name) * c.args[0] for c in calls})


def _same_relation(one: Relational, other: Relational) -> bool:
    if type(one) in _FLIPPED:
        one = one.reversed
    if type(other) in _FLIPPED:
        other = other.reversed
    if type(one) is not type(other):
        return False
    left, right = one.lhs - one.rhs, other.lhs - other.rhs
    ratio = _constant_ratio(left, right)
    if ratio is None:
        return False
    return bool(ratio > 0) if isinstance(one, sympy.GreaterThan | sympy.StrictGreaterThan) else True


def _constant_ratio(one: sympy.Expr, other: sympy.Expr) -> Any:
    """The ratio of two expressions, if it is constant, real and not 0; else None."""
    if not one.free_symbols or one.free_symbols != other.free_symbols:
        return None
    pairs = list(_values(one, other))
    if len(pairs) < _PLACES or any(not left or not right for left, right in pairs):
        return None
    ratios = [left / right for left, right in pairs]
    if not all(_near(each, ratios[0]) for each in ratios) or not ratios[0].is_real:
        return None
    return ratios[0]


def _same_value(one: sympy.Expr, other: sympy.Expr) -> bool:
    if one == other:
        return True
    if one.has(sympy.oo, sympy.nan, sympy.zoo) or other.has(sympy.oo, sympy.nan, sympy.zoo):
        return False
    one, other = one.doit(), other.doit()
    if one.is_Rational and other.is_Rational:
        return bool(one == other)
    pairs = list(_values(one, other))
    if any(not _near(left, right) for left, right in pairs):
        return False
    if len(pairs) >= (_PLACES if one.free_symbols | other.free_symbols else 1):
        return True
    return bool(sympy.simplify(one - other) == 0)


def _values(one: sympy.Expr, other: sympy.Expr) -> Iterator[tuple[Any, Any]]:
    """Yield the values of both at random points, positive and negative, where both have one."""
    symbols = sorted(one.free_symbols | other.free_symbols, key=str)
    chance, found = random.Random(7), 0  # noqa: S311 (no secret)
    for attempt in range(4 * _PLACES if symbols else 1):
        low = -3 if attempt % 2 else 0
        place = {
            each: sympy.Rational(chance.randint(low * 1000 + 1, 3001), 1009) for each in symbols
        }
        pair = tuple(_number(each.subs(place)) for each in (one, other))
        if None not in pair:
            found += 1
            yield pair
        if found == 2 * _PLACES:
            return


def _number(expression: sympy.Expr) -> Any:
    value = expression.evalf(_DIGITS, maxn=400)
    parts = value.as_real_imag()
    return value if all(part.is_Float or part.is_Rational for part in parts) else None


def _near(one: Any, other: Any) -> bool:
    scale = max(abs(one), abs(other))
    return bool(abs(one - other) <= scale * sympy.Float(10) ** (-_DIGITS + 10))


def _limit_memory() -> None:
    try:
        import resource  # noqa: PLC0415 (not on Windows)
    except ImportError:
        return
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))


def serve() -> None:
    """Answer requests, one JSON line each, until standard input ends.

    The reply to `[one, other]` is whether they are equal, the reply to `[one]` its value.
    """
    _limit_memory()
    for line in sys.stdin:
        expressions = json.loads(line)
        reply: Any = None
        try:
            reply = same(*expressions) if len(expressions) == 2 else size(*expressions)
        except (Exception, RecursionError, MemoryError):
            reply = False if len(expressions) == 2 else None
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    serve()
