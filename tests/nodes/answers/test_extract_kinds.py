# ruff: noqa: E501 (tables of texts)
"""Extraction kind by kind: what models write around an answer.

Reads `extract.jsonl`, inputs of public bug reports, as `test_kinds` reads `equal.jsonl`.
"""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from thinkgraph.nodes.answers import equal, expected_extractor, extract

SHARED = Path(__file__).resolve().parents[4] / "shared"
CASES = Path(os.environ.get("THINKGRAPH_DATA") or SHARED / "data").parent / "cases"

KINDS: dict[str, list[tuple[str, str | None]]] = {
    "neighbouring boxes": [
        (r"$\boxed{-2}$ and $\boxed{1}$", "-2, 1"),
        (r"\(\boxed{1}\) and \(\boxed{-2}\).", "1, -2"),
        (r"\boxed{1},\boxed{2},\boxed{3}", "1, 2, 3"),
        (r"\boxed{1} and \boxed{2} and \boxed{3}", "1, 2, 3"),
        (r"$$\boxed{(2, 2)} \quad \text{and} \quad \boxed{(6, 2)}$$", "(2, 2), (6, 2)"),
        (r"\[\boxed{(1, 2)}, \boxed{(2, 1)}, \boxed{(-1, -20)}\]", "(1, 2), (2, 1), (-1, -20)"),
        (r"\($y_1 = \boxed{x+1} \) and \( y_2 = \boxed{x-1} \) ", "x+1, x-1"),
        (r"\boxed{1} papers and \boxed{2} bins", "1, 2"),
        (r"\boxed{x = 1} or \boxed{x = 3}", "x = 1, x = 3"),
        (r"\boxed{2,5}; \boxed{3,5}", "2,5; 3,5"),
        (r"\boxed{5} and \boxed{5}", "5"),
        (r"\boxed{1}\boxed{2}", "1, 2"),
        (r"\boxed{3}, so \boxed{4}", "4"),
        (r"\boxed{3} is wrong, and \boxed{4}", "4"),
        (r"\boxed{1} and then \boxed{2}", "2"),
        (r"\boxed{3}. Wait, I forgot the sign. \boxed{-3}", "-3"),
        (r"First \boxed{3}, but with the tax \boxed{4}", "4"),
        (r"Not \boxed{3} but \boxed{4}.", "4"),
        (r"\boxed{1} no no no no no \boxed{2}", "2"),
    ],
    "a marker whose answer begins on a later line": [
        ("The answer is:\n\n$$\n42\n$$", "42"),
        ("The answer is:\n\\[\n42\n\\]\nDone.", "42"),
        ("The answer is\n\n42", "42"),
        ("**Answer:**\n\n7 apples", "7 apples"),
        ("Answer:\n```\n12\n```", "12"),
        ("The final answer is:\n\n\\[ x = 3 \\]", "x = 3"),
        ("Final Answer:\n\n**Paris**", "Paris"),
        ("The answer is:\n\n$$\n\\frac{1}{2}\n$$\nas required.", r"\frac{1}{2}"),
    ],
    "full stops that end no sentence": [
        ("The answer is St. Louis.", "St. Louis"),
        ("The answer is approx. 42.", "approx. 42"),
        ("The answer is Dr. Smith. He was right.", "Dr. Smith"),
        ("The answer is Mt. Everest", "Mt. Everest"),
        ("The answer is John F. Kennedy.", "John F. Kennedy"),
        ("The answer is J. K. Rowling.", "J. K. Rowling"),
        ("The answer is Washington, D.C.", "Washington, D.C."),
        ("The answer is 9 a.m.", "9 a.m."),
        ("The answer is No. 5.", "No. 5"),
        ("The answer is B. Because it is larger.", "B"),
        ("The answer is 3.14. So we stop.", "3.14"),
        ("The answer is 42. Then 43 is next.", "42"),
        ("The answer is Paris. It is in France.", "Paris"),
        ("The answer is no. The shop is closed.", "no"),
    ],
    "a later marked answer against an earlier box": [
        (
            "We find \\boxed{255} as interest.\nFinal Answer: The final answer is $10,455$.",
            "10,455",
        ),
        ("So $\\boxed{3}$ are red.\n\nThe answer is 7.", "7"),
        ("\\boxed{3}\n#### 12", "12"),
        ("The answer is 3. \\boxed{4}", "4"),
        ("\\boxed{4}\nNote: the answer is not unique.", "4"),
        ("\\boxed{4}. The answer is correct.", "4"),
        ("\\boxed{4}\nI hope the answer is in simplest form.", "4"),
        ("The final answer is $\\boxed{4}$. I hope it is correct.", "4"),
    ],
    "remarks with a marker": [
        ("Answer: 7\nNote: the answer is not unique.", "7"),
        ("I checked the answer: it's right. So 8.", "8"),
        ("The answer is 7. This answer is correct.", "7"),
        ("The answer is 12. Let me check: the answer is consistent with the question.", "12"),
        ("Answer: 3/4. The answer is in simplest form.", "3/4"),
        ("The answer is 5. My answer is based on the table.", "5"),
        ("#### 9\nThe answer is rounded to the nearest integer.", "9"),
        ("The answer is 5 because 2 + 3 = 5.", "5"),
        ("To find the answer: we need to add 2 and 3. So 5.", "5"),
        ("To find the answer: first we add 2 and 3.\nIt is 5.", "5"),
        ("We double it to get the final answer: 42 apples.\nOf these 3 are red.", "42 apples"),
        ("Look it up to find the answer: New Orleans. It has 2 airports.", "New Orleans"),
        ("The answer is obvious. 12", "12"),
        ("Answer: 7. Verify that the answer is right.", "7"),
    ],
    "letters beside scripts without spaces": [
        ("答案是8722。", "8722"),
        ("所以一共有15个苹果", "15"),
        ("合計は120円です。", "120"),
        ("총 42개입니다", "42"),
        ("答案：3/4", "3/4"),
        ("最终答案是12。", "12"),
        ("答えは5です", "5です"),
    ],
    "markers of other languages": [
        ("Die Antwort ist 2,74.", "2,74"),
        ("La réponse est 12.", "12"),
        ("La respuesta es 3/4.", "3/4"),
        ("A resposta é 10.", "10"),
        ("La risposta è 8.", "8"),
        ("Ответ: 15", "15"),
        ("Antwort: Berlin", "Berlin"),
        ("Réponse : 7", "7"),
        ("Odpowiedź: 9", "9"),
        ("정답은 3", "3"),
        ("Het antwoord is 6.", "6"),
    ],
    "thoughts": [
        ("analysisWe need 2*3. So the answer is 6.assistantfinalIt is 6.", "6"),
        ("[THINK]the answer is 5[/THINK]It is 6", "6"),
        (
            "<|channel|>analysis<|message|>the answer is 5<|end|><|start|>assistant<|channel|>final<|message|>It is 6<|return|>",
            "6",
        ),
        ("<reasoning>the answer is 5</reasoning>It is 6", "6"),
        ("◁think▷the answer is 5◁/think▷It is 6", "6"),
        (
            "<|begin_of_thought|>answer is 5<|end_of_thought|><|begin_of_solution|>It is 6<|end_of_solution|>",
            "6",
        ),
        ("<seed:think>5</seed:think>6", "6"),
        ("<thought>5</thought>6", "6"),
        ("<|channel|>analysis<|message|>still 5", None),
        ("[THINK]only 5", None),
        ("An analysis of 6", "6"),
    ],
    "short texts": [
        ("No.", "No"),
        ("no, shipping is not free", "no"),
        ("Yes, it is.", "Yes"),
        ("No, it takes 3 days.", "No"),
        ("**Yes**", "Yes"),
        ("Paris.", "Paris"),
        ("New York City", "New York City"),
        ("The answer is no, shipping is not free.", "no"),
        ("The answer is yes.", "yes"),
        ("I don't know.", None),
        ("I can't tell.", None),
        ("No apples are left, so 0.", "0"),
        ("42 apples", "42"),
        ("Sure!", None),
        ("no idea", None),
        ("Hm.", None),
        ("Not sure.", None),
        ("Let me think", None),
        ("First, we add", None),
        ("", None),
    ],
    "formulas that are no numbers": [
        ("$x \\leq 2$", "$x \\leq 2$"),
        ("Therefore $x \\geq 5$ is the solution.", "x \\geq 5"),
        ("x >= 5", "x >= 5"),
        ("(3, 4)", "(3, 4)"),
        ("1, 2, 3", "1, 2, 3"),
        ("So \\(x = \\frac{1}{2}\\).", "x = \\frac{1}{2}"),
        ("He pays $5 and she earns $10.", "$10"),
        ("It costs $3 + $4 = $7.", "$7"),
        ("With $x = 2$ there are 12.", "12"),
        ("$7$", "7"),
        ("$1$, $2$ and $3$.", "$1$, $2$ and $3$"),
    ],
    "numbers of every spelling": [
        ("Es kostet 2,74 Euro", "2,74"),
        ("so there are 1.234.567 of them", "1.234.567"),
        ("about 10^6 cells", "10^6"),
        ("roughly 3 × 10⁸ m/s", "3 × 10⁸"),
        ("that is 2⁵ ways", "2⁵"),
        ("between 3,5 and 7", "7"),
        ("the numbers 1, 2, 3", "3"),
        ("he has 2½ cups", "2½"),
        ("costs €12.50", "€12.50"),
        ("that is 28 percent of them", "28%"),
        ("so $28$ % of them", "28%"),
    ],
}
CHOICES: list[tuple[str, str | None]] = [
    (r"So \boxed{C: A polygenic score}", "C"),
    ("réponse est C non A", "C"),
    ("La réponse correcte est (B).", "B"),
    ("Die Antwort ist B.", "B"),
    ("Antwort: D", "D"),
    ("La respuesta correcta es C", "C"),
    ("答案是B", "B"),
    ("正确答案是：C。", "C"),
    ("所以选B。", "B"),
    ("故选（D）", "D"),
    ("答えはAです", "A"),
    ("정답은 C입니다", "C"),
    ("Ответ: B", "B"),
    ("A resposta é D.", "D"),
    ("La risposta corretta è A.", "A"),
    ("Option B: Paris", "B"),
    ("B: Paris", "B"),
    ("The answer is C: a polygenic score", "C"),
    ("Answer: (D) none of these", "D"),
    (r"\boxed{\text{B. Paris}}", "B"),
    (r"\boxed{\mathrm{(C)}}", "C"),
    ("The correct option is **C**.", "C"),
    ("A is wrong. The answer is B.", "B"),
    ("La réponse est un chien", None),
    ("Die Antwort ist Apfel", None),
    ("答案是苹果", None),
]


