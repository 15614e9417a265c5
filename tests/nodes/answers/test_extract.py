"""Extractors find the answer in what models write, or abstain."""

import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError

from thinkgraph.nodes.answers import EXTRACTORS, Extract, extract, parse_extractor

BOXED = [
    (r"So \boxed{42}.", "42"),
    (r"\boxed{1} and then \boxed{2}", "2"),
    (r"\boxed{\frac{1}{2}}", r"\frac{1}{2}"),
    (r"\boxed{\left\{1, 2\right\}}", r"\left\{1, 2\right\}"),
    (r"\boxed{\boxed{5}}", "5"),
    (r"\boxed{x = \fbox{7}}", "7"),
    (r"\fbox{7}", "7"),
    (r"\boxed {8}", "8"),
    (r"the answer is $\boxed 5$.", "5"),
    (r"\boxed{3} but then \boxed{4", "3"),
    (r"{ unclosed before \boxed{6}", "6"),
    (r"\\boxed{9}", "9"),
    (r"\boxed{}", None),
    (r"\boxedtext{1}", None),
    ("no box", None),
]
NUMBERS = [
    ("He pays 3 and then 5.", "5"),
    ("1,200 people", "1,200"),
    ("1,234,567.89", "1,234,567.89"),
    (r"about 10{,}000", "10{,}000"),
    ("It costs $5.", "$5"),
    (r"It costs \$18.90", r"\$18.90"),
    ("x = -3", "-3"),
    ("x = −3", "-3"),
    ("10-3", "3"),
    ("a loss of -$5", "-$5"),
    ("1/2 of it", "1/2"),
    ("2 1/2 cups", "2 1/2"),
    (".5 litres", ".5"),
    ("50% of them", "50%"),
    (r"$50\%$", r"50\%"),
    ("3e5 atoms", "3e5"),
    (r"$3 \times 10^{5}$", r"3 \times 10^{5}"),
    (r"\frac{3}{4}", r"\frac{3}{4}"),
    ("the number 7.", "7"),
    ("version B2 only", None),
    ("none at all", None),
]
CHOICES = [
    ("The answer is B", "B"),
    ("The answer is (C).", "C"),
    ("The answer is B because it is larger.", "B"),
    ("**Answer: D**", "D"),
    ("answer: b", "B"),
    ("Final answer: **(E)**", "E"),
    (r"\boxed{\text{(A)}}", "A"),
    (r"$\boxed{B}$", "B"),
    ("(A) is too small, so (B).", "B"),
    ("B", "B"),
    ("B.", "B"),
    ("C) Paris", "C"),
    ("I would choose option C", "C"),
    ("A is the correct answer.", "A"),
    ("A dog has four legs.", None),
    ("The answer is that a dog barks.", None),
    ("A. Paris\nB. London", None),
    ("I have 5 apples.", None),
    ("Vitamin C is good", "C"),
    ("The answer is F", None),
]
FINALS = [
    ("Final answer: 30\\)\n\nThe reasoning is as follows", "30"),  # opened before the marker
    (r"The answer is \[30", "30"),  # cut off
    (r"The answer is \(30\) or \(40\).", r"\(30\) or \(40\)"),
    (r"So \[ \text{The answer is } 16 \]", "16"),
    (r"So $\text{The answer is: } \frac{1}{2}$.", r"\frac{1}{2}"),
    (r"\textbf{The final answer is} 7.", "7"),
    (r"\textbf{The answer is 16}", "16"),
    (r"\[ \text{Answer: } \frac{1}{2} \]", r"\frac{1}{2}"),
    (r"\text{The answer is $12$}", "12"),
    ("The answer is 42.", "42"),
    ("The answer is 3.14. Done.", "3.14"),
    ("The final answer is: $x^2$.", "x^2"),
    ("**Answer:** 7 apples", "7 apples"),
    ("Answer:\n42", "42"),
    ("#### 18", "18"),
    ("The answer is 4. No, the answer is 5.", "5"),
    ("I don't know", None),
]
AUTOS = [
    (r"The answer is 3. \boxed{4} and 5.", "4"),
    ("First 3. The answer is 4. I checked 5 times.", "4"),
    ("The answer is that Tom has 5 apples left over.", "5"),
    ("The answer is Paris.", "Paris"),
    ("The answer is indeed 13.", "13"),
    ("The answer is 2 * 3 = 6 pencils.", "6 pencils"),
    ("The answer is $x = 5$.", "x = 5"),
    ("The answer is now.", "now"),
    ("So he has 8 - 3 = 5 apples", "5"),
    ("I can't tell.", None),
    ("", None),
]


