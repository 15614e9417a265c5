"""Reference answers of real benchmarks: found in their solutions, equal however they are spelled.

Reads `math500_test.json` and `gsm8k_test.jsonl` from the folder that the environment variable
THINKGRAPH_DATA names, or from `shared/data` beside the checkout. GSM8K is
github.com/openai/grade-school-math; MATH-500 as in github.com/rasbt/reasoning-from-scratch, ch03.
"""

import json
import os
import random
import re
from collections.abc import Callable
from fractions import Fraction
from functools import cache
from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from thinkgraph.nodes.answers import canonical, equal, extract
from thinkgraph.nodes.answers.value import Collection, Expression, Number, Words
from thinkgraph.nodes.answers.value.brackets import split
from thinkgraph.nodes.answers.value.value import plain

DATA = Path(
    os.environ.get("THINKGRAPH_DATA") or Path(__file__).resolve().parents[4] / "shared" / "data"
)


def read(name: str) -> str:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is missing: set THINKGRAPH_DATA to the folder that holds {name}")
    return path.read_text(encoding="utf-8")


@cache
def math500() -> list[dict[str, str]]:
    return json.loads(read("math500_test.json"))


@cache
def gsm8k() -> list[dict[str, str]]:
    return [json.loads(line) for line in read("gsm8k_test.jsonl").splitlines()]


# --- Rewritings: each gives another spelling of the same answer, or the same where it can't.


def number(text: str) -> Fraction | None:
    """The value of a bare number, which a rewriting can write in another way."""
    bare = re.fullmatch(r"-?[\d.,]+|-?\\frac\{\d+\}\{\d+\}|-?\d+/\d+", text)
    value = canonical(text)
    return value.number if bare and isinstance(value, Number) else None


def decimal(value: Fraction) -> str | None:
    scaled = value * 10**6
    return f"{float(value):.10f}".rstrip("0").rstrip(".") if scaled.denominator == 1 else None


def swap_fraction_command(text: str) -> str:
    return text.replace(r"\frac", r"\dfrac")


def text_style_fraction(text: str) -> str:
    return text.replace(r"\frac", r"\tfrac").replace(r"\dfrac", r"\tfrac")


def tight_fraction(text: str) -> str:
    return re.sub(r"\\frac\{(\d)\}\{(\d)\}", r"\\frac\1\2", text)


def spaced_fraction(text: str) -> str:
    return re.sub(r"\\frac\{(\w+)\}\{(\w+)\}", r"\\frac { \1 } { \2 }", text)


def slashed(text: str) -> str:
    return re.sub(r"(?<![\d}])\\frac\{(\d+)\}\{(\d+)\}$", r"\1/\2", text)


def unslashed(text: str) -> str:
    return re.sub(r"(\d+)/(\d+)", r"\\frac{\1}{\2}", text)


def as_decimal(text: str) -> str:
    value = number(text)
    return (value is not None and decimal(value)) or text


def as_fraction(text: str) -> str:
    value = number(text)
    if value is None:
        return text
    return rf"{'-' * (value < 0)}\frac{{{abs(value.numerator) * 3}}}{{{value.denominator * 3}}}"


def trailing_zero(text: str) -> str:
    return f"{text}.0" if re.fullmatch(r"-?\d+", text) else text


def bare_point(text: str) -> str:
    return text[1:] if text.startswith("0.") else f"0{text}" if text.startswith(".") else text


def percent(text: str) -> str:
    value = number(text)
    written = decimal(value * 100) if value is not None else None
    return rf"{written}\%" if written else text


def in_words_percent(text: str) -> str:
    return percent(text).replace(r"\%", " percent")


def thousands(text: str, comma: str = ",") -> str:
    if not re.fullmatch(r"-?\d{4,}", text):
        return text
    return f"{int(text):,}".replace(",", comma)


def thousands_in_braces(text: str) -> str:
    return thousands(text, "{,}")


def thousands_with_thin_space(text: str) -> str:
    return thousands(text, r",\!")


def no_thousands(text: str) -> str:
    joined = re.sub(r",\\!\s*", "", text)
    return joined.replace(",", "") if number(joined) is not None else joined


def scientific(text: str) -> str:
    value = number(text)
    if value is None or not value:
        return text
    mantissa = decimal(value / 10)
    return rf"{mantissa} \times 10^1" if mantissa else text