@pytest.mark.parametrize("kind", KINDS)
def test_finds_the_answer_in_what_models_write(kind: str) -> None:
    found = [(text, answer, extract(text)) for text, answer in KINDS[kind]]
    assert [each for each in found if each[1] != each[2]] == []


def test_finds_a_choice_in_other_languages_and_with_a_colon() -> None:
    found = [(text, answer, extract(text, {"choice": "ABCD"})) for text, answer in CHOICES]
    assert [each for each in found if each[1] != each[2]] == []


def test_inputs_of_public_reports() -> None:
    path = CASES / "extract.jsonl"
    if not path.exists():
        pytest.skip(f"{path} is missing")
    for line in path.read_text(encoding="utf-8").splitlines():
        case = json.loads(line)
        how = {"choice": case["choices"]} if case["choices"] else case["extractor"]
        assert extract(case["text"], how) == case["answer"], case


@pytest.mark.parametrize(
    ("how", "text", "answer"),
    [
        ("yes-no", "No.", "no"),
        ("yes-no", "no, shipping is not free", "no"),
        ("yes-no", "The answer is yes.", "yes"),
        ("yes-no", r"\boxed{\text{No}}", "no"),
        ("yes-no", "Nein, das geht nicht.", "no"),
        ("yes-no", "是的。", "yes"),
        ("yes-no", "True", "yes"),
        ("yes-no", "It depends.", None),
        ("yes-no", "Well, I would say yes", "yes"),
        ({"one-of": ["positive", "negative"]}, "The sentiment is Positive.", "positive"),
        ({"one-of": ["positive", "negative"]}, "Answer: negative, not positive", None),
        ({"one-of": ["positive", "negative"]}, "positive or negative?\nnegative", "negative"),
        ({"one-of": ["New York", "York"]}, "It is new york", "New York"),
        ({"one-of": ["a", "b"]}, "cab", None),
        ({"one-of": ["true", "false"]}, "Yes.", "true"),
        ({"one-of": ["True", "False"]}, "No, that isn't true.", "False"),
        ({"one-of": ["true", "false"]}, "The statement is false.", "false"),
        ({"one-of": ["true", "false"]}, "So the answer is no", "false"),
        ({"one-of": ["true", "false", "maybe"]}, "Yes.", None),
        ("number", r"The total is $60 \text{ minutes}$.", "60"),
        ("number", r"The angle is $60^\circ$.", "60"),
        ("number", "It costs $60 and not $50", "$50"),
        ("number", "It costs $60\n$x$", "$60"),
        ("number", "Per day she needs:\n- 3 eggs\n- 5 apples", "5"),
        ("number", "So the profit is 20 - 5", "5"),
        ("number", "pages 3 - 5", "5"),
        ("number", "x = - 5", "-5"),
        ("number", "The sum is (- 5)", "-5"),
        ("number", "It is -5 degrees", "-5"),
        ({"auto": "text"}, "no, shipping is not free", "no, shipping is not free"),
        (
            {"auto": "text"},
            "The answer is the Battle of Hastings in 1066.",
            "the Battle of Hastings in 1066",
        ),
        ({"auto": "number"}, "No, it takes 3 days.", "3"),
        ({"auto": "number"}, "The answer is Paris in 1889.", "Paris in 1889"),
        ({"auto": "number"}, r"As a = 2, the answer is \boxed{\infty}.", r"\infty"),
        ({"auto": "number"}, r"For p \le x \le 15 the least is \[ \boxed{p} \]", "p"),
        ({"auto": "number"}, r"It is \(\boxed{\infty}\), as 1/x grows near 0.", r"\infty"),
        ({"auto": "number"}, r"Twelve is 12: \boxed{\text{twelve}}", r"\text{twelve}"),
        ({"auto": "number"}, r"6 divides all: \boxed{\text{No value}}", r"\text{No value}"),
        ({"auto": "number"}, r"\boxed{\text{The answer is }} 16", "16"),
        ({"auto": "number"}, "#### 72\n\n\\boxed{\\text{Answer}}", "72"),
        ({"auto": "number"}, r"It is $18 \boxed{\text{ dollars}}$.", "$18"),
        ({"auto": "number"}, r"He packs 18 \boxed{\text{boxes}}.", "18"),
        ({"auto": "number"}, r"It is 12. \boxed{}", "12"),
        ({"auto": "number"}, r"It is 12. \boxed{\checkmark}", "12"),
        ({"auto": "number"}, r"The answer is 72. I write it in \boxed form.", "72"),
    ],
)
def test_a_declared_kind_is_looked_for(how: object, text: str, answer: str | None) -> None:
    assert extract(text, how) == answer


