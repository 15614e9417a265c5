"""A calculator: evaluates arithmetic that a model wrote, by simpleeval on a restricted AST.

Allowed are numbers, names assigned before, + - * / // % **, and a few functions; there are no
attributes, strings or loops. The text is short and numbers are small, so nothing takes long. What
can't be evaluated for certain has no value.
"""

from __future__ import annotations

import ast
import keyword
import math
import operator
import re
import warnings
from collections.abc import Callable
from textwrap import dedent
from typing import Any

from simpleeval import (  # type: ignore[import-untyped]
    InvalidExpression,
    NumberTooHigh,
    SimpleEval,
)

from thinkgraph.nodes.code_blocks import code_of

CHARACTERS, LINE, BITS = 10_000, 300, 2048
"""Maximum size of a program, of one line of prose (both in characters), and of an integer."""

Number = int | float


def _checked(value: Any) -> Number:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidExpression("no number")
    if isinstance(value, int) and value.bit_length() > BITS:
        raise NumberTooHigh(f"a number has more than {BITS} bits")
    if isinstance(value, float) and not math.isfinite(value):
        raise NumberTooHigh("a number is not finite")
    return value


def _bounded(work: Callable[..., Any]) -> Callable[..., Number]:
    def run(*numbers: Any) -> Number:
        return _checked(work(*numbers))

    return run


def _rounded(number: Number, digits: int | None = None) -> Number:
    if digits is not None and abs(digits) > BITS:  # int.__round__ computes 10 ** -digits
        raise NumberTooHigh(f"round with more than {BITS} digits")
    return round(number, digits)


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
    "round": _bounded(_rounded),
    "int": _bounded(int),
    "float": _bounded(float),
    "sqrt": _bounded(math.sqrt),
    "floor": _bounded(math.floor),
    "ceil": _bounded(math.ceil),
}
_NODES = (ast.Name, ast.UnaryOp, ast.BinOp, ast.Call)
"""The syntax that simpleeval evaluates here, besides numbers."""
_ASSIGNMENT = re.compile(r"^([A-Za-z_]\w*)\s*(\+|-|\*\*|\*|//|/|%)?=(?!=)\s*(.+)$")
_CONTROL = re.compile(r"^\s*(?:if|elif|else|for|while|def|class|with|try|except)\b.*:|[(\[{]\s*$")
"""A line that decides about others, or that continues on the next one."""
_FOREIGN = re.compile(r"[\"'\[\]{}:]")
_CALL = re.compile(r"^(?:print|return)\b\s*")
_TIMES = re.compile(r"(?<=[\d)])(?!(?<=\b0)x)\s*[x×·]\s*(?=[\d(])")
"""A multiplication sign between numbers; the x of ``0x10`` is none."""
_COMMAS = re.compile(
    r"#.*|(?<!\w)(?P<function>[A-Za-z_]\w*)[ \t]*\(|[()]"
    r"|(?P<number>(?<![\w.,])[1-9]\d{0,2}(?:,\d{3})+(?!\w|,\d))"
)
"""Numbers with commas between thousands, and what tells whether they are arguments of a call."""


class _NoValue(Exception):
    """A program, or a part of it, can't be evaluated."""


def calculate(text: str) -> str | None:
    """The value of the last statement of a program; None if it can't be evaluated for certain.

    If the text has fenced code, only that is read. It may consist of assignments, expressions and
    ``print`` of one expression, as in Python (imports are skipped), but ``^`` is a power, and
    ``1,200`` outside the arguments of a call is a number. A text that isn't Python is read line
    by line: lines of prose are skipped, and in ``8 + 5 = 12`` only the left side is evaluated.
    """
    if len(code := code_of(text)) > CHARACTERS:
        return None
    code = _without_commas(dedent(code).strip())
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = _parsed(code.replace("^", "**"))
            value = _Sheet().prose(code) if program is None else _Sheet().program(program)
    except _NoValue:
        return None
    return None if value is None else _plain(value)