def with_unit(text: str) -> str:
    return rf"{text} \text{{ units}}" if number(text) is not None else text


def with_squared_unit(text: str) -> str:
    return rf"{text}\mbox{{ cm}}^2" if number(text) is not None else text


def with_plain_unit(text: str) -> str:
    return f"{text} apples" if number(text) is not None else text


def with_currency(text: str) -> str:
    return rf"\${text}" if number(text) is not None else text


def without_currency(text: str) -> str:
    return text.replace(r"\$", "")


def without_unit(text: str) -> str:
    return re.sub(r"(?<=[\d}])\s*\\(?:text|mbox)\{[^}]*\}(?:\^2)?$", "", text)


def degrees_in_braces(text: str) -> str:
    return text.replace(r"^\circ", r"^{\circ}")


def degrees_in_words(text: str) -> str:
    return text.replace(r"^\circ", " degrees")


def degrees_as_sign(text: str) -> str:
    return text.replace(r"^\circ", "°")


def spaced(text: str) -> str:
    return re.sub(r"(?<=[\w})])\s*([+,=])\s*(?=[\w({\\])", r"  \1  ", text) if listy(text) else text


def listy(text: str) -> bool:
    return not re.fullmatch(r"-?[\d,.\\$!\s]+", text)


def tight(text: str) -> str:
    return re.sub(r"(?<![a-zA-Z\\])\s+|\s+(?![a-zA-Z\s])", "", text) if "text" not in text else text


def thin_spaced(text: str) -> str:
    return text.replace(",", r",\;") if listy(text) else text


def sized_brackets(text: str) -> str:
    bare = text.replace(r"\left", "").replace(r"\right", "")
    if bare[:1] not in "([" or bare[-1:] not in ")]" or r"\cup" in bare or ")(" in bare:
        return text
    return rf"\left{bare[0]} {bare[1:-1]} \right{bare[-1]}"


def plain_brackets(text: str) -> str:
    return text.replace(r"\left", "").replace(r"\right", "")


def big_brackets(text: str) -> str:
    return re.sub(r"^([(\[])(.*)([)\]])$", r"\\bigl\1\2\\bigr\3", plain_brackets(text))


def reordered(text: str) -> str:
    """Lists, sets and unions have no order."""
    value = canonical(text)
    if not isinstance(value, Collection) or value.ordered or r"\pm" in text.strip(r"\{}"):
        return text
    if value.kind == "union":
        return r" \cup ".join(reversed(split(text, r"\cup")))
    braced = text.startswith(r"\{")
    inner = ", ".join(reversed(split(text[2:-2] if braced else text, ",")))
    return rf"\{{{inner}\}}" if braced else inner


def in_braces(text: str) -> str:
    value = canonical(text)
    bare_list = isinstance(value, Collection) and value.kind == "set" and "{" not in text
    return rf"\{{{text}\}}" if bare_list else text


def joined_by_and(text: str) -> str:
    return r" \text{ and } ".join(split(text, ",")) if in_braces(text) != text else text


def square_matrix(text: str) -> str:
    return text.replace("pmatrix", "bmatrix")


def array_matrix(text: str) -> str:
    columns = "r" * (text.partition(r"\\")[0].count("&") + 1)
    opened = text.replace(r"\begin{pmatrix}", rf"\left( \begin{{array}}{{{columns}}}")
    return opened.replace(r"\end{pmatrix}", r"\end{array} \right)")


def tight_matrix(text: str) -> str:
    return re.sub(r"\s*(\\\\|&)\s*", r"\1", text)


def interval_of_x(text: str) -> str:
    value = canonical(text)
    interval = isinstance(value, Collection) and value.kind in ("[]", "[)", "(]", "union")
    return rf"x \in {text}" if interval and r"\in " not in text else text


def not_interval_of_x(text: str) -> str:
    return text.removeprefix(r"x \in ")


def inequality(text: str) -> str:
    match = re.fullmatch(r"(?:x \\in )?([(\[])(-?[\d\\infty]+),\s*(-?[\d\\infty]+)([)\]])", text)
    if not match or (match[1] + match[4] == "()" and "infty" not in text):
        return text
    first, second = "<" if match[1] == "(" else r"\le", "<" if match[4] == ")" else r"\leq"
    left = "" if "infty" in match[2] else f"{match[2]} {first} "
    right = "" if "infty" in match[3] else f" {second} {match[3]}"
    return f"{left}x{right}"


