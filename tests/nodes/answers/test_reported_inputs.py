"""Sixty inputs of the kinds that public reports are about, and laws of them.

None may be falsely equal; what an extractor can't tell is None.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.nodes.answers import equal, parse_extractor

EQUAL = [
    # factorials, powers, roots, logarithms
    ("0!", "1"), ("(3!)!", "720"), ("4! + 1", "25"), ("2³", "8"), ("10⁻²", "0.01"),
    ("2^{10}", "1024"), ("10^6", "1000000"), ("∛8", "2"), ("2√3", "\\sqrt{12}"),
    ("\\log_2 8", "3"), ("log2(8)", "3"), ("\\log_{10} 100", "2"),
    # separators
    ("1 000 000", "1000000"), ("12 345 678", "12345678"), ("10 000,50", "10000.5"),
    ("-1 000", "-1000"), ("$1 000", "1000"), ("1 000 km", "1000 km"), ("0,5", "0.5"),
    ("1.234.567", "1234567"),
    # orders, intervals, sets
    ("x<=3", "x \\le 3"), ("5 > x > 2", "2 < x < 5"), ("2 <= x < 5", "[2, 5)"),
    ("1;2;3", "3, 2, 1"), ("{1, 2}", "\\{2, 1\\}"),
    # left sides, i, functions, solved forms
    ("∠ABC = 60°", "60"), ("|AB| = 1", "1"), ("≈ 3.14", "3.14"), ("1i", "i"),
    ("abs(-3)", "3"), ("exp(2)", "e^2"), ("x + y = 1", "y = 1 - x"),
    # words and units
    ("one hundred and five", "105"), ("minus three", "-3"), ("two and a half", "2.5"),
    ("1 hour", "60 minutes"), ("100 cm", "1 m"), ("0.65 GB", "650 MB"), ("5 dollars", "500 cents"),
]  # fmt: skip
UNEQUAL = [
    ("4!", "4"), ("x²", "x2"), ("2³", "23"), ("2^10", "210"), ("0,125", "125"), ("1,5", "15"),
    ("1 200", "200"), ("1 2", "12"), ("0 125", "125"), ("1 200 50", "120050"), ("1 200", "1, 200"),
    ("\\log_2 8", "\\log_{28}"), ("\\log_2 8", "28"), ("2 < x < 5", "[2, 5)"), ("{1, 2}", "(1, 2)"),
    ("y = 5", "x = 5"), ("a_{12} = 3", "a_1 = 3"), ("x + y = 1", "y = 1 + x"),
    ("5 cents", "5 dollars"),
    ("650 MB", "650 GB"), ("5 km", "5 miles"), ("$5", "€5"), ("2 cats", "2 dogs"),
]  # fmt: skip
FOUND = [
    ("It has 1 200 members.", "1 200"),
    ("There are 1 000 000 people.", "1 000 000"),
    ("It costs $1 200 a month.", "$1 200"),
    ("In 2020 200 people came.", "200"),
    ("The terms are 100 200 300.", "300"),
    ("The answer is 12 500 euros.", "12 500 euros"),
    ("The answer is not 5.", None),
    ("The answer isn't 5.", None),
    ("The answer cannot be 5.", None),
    ("Answer: not 5", None),
    ("5 isn't the answer.", None),
    ("Die Antwort ist nicht 5.", None),
    ("La réponse n'est pas 5.", None),
    ("答案不是5。", None),
    ("The answer is not 5, it is 7.", "7"),
    ("The answer is not 5 but 7.", "7"),
    ("The answer is 5, not 6.", "5"),
    ("So 5 is not the answer. The answer is 6.", "6"),
    ("The answer is not only 5 but also 7.", "7"),
    ("The answer is no.", "no"),
]


def test_there_are_sixty():
    assert len(EQUAL) + len(UNEQUAL) + len(FOUND) >= 60


@pytest.mark.parametrize(("one", "other"), EQUAL)
def test_equal_values_are_equal(one, other):
    assert equal(one, other) and equal(other, one)


@pytest.mark.parametrize(("one", "other"), UNEQUAL)
def test_other_values_are_not(one, other):
    assert not equal(one, other) and not equal(other, one)


@pytest.mark.parametrize(("text", "answer"), FOUND)
def test_the_answer_is_found_or_none(text, answer):
    assert parse_extractor("auto").find(text) == answer


def test_a_denied_text_is_still_a_text():
    assert parse_extractor({"auto": "text"}).find("The answer is not guilty.") == "not guilty"


def spaced(number):
    return f"{number:,}".replace(",", " ")


@given(st.integers(1000, 10**12))
def test_groups_of_thousands_apart_are_one_number(number):
    assert equal(spaced(number), str(number))


@given(st.integers(1000, 10**12), st.integers(0, 999))
def test_a_part_of_such_a_number_is_not_it(number, part):
    assert equal(spaced(number), str(part)) == (number == part)


@given(st.integers(1000, 99_999), st.sampled_from(["It is {}.", "So {} people came", "{} kg"]))
def test_such_a_number_in_a_sentence_is_read_whole(number, sentence):
    found = parse_extractor("auto").find(sentence.format(spaced(number)))
    assert found is not None and equal(found, str(number))


@given(st.integers(0, 10**6), st.sampled_from(["is not", "isn't", "cannot be", "was not", "isn’t"]))
def test_what_is_said_not_to_be_the_answer_is_not_it(number, verb):
    assert parse_extractor("auto").find(f"I think the answer {verb} {number}.") is None


@given(st.sampled_from([2, 3, 5, 10]), st.integers(1, 5))
def test_a_logarithm_of_a_power_is_its_exponent(base, exponent):
    assert equal(rf"\log_{{{base}}} {base**exponent}", str(exponent))