@pytest.mark.parametrize(
    ("references", "letters", "short"),
    [
        (["5", "$12", "1/2", "7 km"], "", {"auto": "number"}),
        (["yes", "No", "yes."], "", "yes-no"),
        (["A", "C", "b"], "ABCD", {"choice": "ABCD"}),
        (["positive", "negative"] * 6, "", {"one-of": ["negative", "positive"]}),
        (["Paris", "Victor Hugo", "the Seine"], "", {"auto": "text"}),
        (["x^2+1", "5", "(1, 2)"], "", "auto"),
        (["5", "Paris"], "", "auto"),
        (["A", "C"], "", {"choice": "ABCD"}),
        (["(B)", "E.", "A"], "", {"choice": "ABCDE"}),
        (["true", "False"], "", {"one-of": ["true", "false"]}),
        (["Positive", "negative", "positive."] * 4, "", {"one-of": ["negative", "positive"]}),
        (["yes", "no", "maybe", "no"] * 3, "", {"one-of": ["maybe", "no", "yes"]}),
        ([], "", "auto"),
    ],
)
def test_known_references_say_what_to_look_for(
    references: list[str], letters: str, short: object
) -> None:
    assert expected_extractor(references, letters).short() == short


@pytest.mark.parametrize("question", ["direct", "step by step"])
@pytest.mark.parametrize(("text", "reference"), [("No.", "no"), ("42", "42"), ("Paris", "Paris")])
def test_a_bare_answer_is_as_good_as_a_marked_one(question: str, text: str, reference: str) -> None:
    said = text if question == "direct" else f"Let me see.\nThe answer is {text}"
    assert equal(extract(said) or "", reference)


