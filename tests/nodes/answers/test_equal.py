"""Equality by value: what is equal, what isn't, and that no text can hold it up."""

import random
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from thinkgraph.nodes.answers import canonical, equal
from thinkgraph.nodes.answers.equal.judge import Judge
from thinkgraph.nodes.answers.vote import group

CLASSES = {
    "a half": [
        "0.5",
        "1/2",
        ".50",
        r"\frac{1}{2}",
        r"\dfrac12",
        r"\tfrac 1 2",
        "2/4",
        r"50\%",
        "½",
    ],
    "twelve hundred": [
        "1200",
        "1,200",
        "1200.0",
        r"1{,}200",
        r"1,\!200",
        "1.2e3",
        "$1,200",
        "12 hundred",
        r"1.2 \times 10^3",
        r"\$1200.00",
        "x = 1200",
        "**1200**",
        r"\boxed{1200}",
        "1200.",
        "x = 600 + 600 = 1200",
    ],
    "-3": ["-3", "−3", "-3.0", "- 3", "-6/2", "(-3)", "-3 degrees", r"-3^\circ"],
    "one": ["1", "1^{235423523}", "(-1)^{235423524}"],
    "two and a half": ["2.5", r"2\frac{1}{2}", "2 1/2", "5/2"],
    "five million": ["5 million", "5,000,000", "5e6"],
    "polynomial": ["x^2+1", "1+x^2", "x^{2} + 1", "y = x^2 + 1", "x**2+1", "(x^2+1)"],
    "product": ["(a+5)(b+2)", "ab+2a+5b+10", r"(b+2) \cdot (a+5)"],
    "root": [r"\sqrt{2}", r"\sqrt2", "2^{1/2}", "sqrt(2)", "√2", r"\frac{2}{\sqrt{2}}"],
    "two pi": [r"2\pi", "2π", "2 pi", r"\pi \cdot 2", r"\frac{4\pi}{2}"],
    "set": [
        r"\{1, 2\}",
        "1, 2",
        "2,1",
        r"\{2,1\}",
        "1 and 2",
        r"1 \text{ or } 2",
        "x = 1, x = 2",
        "x=1 or x=2",
    ],
    "plus or minus": [
        r"3 \pm \sqrt{5}",
        r"3+\sqrt5, 3-\sqrt5",
        r"\{3-\sqrt{5}, 3+\sqrt{5}\}",
        r"x = 3 \pm \sqrt{5}",
    ],
    "pair": [
        "(1, 2)",
        r"\left(1,2\right)",
        "(1.0,2)",
        r"\bigl( 1, \frac{4}{2} \bigr)",
        "1 < x < 2",
    ],
    "reversed pair": ["(2, 1)", "(2,1)"],
    "half open": ["(1, 2]", r"1 < x \le 2", r"x \in (1, 2]", r"2 \geq x > 1"],
    "closed": ["[1, 2]", r"1 \leq y \leq 2", r"\left[1, \frac42\right]"],
    "ray": [r"(3, \infty)", "x > 3", "3 < x", "(3, ∞)", r"(3,+\infty)"],
    "union": [r"(-\infty, 2) \cup (3, \infty)", r"(3,\infty) \cup (-\infty,2)", "(-∞,2)∪(3,∞)"],
    "matrix": [
        r"\begin{pmatrix} 1/2 & 0 \\ 0 & 1 \end{pmatrix}",
        r"\begin{bmatrix}\frac12&0\\0&1\end{bmatrix}",
        r"\left[\begin{array}{cc} 0.5 & 0 \\ 0 & 1 \end{array}\right]",
    ],
    "other matrix": [r"\begin{pmatrix} 1/2 & 0 \\ 1 & 0 \end{pmatrix}"],
    "equation": ["2x - y = 4", "2x = y + 4", "y - 2x + 4 = 0"],
    "words": ["north east", "North  East", r"\text{north east}", "North East.", '"north east"'],
    "letter": ["(B)", "B", r"\text{(B)}", r"\textbf{(B)}", "b"],
    "yes": ["yes", "Yes.", "YES"],
    "based": ["40_9", "40_{9}"],
    "otherwise based": ["40_8"],
    "complex": ["1+2i", "2i + 1"],
    "conjugate": ["1-2i"],
    "k": ["2k+3m", "3m+2k"],
    "2k": ["2k"],
    "two": ["2", "2 km", "2.0"],
    "system": ["x = 1, y = 2", "y = 2, x = 1", "x=1 and y=2"],
    "other system": ["x = 2, y = 1"],
    "point": ["(x, y) = (1, 3)", "(1,3)"],
    "million dollars": ["1.5 million dollars", "$1,500,000"],
    "outside": [r"x < 1 \text{ or } x > 3", r"(-\infty, 1) \cup (3, \infty)"],
    "nothing solves it": [r"\emptyset", "∅", r"\{\}"],
    "all": [r"\mathbb{R}", "ℝ", r"x \in \mathbb{R}", "all real numbers", r"(-\infty, \infty)"],
    "no": ["no", "No.", r"\text{no}"],
    "on": ["on"],
    "two numbers": ["3 5"],
    "35": ["35"],
    "spaced thousands": ["12 500", "12,500"],
    "morning": ["9 am"],
    "evening": ["9 pm"],
    "ratio": ["4:3", "4 : 3"],
    "time": ["10:30"],
    "repeating": [r"0.\overline{3}", "1/3"],
    "more": ["5 more than x"],
    "anagrams": ["seat"],
    "of a word": ["east"],
    "nothing": [""],
}
FLAT = [(spelling, name) for name, spellings in CLASSES.items() for spelling in spellings]


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
def test_spellings_of_one_value_are_equal(name: str) -> None:
    first, *others = CLASSES[name]
    assert [other for other in others if not equal(first, other)] == []
    assert [other for other in others if not equal(other, first)] == []


