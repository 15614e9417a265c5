"""The calculator: right sums, nothing but sums, and never for long."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.nodes.tools.calculator import calculate


@pytest.mark.parametrize(
    ("program", "value"),
    [
        ("8 + 5", "13"),
        ("8 + 5 = 12", "13"),
        ("x = 8\ny = 5\nprint(x + y)", "13"),
        ("Let me see.\n8 + 5", "13"),
        ("```python\na = 3 * 4\nanswer = a / 2\n```\nSo 99.", "6"),
        ("total = 8 + 5 = 12", "13"),
        ("$1,200 x 3", "3600"),
        ("0.1 + 0.2", "0.3"),
        ("2 ^ 10 # a power", "1024"),
        ("min(3, 4) * sqrt(16)", "12"),
        ("return sqrt(16)", "4"),
        ("return (2 + 3) * (4 + 5)", "45"),
        ("print(round(8 / 3, 2))", "2.67"),
        ("x = 3\nreturn abs(x - 5)", "2"),
        ("7 / 2", "3.5"),
        ("1 / 3", "0.333333333333"),
        ("5 = x", "5"),
    ],
)
def test_it_works_out_what_a_model_may_write(program, value):
    assert calculate(program) == value


@pytest.mark.parametrize(
    "program",
    [
        "",
        "I do not know.",
        "1 / 0",
        "().__class__.__bases__",
        "__import__('os').system('true')",
        "open('/etc/passwd')",
        "[1 for x in range(9)]",
        "'a' * 10",
        "x + 1",
        "True",
        "lambda: 1",
        "(-8) ** 0.5",
        "int('9' * 10)",
        "1e999",
    ],
)
def test_what_is_no_sum_has_no_value(program):
    assert calculate(program) is None


@pytest.mark.parametrize(
    "program",
    [
        "9**9**9",
        "9**9**9**9",
        "x = 9**99\n" + "x = x * x\n" * 50,
        "(" * 250 + "1" + ")" * 250,
        "-" * 290 + "1",
        "1\n" * 100_000,
        "9" * 100_000,
        "a = 1\n" + "a" * 290,
        "1.5 ** 1e300",
        "(2 ** 2000) / 3.0 * 1e308 * 1e308",
    ],
)
def test_nothing_takes_long(program):
    began = time.perf_counter()
    calculate(program)
    assert time.perf_counter() - began < 2


@given(st.text(max_size=200))
def test_no_text_breaks_it(text):
    value = calculate(text)
    assert value is None or float(value) == float(value)


@given(st.integers(-999, 999), st.integers(-999, 999), st.sampled_from("+-*"))
def test_it_agrees_with_arithmetic(a, b, sign):
    expected = {"+": a + b, "-": a - b, "*": a * b}[sign]
    assert calculate(f"({a}) {sign} ({b})") == str(expected)
