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
        ("1 / 3", "0.333333333333333"),
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
        "round(5, -10000000)",
        "Let me see.\nround(5, -10000000)",
        "round(5, -9 ** 99)",
        "round(1.5, 10 ** 400)",
        "(5).to_bytes(10 ** 9)",
        "'a' * 10 ** 10",
        "0x" + "f" * 9000,
        "9" * 4200 + " * " + "9" * 4200,
        "-\\\n" * 3000 + "1",
        "1 + " * 2400 + "1",
        "2 ** " * 1900 + "2",
        "1\n" * 4900,
        "Well?\n" + "a = 9 ** 99\n" * 800,
        "x = 2\n" + "x *= x\n" * 1400,
        "a" * 100_000,
        "1,200," * 1600,
        "(" * 9000,
        "```" * 40_000,
        "```python\n" * 10_000,
        "\n" * 100_000,
        " " * 9000 + "x",
        "a " * 4900,
    ],
)
def test_nothing_takes_long(program):
    began = time.perf_counter()
    calculate(program)
    assert time.perf_counter() - began < 2


@pytest.mark.parametrize(
    ("program", "value"),
    [
        ("total = 5\ntotal += 3\ntotal", "8"),
        ("I add.\ntotal = 5\ntotal += 3\ntotal", "8"),
        ("x = 2\nx **= 3\nx //= 3 - 1", "4"),
        ("max(5,100,7)", "100"),
        ("max(100,200)", "200"),
        ("The larger one:\nmax(100,200)", "200"),
        ("print(max(100,200)) # of 1,200 (the largest", "200"),
        ("1,200 + 1,000,300", "1001500"),
        ("total = (1,200 + 300) * 2", "3000"),
        ("round((1,200 + 300) / 7, 1)", "214.3"),
        ("a = 3; a * 2", "6"),
        ("So:\na = 3; a * 2", "6"),
        ("0x10", "16"),
        ("Hex.\n0x10 + 1", "17"),
        ("0 x 10 apples\n0 x 10", "0"),
        ("x = 5 + \\\n 3", "8"),
        ("Sum:\nx = 5 + \\\n 3", "8"),
        ("total = (5 +\n  3)\ntotal", "8"),
        ("    x = 5\n    x + 1", "6"),
        ("12345678901.25", "12345678901.25"),
        ("1.1 * 1.1 * 1.1", "1.331"),
        ("Sure\n8 + 5", "13"),
        ('"""A sum."""\n8 + 5', "13"),
        ("x: int = 5\nx", "5"),
        ("a = b = 4\na * b", "16"),
        ("z = 8 + 5\nprint('Total:', z)", "13"),
        ("z = 8 + 5\nprint(f'Total: {z} apples')", "13"),
        ("2 ** 1000 * 2 ** 1000 // 2 ** 999 // 2 ** 1000", "2"),
        ("round(5, -1)", "0"),
        ("round(2.5)", "2"),
    ],
)
def test_python_has_the_value_that_it_has_in_python(program, value):
    assert calculate(program) == value


@pytest.mark.parametrize(
    "program",
    [
        "x = 10\nif x > 20:\n    x = 0\nx",
        "I check.\nx = 10\nif x > 20:\n    x = 0\nx",
        "I check.\nx = 10\nif x > 20: x = 0\nx",
        "total = 5\nfor i in range(3):\n    total = total + 5\ntotal",
        "I loop.\ntotal = 5\nfor i in range(3):\n    total = total + 5\ntotal",
        "x = 5\nx = price(x)\nx",
        "I call.\nx = 5\nx = price(x)\nx",
        "x = 5\n(x := 6)\nx",
        "total = 5\ntota",
        "max = 5\nmax(3, 4)",
        "x = 5\nprint(x, x + 1)",
        "x = 5\nprint(f'{x:.2f}')",
        "x = 5\nprint('done')",
        "print(1,200)",
        "x = 5\nx == 6",
        "12,3456",
        "max(3, key=5)",
        "Largest:\nx = max(\n3,\n100\n)",
        "x = 1e999\n5 / x",
        "sum([1])\nx = 3",
    ],
)
def test_what_is_not_understood_for_certain_has_no_value(program):
    assert calculate(program) is None


@given(st.text(max_size=200))
def test_no_text_breaks_it(text):
    value = calculate(text)
    assert value is None or float(value) == float(value)


@given(st.integers(-999, 999), st.integers(-999, 999), st.sampled_from("+-*"))
def test_it_agrees_with_arithmetic(a, b, sign):
    expected = {"+": a + b, "-": a - b, "*": a * b}[sign]
    assert calculate(f"({a}) {sign} ({b})") == str(expected)


def test_imports_are_skipped():
    assert calculate("import math\nfrom math import sqrt\nx = sqrt(16)\nx") == "4"
    assert calculate("import math\nmath.sqrt(16)") is None