class _Sheet:
    """The numbers that a program has named so far."""

    def __init__(self) -> None:
        self._names: dict[str, Number] = {}
        self._functions = dict(_FUNCTIONS)
        self._evaluator = SimpleEval(
            operators=_OPERATORS, functions=self._functions, names=self._names
        )
        allowed = {kind: self._evaluator.nodes[kind] for kind in _NODES}
        self._evaluator.nodes = {**allowed, ast.Constant: _constant}

    def program(self, statements: list[ast.stmt]) -> Number | None:
        """The value of the last statement."""
        value: Number | None = None
        for statement in statements:
            match statement:
                case ast.Expr(value=ast.Constant(value=str())):  # a docstring
                    continue
                case ast.Import() | ast.ImportFrom():  # what isn't here is an unknown name
                    continue
                case ast.Expr(value=ast.Name(id=name)) if name not in self._names:  # a word
                    value = None
                case ast.Expr(value=ast.Call(func=ast.Name(id="print")) as call):
                    value = self._printed(call)
                case ast.Expr(value=expression):
                    value = self._value(expression)
                case ast.Return(value=ast.expr() as expression):
                    return self._value(expression)
                case _:
                    value = self._assigned(statement)
        return value

    def prose(self, code: str) -> Number | None:
        """The value of the last line that has one."""
        value: Number | None = None
        joined = re.sub(r"(?<!\\)\\\n", " ", code)
        parts = (each for line in joined.splitlines() for each in _cleaned(line).split(";"))
        for part in parts:
            line = part.strip()
            if _CONTROL.search(line):
                raise _NoValue
            if assigned := _ASSIGNMENT.match(line):
                name, sign, expression = assigned.groups()
                sides = _left(expression)
                value = self._read(f"{name} {sign} ({sides})" if sign else sides)
                self._set(name, value)
            elif (result := self._read(_left(line))) is not None:
                value = result
        return value

    def _assigned(self, statement: ast.stmt) -> Number:
        targets: list[ast.expr]
        match statement:
            case ast.Assign(targets=targets, value=expression):
                pass
            case ast.AnnAssign(target=target, value=ast.expr() as expression):
                targets = [target]
            case ast.AugAssign(target=ast.Name(id=name) as target, op=sign, value=right):
                left = ast.Name(id=name, ctx=ast.Load())
                targets, expression = [target], ast.BinOp(left, sign, right)
            case _:
                raise _NoValue
        value = self._value(expression)
        for each in targets:
            if not isinstance(each, ast.Name):
                raise _NoValue
            self._set(each.id, value)
        return value

    def _printed(self, call: ast.Call) -> Number | None:
        """What is printed, if it is one number besides texts."""
        parts = [each for argument in call.args for each in _parts(argument)]
        if call.keywords or len(parts) != 1:
            return None
        return self._value(parts[0])

    def _set(self, name: str, value: Number | None) -> None:
        self._functions.pop(name, None)
        self._names.pop(name, None)
        if value is not None:
            self._names[name] = value

    def _read(self, expression: str) -> Number | None:
        expression = expression.strip()
        if len(expression) > LINE or _FOREIGN.search(expression):
            return None
        parsed = _parsed(expression)
        if not parsed or len(parsed) > 1 or not isinstance(parsed[0], ast.Expr):
            return None
        try:
            return self._value(parsed[0].value)
        except _NoValue:
            return None

    def _value(self, expression: ast.expr) -> Number:
        try:
            return _checked(self._evaluator.eval("", expression))
        except (InvalidExpression, ArithmeticError, ValueError, TypeError, RecursionError):
            raise _NoValue from None


def _parsed(code: str) -> list[ast.stmt] | None:
    try:
        return ast.parse(code).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _constant(node: ast.Constant) -> Number:
    return _checked(node.value)


def _parts(printed: ast.expr) -> list[ast.expr]:
    """The expressions in what is printed, without texts."""
    match printed:
        case ast.Constant(value=str()):
            return []
        case ast.JoinedStr(values=values):
            return [part for each in values for part in _parts(each)]
        case ast.FormattedValue(value=value, conversion=-1, format_spec=None):
            return [value]
    return [printed]


def _without_commas(code: str) -> str:
    """Drop the commas between thousands, but not those between the arguments of a call."""
    within: list[bool] = []

    def put(found: re.Match[str]) -> str:
        function, mark = found["function"], found[0][-1]
        if found["number"]:
            return found[0] if within and within[-1] else found[0].replace(",", "")
        if found[0].startswith("#"):
            return found[0]
        if mark == "(":
            within.append(bool(function) and not keyword.iskeyword(function))
        elif within:
            within.pop()
        return found[0]

    return _COMMAS.sub(put, code)


def _cleaned(line: str) -> str:
    line = line.split("#", maxsplit=1)[0].strip().strip("`").rstrip(".;,")
    line = _CALL.sub("", line).replace("$", " ").replace("\\", "")
    line = _TIMES.sub(" * ", line)
    return line.replace("÷", "/").replace("−", "-").replace("^", "**")


def _left(equation: str) -> str:
    return equation.split("=", maxsplit=1)[0]


def _plain(value: Number) -> str:
    if isinstance(value, int):
        return str(value)
    if value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    short = format(value, ".12g")  # without the noise of 1.1 * 1.1, unless it cuts the number
    return short if math.isclose(float(short), value, rel_tol=1e-14) else format(value, ".15g")
