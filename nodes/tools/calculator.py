"""A calculator: evaluates arithmetic that a model wrote, by simpleeval on a restricted AST.

Allowed are numbers, names assigned on earlier lines, + - * / // % **, and a few functions; there
are no attributes, strings or loops. Integers have at most 2048 bits, so nothing takes long.
"""

from __future__ import annotations

import ast
import math
import operator
import re
import warnings
from collections.abc import Callable
from typing import Any

from simpleeval import (  # type: ignore[import-untyped]
    InvalidExpression,
    NumberTooHigh,
    SimpleEval,
)

from thinkgraph.nodes.code_blocks import code_of

LINES, LENGTH, BITS = 60, 300, 2048

Number = int | float


def _bounded(work: Callable[..., Any]) -> Callable[..., Number]:
    def run(*numbers: Any) -> Number:
        result = work(*numbers)
        if isinstance(result, complex) or (isinstance(result, int) and result.bit_length() > BITS):
            raise NumberTooHigh(f"a number has more than {BITS} bits, or is complex")
        return result if isinstance(result, int | float) else float(result)

    return run


def _power(base: Number, exponent: Number) -> Number:
    whole = isinstance(base, int) and isinstance(exponent, int)
    if whole and abs(exponent) * max(int(base).bit_length(), 1) > BITS:
        raise NumberTooHigh(f"a number has more than {BITS} bits")
    result: Number = base**exponent
    return result


_OPERATORS: dict[type[ast.AST], Callable[..., Number]] = {
    ast.Add: _bounded(operator.add),
    ast.Sub: _bounded(operator.sub),
    ast.Mult: _bounded(operator.mul),
    ast.Div: _bounded(operator.truediv),
    ast.FloorDiv: _bounded(operator.floordiv),
    ast.Mod: _bounded(operator.mod),
    ast.Pow: _bounded(_power),
    ast.USub: _bounded(operator.neg),
    ast.UAdd: _bounded(operator.pos),
}
_FUNCTIONS: dict[str, Callable[..., Number]] = {
    "abs": _bounded(abs),
    "min": _bounded(min),
    "max": _bounded(max),
    "round": _bounded(round),
    "int": _bounded(int),
    "float": _bounded(float),
    "sqrt": _bounded(math.sqrt),
    "floor": _bounded(math.floor),
    "ceil": _bounded(math.ceil),
}
_ASSIGNMENT = re.compile(r"^([A-Za-z_]\w*)\s*=(?!=)\s*(.+)$")
_FOREIGN = re.compile(r"[\"'\[\]{}:]")
_CALL = re.compile(r"^(?:print|return)\b\s*")


def calculate(text: str) -> str | None:
    """The value of the last line of a program that can be evaluated; None if none can.

    A line is ``name = expression`` or an expression. In ``8 + 5 = 12`` only the left side is
    evaluated. Lines of prose are skipped. If the text has fenced code, only that is read.
    """
    names: dict[str, Number] = {}
    value: Number | None = None
    for line in code_of(text).splitlines()[:LINES]:
        result = _line(line.strip(), names)
        value = value if result is None else result
    return None if value is None else _plain(value)


def _line(line: str, names: dict[str, Number]) -> Number | None:
    line = _cleaned(line)
    assigned = _ASSIGNMENT.match(line)
    name, expression = (assigned[1], assigned[2]) if assigned else ("", line)
    for side in expression.split("=")[: 1 if "=" in expression else None]:
        value = _value(side.strip(), names)
        if value is not None and name:
            names[name] = value
        return value
    return None


def _cleaned(line: str) -> str:
    line = line.split("#", maxsplit=1)[0].strip().strip("`").rstrip(".;,")
    line = _CALL.sub("", line)
    line = re.sub(r"(?<=\d),(?=\d{3}\b)", "", line).replace("$", "").replace("\\", "")
    line = re.sub(r"(?<=[\d)])\s*[x×·]\s*(?=[\d(])", " * ", line)
    return line.replace("÷", "/").replace("−", "-").replace("^", "**")


def _value(expression: str, names: dict[str, Number]) -> Number | None:
    if not expression or len(expression) > LENGTH or _FOREIGN.search(expression):
        return None
    evaluator = SimpleEval(operators=_OPERATORS, functions=_FUNCTIONS, names=names)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            value = evaluator.eval(expression)
    except (InvalidExpression, SyntaxError, ArithmeticError, ValueError, TypeError, KeyError):
        return None
    except (RecursionError, MemoryError, AttributeError):
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if isinstance(value, int) or math.isfinite(value) else None


def _plain(value: Number) -> str:
    if isinstance(value, int):
        return str(value)
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else format(value, ".12g")