@pytest.mark.parametrize(
    ("how", "text", "answer"),
    [
        (how, *case)
        for how, cases in [
            ("boxed", BOXED),
            ("number", NUMBERS),
            ("choice", CHOICES),
            ("final", FINALS),
            ("auto", AUTOS),
        ]
        for case in cases
    ],
)
def test_finds_the_answer_or_abstains(how: str, text: str, answer: str | None) -> None:
    assert extract(text, how) == answer


@pytest.mark.parametrize(
    ("pattern", "text", "answer"),
    [
        (r"(\d+) euros", "3 euros, no: 12 euros", "12"),
        (r"(?P<unit>\w+): (?P<answer>\d+)", "cm: 5", "5"),
        (r"\d+ (?:kg|g)", "it weighs 5 kg", "5 kg"),
        (r"(?i)RESULT (ü+)", "result üü", "üü"),
        (r"(\d+)? euros", "no euros", None),
        (r"x", "abc", None),
    ],
)
def test_a_pattern_gives_its_answer_group_or_first_group_or_all(
    pattern: str, text: str, answer: str | None
) -> None:
    assert extract(text, {"regex": pattern}) == answer


@pytest.mark.parametrize(
    ("path", "text", "answer"),
    [
        ("answer", '{"answer": 5}', "5"),
        ("result.value", '```json\n{"result": {"value": 1.50}}\n```', "1.50"),
        ("items[1].x", 'so {"items": [{"x": 1}, {"x": "two"}]} it is', "two"),
        ("items.-1", '{"items": [1, 2, 3]}', "3"),
        ("answer", '{"answer": 1} no: {"answer": 2}', "2"),
        ("answer", 'set {1, 2}, and {"answer": 2} [sic]', "2"),
        ("answer", '{"answer": null}', None),
        ("answer", '{"other": 1}', None),
        ("answer.deeper", '{"answer": 1}', None),
        ("answer", '{"answer": true}', "true"),
        ("answer", '{"answer": [1, "ü"]}', '["1", "ü"]'),
        ("", '{"a": "b"}', '{"a": "b"}'),
        ("answer", '{"answer": 1', None),
    ],
)
def test_a_path_leads_into_the_last_json_value(path: str, text: str, answer: str | None) -> None:
    assert extract(text, {"json": path}) == answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("<think>is it 3?</think>It is 4.", "4"),
        ("is it 3? </think> It is 4.", "4"),
        ("4 <think>or 5", "4"),
        ("<think>3</think>4<thinking>5</thinking>", "4"),
        ("<think><think>3</think>5</think>4", "4"),
        ("<think>only 3", None),
    ],
)
def test_think_blocks_are_no_answer(text: str, answer: str | None) -> None:
    assert extract(text, "number") == answer
    assert extract(text, [{"regex": r"\d"}]) == answer


def test_a_list_is_tried_in_order() -> None:
    how = ["boxed", {"regex": r"=> (\w+)"}, "number"]
    assert extract(r"=> x \boxed{1} 2", how) == "1"
    assert extract("=> x 2", how) == "x"
    assert extract("2", how) == "2"
    assert extract("none", how) is None


def test_the_letters_of_a_choice_are_a_setting() -> None:
    assert extract("The answer is F", {"choice": "ABCDEFGH"}) == "F"
    assert extract("The answer is D", {"choice": "abc"}) is None