def assigned(text: str) -> str:
    value = canonical(text)
    scalar = isinstance(value, Number | Expression) and "=" not in text
    return f"t = {text}" if scalar else text


def unassigned(text: str) -> str:
    return re.sub(r"^[a-z] ?= ?(?=[^=]+$)", "", text)


def bare_root(text: str) -> str:
    return re.sub(r"\\sqrt\{(\d)\}", r"\\sqrt\1", text)


def root_as_power(text: str) -> str:
    return re.sub(r"\\sqrt\{(\d+)\}", r"{\1}^{1/2}", text)


def plain_root(text: str) -> str:
    return re.sub(r"\\sqrt\{(\d+)\}", r" sqrt(\1)", text) if r"\frac" not in text else text


def pi_as_sign(text: str) -> str:
    return text.replace(r"\pi", "π")


def infinity_as_sign(text: str) -> str:
    return text.replace(r"\infty", "∞")


def minus_as_sign(text: str) -> str:
    return re.sub(r"-(?=[\d\\(x ])", "−", text) if isinstance_of(text, Number, Collection) else text


def isinstance_of(text: str, *kinds: type) -> bool:
    return isinstance(canonical(text), kinds)


def turned_sum(text: str) -> str:
    """a + b is b + a."""
    if not isinstance_of(text, Expression) or r"\frac" in text:
        return text
    if not re.fullmatch(r"[\w^+\- \\{}]+", text):
        return text
    terms = re.findall(r"[+-]?\s*[^+\-\s][^+\-]*", text)
    signed = [term.strip() if term[0] in "+-" else f"+{term.strip()}" for term in terms]
    return re.sub(r"^\+", "", "".join(reversed(signed)))


def in_parentheses(text: str) -> str:
    scalar = isinstance_of(text, Number, Expression) and not re.search(r"[=,]|\\text|mbox", text)
    return f"({text})" if scalar else text


def doubled_and_halved(text: str) -> str:
    plain = isinstance_of(text, Expression) and not re.search(r"[=,_]|text", text)
    return rf"\frac{{2({text})}}{{2}}" if plain and len(text) > 1 else text


def bare_words(text: str) -> str:
    return re.sub(r"^\\text\{(.*)\}$", r"\1", text)


def in_text_command(text: str) -> str:
    return rf"\text{{{text}}}" if re.fullmatch(r"[A-Za-z]+", bare_words(text)) else text


def capitals(text: str) -> str:
    return bare_words(text).upper() if isinstance_of(text, Words) and "_" not in text else text


def bare_choice(text: str) -> str:
    return re.sub(r"^\\text\{\(([A-Z])\)\}$", r"\1", text)


def bold_choice(text: str) -> str:
    return re.sub(r"^\\text\{\(([A-Z])\)\}$", r"\\textbf{(\1)}", text)


def base_in_braces(text: str) -> str:
    return re.sub(r"_(\d)$", r"_{\1}", text)


def base_in_text(text: str) -> str:
    return re.sub(r"_\{?(\d)\}?$", r"_{\\text{\1}}", text)


INNER: list[Callable[[str], str]] = [
    swap_fraction_command, text_style_fraction, tight_fraction, spaced_fraction, slashed,
    unslashed, as_decimal, as_fraction, trailing_zero, bare_point, percent, in_words_percent,
    thousands, thousands_in_braces, thousands_with_thin_space, no_thousands, scientific,
    with_unit, with_squared_unit, with_plain_unit, with_currency, without_currency, without_unit,
    degrees_in_braces, degrees_in_words, degrees_as_sign, spaced, tight, thin_spaced,
    sized_brackets, plain_brackets, big_brackets, reordered, in_braces, joined_by_and,
    square_matrix, array_matrix, tight_matrix, interval_of_x, not_interval_of_x, inequality,
    assigned, unassigned, bare_root, root_as_power, plain_root, pi_as_sign, infinity_as_sign,
    minus_as_sign, turned_sum, in_parentheses, doubled_and_halved, bare_words, in_text_command,
    capitals, bare_choice, bold_choice, base_in_braces, base_in_text,
]  # fmt: skip
UNIT_REMOVED = {without_unit, without_currency}
UNIT_ADDED = {with_unit, with_squared_unit, with_plain_unit, with_currency}
OUTER: list[Callable[[str], str]] = [
    lambda text: f"${text}$",
    lambda text: rf"\({text}\)",
    lambda text: rf"\[ {text} \]",
    lambda text: rf"\boxed{{{text}}}",
    lambda text: rf"$\boxed{{{text}}}$.",
    lambda text: f"**{text}**",
    lambda text: f"  {text} ",
    lambda text: f"{text}.",
]