@pytest.mark.slow
@pytest.mark.parametrize("name", CLASSES)
def test_different_values_are_unequal(name: str) -> None:
    spelling = CLASSES[name][-1]
    assert [each for each, other in FLAT if other != name and equal(spelling, each)] == []


def test_a_vote_over_all_spellings_finds_exactly_their_values() -> None:
    shuffled = random.Random(5).sample(FLAT, len(FLAT))
    classes = group([spelling for spelling, _ in shuffled])
    found = sorted(sorted(shuffled[i][0] for i in members) for members in classes)
    assert found == sorted(sorted(spellings) for spellings in CLASSES.values())


@pytest.mark.parametrize(
    ("answers", "classes"),
    [
        (["5 cents", "5 dollars", "5", "$0.05"], [[0, 3], [1], [2]]),
        (["$5", "5", "x = 5", "5 dollars", "500 cents"], [[0, 1, 2, 3, 4]]),
        (["x = 5", "y = 5", "5"], [[0], [1], [2]]),
        (["2x+4y-3=0", "y = -1/2*x + 3/4", "4y = 3 - 2x"], [[0, 1, 2]]),
        (["2,74", "2.74", "2.740"], [[0, 1, 2]]),
    ],
)
def test_what_an_answer_leaves_out_joins_nothing_where_it_could_mean_several(
    answers: list[str], classes: list[list[int]]
) -> None:
    assert group(answers) == classes


answers = (
    st.sampled_from([spelling for spelling, _ in FLAT])
    | st.text(max_size=40)
    | st.from_regex(r"[-+]?[0-9]{1,6}([.,/][0-9]{1,3})?%?( [a-z]{2,6})?", fullmatch=True)
)


@given(answers)
def test_equality_is_reflexive(answer: str) -> None:
    assert equal(answer, answer)
    assert canonical(answer) == canonical(answer) and hash(canonical(answer)) is not None


@settings(deadline=None)
@given(answers, answers)
def test_equality_is_symmetric(one: str, other: str) -> None:
    assert equal(one, other) == equal(other, one)


@given(st.fractions(), st.fractions())
def test_numbers_are_equal_exactly_when_their_values_are(one: object, other: object) -> None:
    assert equal(str(one), str(other)) == (one == other)


PIECES = [
    "1",
    "2",
    "0",
    ",",
    ".",
    "-",
    "+",
    "/",
    "%",
    "\\frac",
    "{",
    "}",
    "(",
    ")",
    "[",
    "]",
    "\\{",
    "\\}",
    "\\sqrt",
    "^",
    "_",
    "x",
    "y",
    "\\text{",
    "and",
    "or",
    "=",
    "<",
    "\\le ",
    "\\pm",
    "\\cup",
    "\\in",
    "\\begin{pmatrix}",
    "\\end{pmatrix}",
    "&",
    "\\\\",
    "$",
    "\\$",
    "\\!",
    "apples",
    "million",
    "cm",
    "e5",
    "\\times",
    "\\circ",
    "\\boxed{",
    "**",
    '"',
    "`",
    "\\left",
    "\\infty",
    "π",
    "½",
    "²",
    "1,200",
    "\\overline{3}",
    "\\",
    "'",
    ":",
    "|",
    "abc",
    " ",
    "\n",
]