class Node(BaseModel):
    extract: Extract = parse_extractor("auto")


@pytest.mark.parametrize(
    "short",
    [
        "auto",
        "text",
        {"choice": "ABCD"},
        {"auto": "number"},
        {"regex": r"(\d+) euros"},
        {"json": "a.b"},
        ["boxed", {"json": "x"}],
    ],
)
def test_a_short_form_comes_back_from_a_model(short: object) -> None:
    node = Node.model_validate({"extract": short})
    assert node.model_dump()["extract"] == short
    assert Node.model_validate_json(node.model_dump_json()) == node
    assert hash(node.extract) == hash(parse_extractor(short))


def test_the_json_schema_names_every_extractor() -> None:
    names = Node.model_json_schema()["properties"]["extract"]["anyOf"][0]["enum"]
    assert names == list(EXTRACTORS) and all(kind.about for kind in EXTRACTORS.values())


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        ("nubmer", "did you mean number?"),
        ("zzz", "expected one of auto, boxed"),
        ("regex", "needs its pattern"),
        ({"regex": "(a"}, "missing )"),
        ({"regex": "(?=a)"}, "look-around and back-references are not supported"),
        ({"regex": r"(a)\1"}, "invalid escape"),
        ({"regex": "a{1000}{1000}"}, "regex"),
        ({"regex": 5}, "regex"),
        ({"choice": "A"}, "two or more different letters"),
        ({"choice": "AAB"}, "two or more different letters"),
        ({"number": 3}, "has no setting"),
        ({"auto": "numbers"}, "auto"),
        ("one-of", "needs its labels"),
        ({"one-of": ["a", "A"]}, "must be different"),
        ({"regex": "a", "json": "b"}, "an extractor is"),
        ([], "an extractor is"),
        (None, "an extractor is"),
        (["boxed", "nubmer"], "did you mean number?"),
    ],
)
def test_a_bad_spec_is_told_with_the_way_out(bad: object, said: str) -> None:
    with pytest.raises(ValueError, match=r".+") as error:
        parse_extractor(bad)
    assert said in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(ValidationError, match=r".+") as invalid:
        Node.model_validate({"extract": bad})
    assert said in str(invalid.value)


HOSTILE = [
    *(sign * 100_000 for sign in ["{", "[", "}", "\\", " ", "\n", "1", "-", "$", "*", "x"]),
    *(
        piece * 20_000
        for piece in ["\\boxed{", "\\boxed", "[1,", '{"a":', "<think>", "</think>", "answer is "]
    ),
    *(piece * 20_000 for piece in ["1,111,", "(B", "A. ", "\\frac{1}{", "\\boxed \\text{", "1e"]),
    "\\boxed{" * 10_000 + "1" + "}" * 10_000,
    "answer" + " " * 100_000,
    '{"a":{"b":' + "9" * 5_000 + "}}",
    '{"a":{"b":1e999999999}}',
    "\x00\ud800\uffff",
]


@pytest.mark.slow
@pytest.mark.parametrize(
    "how",
    [
        *(name for name in EXTRACTORS if name not in ("regex", "json", "one-of")),
        {"one-of": ["a", "b"]},
        {"auto": "text"},
        {"auto": "number"},
        {"json": "a.b"},
        {"regex": r"(a|aa)+(x+x+)+y|(.*)(.*)(.*)z"},
    ],
    ids=str,
)
def test_no_text_holds_an_extractor_up(how: object) -> None:
    def work() -> None:
        for text in HOSTILE:
            extract(text, how)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(60)
    assert not worker.is_alive()


@given(
    st.text(),
    st.sampled_from([*sorted({*EXTRACTORS} - {"regex", "json", "one-of"}), {"regex": ".+"}]),
)
def test_any_text_gives_a_stripped_answer_or_none(text: str, how: object) -> None:
    answer = extract(text, how)
    assert answer is None or (answer and answer == answer.strip())