def rewritings(answer: str) -> set[str]:
    return {rewrite(answer) for rewrite in [*INNER, *OUTER]} - {answer}


# --- The tests.


def test_every_math500_answer_is_found_in_its_own_solution() -> None:
    for each in math500():
        assert extract(each["solution"], "boxed") == each["answer"], each["unique_id"]
        assert extract(each["solution"]) == each["answer"], each["unique_id"]


def test_every_gsm8k_answer_is_found_in_its_own_solution() -> None:
    for each in gsm8k():
        reference = each["answer"].partition("####")[2].strip()
        for how in ("auto", "final", "number"):
            assert extract(each["answer"], how) == reference, each["question"]


@pytest.mark.slow
def test_every_math500_answer_equals_itself_in_at_least_eight_rewritings() -> None:
    unequal = []
    for answer in sorted({each["answer"] for each in math500()}):
        spellings = rewritings(answer)
        assert len(spellings) >= 8, f"{answer}: only {spellings}"
        unequal += [(answer, each) for each in sorted(spellings) if not equal(answer, each)]
    assert unequal == [], unequal


@pytest.mark.slow
def test_every_gsm8k_answer_equals_itself_in_at_least_eight_rewritings() -> None:
    for answer in sorted({each["answer"].partition("####")[2].strip() for each in gsm8k()}):
        spellings = rewritings(answer)
        assert len(spellings) >= 8
        assert [each for each in spellings if not equal(answer, each)] == []


@pytest.mark.slow
@settings(max_examples=1000, deadline=None)
@given(st.data())
def test_rewritings_compose(data: st.DataObject) -> None:
    answer = data.draw(st.sampled_from([each["answer"] for each in math500()]))
    rewrites = data.draw(st.lists(st.sampled_from(INNER), max_size=3))
    # 5 cents aren't 5 units, though either equals 5.
    assume(not ({*rewrites} & UNIT_REMOVED and {*rewrites} & UNIT_ADDED))
    spelling = answer
    for rewrite in rewrites:
        spelling = rewrite(spelling)
    spelling = data.draw(st.sampled_from(OUTER))(spelling)
    assert equal(answer, spelling) and equal(spelling, answer), spelling


def test_percentages_where_the_question_asks_for_one() -> None:
    asked = [each for each in gsm8k() if "percentage" in each["question"]]
    assert len(asked) > 10
    for each in asked:
        answer = each["answer"].partition("####")[2].strip()
        assert equal(answer, rf"{answer}\%", "What percentage of the students dance?")
        if int(answer) < 100:
            assert equal(answer, str(int(answer) / 100), "What percentage of them dance?")


@pytest.mark.slow
def test_a_changed_answer_is_unequal() -> None:
    """The controls: what makes everything equal would pass the tests above."""
    answers = {each["answer"] for each in math500() if "mbox" not in each["answer"]}
    changed = [(each, re.sub(r"\d+(?!.*\d)", plus_one, each)) for each in sorted(answers)]
    changed = [pair for pair in changed if pair[0] != pair[1]]
    assert len(changed) > 280
    assert [pair for pair in changed if equal(*pair)] == []


def plus_one(digits: re.Match[str]) -> str:
    return str(int(digits[0]) + 1)


@pytest.mark.slow
def test_different_answers_are_unequal() -> None:
    answers = {
        without_unit(unassigned(each["answer"])).replace(r"^\circ", "") for each in math500()
    }
    distinct = {str(plain(canonical(answer))): answer for answer in sorted(answers)}
    sample = random.Random(0).sample(sorted(distinct.values()), 90)
    assert [pair for pair in combinations(sample, 2) if equal(*pair)] == []