answers = st.sampled_from(["42", "-3", "1/2", "2,74", r"\frac{1}{2}", "x = 5", "10^6", "12 km"])
before = st.sampled_from(
    [
        "",
        "I add 3 and 4. ",
        "First 7, then 8.\n",
        "The answer is 99. ",
        "\\boxed{98} was my guess.\n",
    ]
)
markers = st.sampled_from(
    [
        "The answer is {}.",
        "Answer: {}",
        "#### {}",
        "The final answer is ${}$.",
        "Die Antwort ist {}.",
        "\\boxed{{{}}}",
        "The answer is:\n\n$$\n{}\n$$",
        "答案是{}。",
    ]
)
after = st.sampled_from(
    ["", "\nThe answer is correct.", "\nI hope it is correct.", "\nNote: the answer is not unique."]
)


@given(before, markers, answers, after)
def test_an_answer_is_found_however_it_is_announced(
    before: str, marker: str, answer: str, after: str
) -> None:
    text = before + marker.format(answer) + after
    assert extract(text) == answer, text


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("The area is 12π", "12π"),
        ("So it is 2√3.", "2√3"),
        ("so it's 2\\sqrt{3}", "2\\sqrt{3}"),
        ("The root is 3i", "3i"),
        ("Il y en a 1\u202f200.", "1\u202f200"),
        ("Answer: 12\n(The answer is in meters.)", "12"),
        ("Đáp án: 7", "7"),
    ],
)
def test_a_number_is_not_cut_out_of_its_expression(text: str, answer: str) -> None:
    assert extract(text) == answer


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("La respuesta correcta es la B.", "B"),
        ("La opción correcta es C", "C"),
        ("The correct choice is B: apples", "B"),
        ("Jawaban: B", "B"),
        ("I would choose a dog", None),
        ("The answer is a dog", None),
    ],
)
def test_a_letter_is_announced_in_many_ways(text: str, letter: str | None) -> None:
    assert extract(text, "choice") == letter
    assert extract(f"A or B?\n{text}", "choice") == letter


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("x_{12}", "x_{1}2", False),
        ("12,5%", "12.5%", True),
        ("2,5 kg", "2.5 kg", True),
        ("2,50 €", "€2.50", True),
    ],
)
def test_commas_and_subscripts(one: str, other: str, same: bool) -> None:
    assert equal(one, other) is same


@pytest.mark.parametrize("text", ["5!", "n!", "(n+1)!", "7!!", "**10!**"])
def test_a_text_that_is_only_a_factorial_keeps_its_sign(text):
    assert extract(text) == text.strip("*")


def test_an_exclamation_after_a_sentence_is_no_factorial():
    assert extract("It is 42!") == "42"