@pytest.mark.slow
@settings(max_examples=500)
@given(st.lists(st.sampled_from(PIECES), max_size=80).map("".join))
def test_any_text_reads_as_some_value(text: str) -> None:
    assert hash(canonical(text)) == hash(canonical(text))
    assert equal(text, text)


def test_a_percentage_is_a_hundredth_and_bare_only_where_it_is_asked_for() -> None:
    assert equal("50%", "0.5") and not equal("50%", "50")
    asked = "What percent of them sing?"
    assert (
        equal("50%", "50", asked) and equal("50", "1/2", asked) and equal("50", "50 percent", asked)
    )
    assert not equal("50", "5", asked)
    told = "A shirt costs $50. With 20% off, what does it cost?"
    assert not equal("50", "0.5", told)


def test_a_quantity_is_the_number_of_what_the_question_asks_for() -> None:
    asked = "How many MB are left on the disk?"
    assert equal("650 MB", "650", asked) and equal("0.65 GB", "650", asked)
    assert not equal("650 GB", "650", asked)
    dollars = "What is the total cost in dollars?"
    assert equal("$5", "5", dollars) and equal("500 cents", "5", dollars)
    assert not equal("5 cents", "5", dollars)
    assert equal("5 apples", "5", "How many apples are left?")


def test_a_tolerance_is_absolute_or_relative() -> None:
    assert equal("3.14", "3.1416", tolerance=0.01) and not equal("3.1", "3.1416", tolerance=0.01)
    assert equal("1000", "1009", tolerance="1%") and not equal("1000", "1020", tolerance="1%")
    assert equal("(1, 2.001)", "(1, 2)", tolerance=0.01)


HOSTILE = [
    "10^{10^{10}}",
    "9**9**9",
    "9^9^9^9",
    r"10^{-10^{10}}",
    "((10^{999})^{999})^{999}",
    "999999999!",
    "9!!!!!!!!",
    r"\binom{10^9}{10^8}",
    "(x+1)^{10000}",
    r"\sqrt{",
    r"\frac{1}{0}",
    "1/0",
    "0^0",
    r"\sum_{k=1}^{10^9} k",
    "1e999",
    "1e-999",
    "{" * 300,
    "(" * 300 + ")" * 300,
    "x=" * 200,
    "1," * 290,
    r"\pm" * 100,
    r"\frac" * 100,
    r"\begin{pmatrix}" * 30,
    "x^" * 200,
    "$" * 500,
    "-" * 500,
    r"\sqrt{" * 25 + "2" + "}" * 25,
    "a" * 50_000,
    "1" * 50_000,
    "{" * 50_000,
    "\x00",
    "\ud800",
    "\n",
    "😀",
    "__import__('os').system('false')",
]


@pytest.mark.slow
def test_no_answer_holds_equality_up_in_any_thread() -> None:
    verdicts: list[tuple[bool, ...]] = []

    def work() -> None:
        for text in HOSTILE:
            verdicts.append((equal(text, text), equal(text, r"x^2+\pi"), equal("3", text)))

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(120)
    assert verdicts == [(True, False, False)] * len(HOSTILE)
    assert equal("x^2+1", "1+x^2"), "the judge still works after all that"


@pytest.mark.slow
def test_the_judge_is_killed_when_it_takes_too_long_and_starts_again() -> None:
    judge = Judge(seconds=1.0)
    try:
        assert judge.ask("2x", "x+x") is True
        assert judge.ask("10^{10^{10}}", "3") is None
        assert judge.ask("2x", "x+x") is True
        assert judge.ask("2x", "x") is False
    finally:
        judge.close()


def test_plain_answers_need_no_judge(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> bool:
        raise AssertionError("the judge was asked")

    monkeypatch.setattr(Judge, "ask", refuse)
    assert equal(r"(\frac12, 1{,}200]", "(0.5, 1200]")
    assert not equal("5 apples", "7") and not equal("yes", "no") and not equal("(1,2)", "[1,2]")
