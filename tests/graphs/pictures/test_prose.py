"""Markdown and mathematics that a model wrote: set for a reader, and never obeyed."""

from xml.etree.ElementTree import fromstring

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.graphs.pictures.prose import formula, is_plain, prose


@pytest.mark.parametrize(
    ("text", "has"),
    [
        ("**bold** and `code`", ["<strong>bold</strong>", "<code>code</code>"]),
        ("1. one\n2. two", ["<ol>", "<li>one</li>"]),
        ("| a | b |\n| - | - |\n| 1 | 2 |", ["<table>", "<td>1</td>"]),
        (r"so $\frac{1}{2}$ is", ["<mfrac>", "<mn>1</mn>"]),
        (r"so \(x^2\) is", ["<msup>"]),
        ("then\n\n$$\n\\sqrt{2}\n$$\n", ["<msqrt>", 'display="block"']),
        (r"\[ a \le b \]", ["<mo>≤</mo>"]),
    ],
)
def test_is_set_as_what_it_means(text, has):
    found = str(prose(text))
    assert all(part in found for part in has)
    assert not is_plain(text)


@pytest.mark.parametrize(
    "text",
    ["It costs $5 and then $6.", "A pen.\nTwo pens.", "5 < 6 & 7 > 6", "$20", "2 * 3 = 6", ""],
)
def test_plain_text_and_money_stay_as_they_are(text):
    assert is_plain(text)


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "[x](javascript:alert(1)) and [y](https://example.com)",
        "![x](https://example.com/x.png)",
        "<https://example.com>",
        r"$\text{<script>alert(1)</script>}$",
        r"$\href{javascript:alert(1)}{x}$",
        r"$\style{position:fixed}{x}$",
        r"$\class{mark}{x}$",
        "```\n<script>\n```",
    ],
)
def test_nothing_is_obeyed(text):
    for found in (str(prose(text)), str(formula(text))):
        low = found.lower()
        assert not any(f"<{tag}" in low for tag in ("script", "img", "a ", "iframe", "style"))
        assert not any(f'{name}="' in low for name in ("href", "style", "class", "onerror", "src"))


@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=80))
def test_a_formula_is_well_formed_whatever_is_in_it(latex):
    found = str(formula(f"\\frac{{{latex}}}{{2}}"))
    if found.startswith("<math"):
        assert fromstring(found) is not None
    assert "<script" not in found


@pytest.mark.parametrize("latex", [r"\nosuchcommand{1}", r"\frac{1", "{{{"])
def test_what_can_not_be_set_stays_as_it_was_written(latex):
    assert latex.split("{")[0].strip("\\") in str(prose(f"so ${latex}$ is")) or "{" in latex


def test_texts_of_any_length_and_depth_are_shown():
    assert "x" * 100 in str(prose("x" * 100_000))
    assert str(prose("> " * 3000 + "deep"))


def test_an_answer_is_mathematics_only_if_it_is_written_so():
    assert "<mfrac>" in formula(r"\frac{1}{2}")
    assert str(formula("Paris & co")) == "Paris &amp; co"
