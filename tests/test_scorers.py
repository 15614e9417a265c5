"""benchmarks/scorers.py on fixed texts: right answers of MATH-500 as a model may spell them.

The harness's own code is asked where it is installed; `minerva_math` needs ANTLR 4.11 besides.
"""

import importlib.util
import json
import sys
from pathlib import Path

import pytest

from thinkgraph.evaluate.analysis.summary import summarize
from thinkgraph.evaluate.metrics.find import find_metric
from thinkgraph.evaluate.results.export import Results
from thinkgraph.evaluate.runs.comparison import Comparison
from thinkgraph.evaluate.runs.row import Draft, Row
from thinkgraph.evaluate.runs.variant import Variant
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.nodes.answers import extract

SCRIPT = Path(__file__).parents[1] / "benchmarks" / "scorers.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("scorers", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["scorers"] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules["scorers"]


@pytest.fixture(scope="module")
def scorers(script):
    return script.math_scorers()


HENDRYCKS = "lm-eval hendrycks_math"
MINERVA = "lm-eval minerva_math"
ALL = {"ours", "Math-Verify", f"{HENDRYCKS}, last box", f"{MINERVA}, last box"}
BY_VALUE = ALL - {f"{HENDRYCKS}, last box"}
OUTSIDE_A_BOX = {"ours", "Math-Verify"}

CASES = [
    # reference of MATH-500, what a model wrote, the scorers that find it right
    (r"\frac{3}{56}", r"\boxed{\frac{3}{56}}", ALL),
    (r"\frac{3}{56}", r"\boxed{3/56}", ALL),
    (r"\frac{3}{56}", r"\boxed{\dfrac{3}{56}}", ALL),
    (r"\frac{3}{56}", r"\boxed{\frac{6}{112}}", BY_VALUE),
    (r"\frac{3}{56}", r"The answer is $\frac{3}{56}$.", OUTSIDE_A_BOX | {HENDRYCKS}),
    (r"\frac{3}{56}", r"The answer is 3/56", OUTSIDE_A_BOX),
    (r"\frac{3}{56}", r"So \(p = \frac{3}{56}\).", OUTSIDE_A_BOX),
    (r"\frac{3}{56}", r"**3/56**", {"ours"}),
    (r"\frac{3}{56}", r"\boxed{0.0536}", set()),
    (
        r"\frac{3}{56}",
        r"Final Answer: The final answer is $\frac{3}{56}$. I hope it is correct.",
        OUTSIDE_A_BOX | {HENDRYCKS, MINERVA},
    ),
    (r"\left( 3, \frac{\pi}{2} \right)", r"\boxed{(3, \pi/2)}", OUTSIDE_A_BOX),
    (r"\left( 3, \frac{\pi}{2} \right)", r"\boxed{(\frac{\pi}{2}, 3)}", set()),
    (r"\$18.90", r"\boxed{18.90}", ALL),
    (r"\$18.90", r"\boxed{\$18.9}", BY_VALUE),
    (r"55^\circ", r"\boxed{55}", ALL),
    (r"\text{(E)}", r"\boxed{E}", BY_VALUE),
    (r"\text{(E)}", r"The answer is (E).", {"ours"}),
    (r"x^5 - x^4 + x^3 - x^2 + x - 1", r"\boxed{x^5-x^4+x^3-x^2+x-1}", ALL),
    (r"x^5 - x^4 + x^3 - x^2 + x - 1", r"\boxed{-1+x-x^2+x^3-x^4+x^5}", BY_VALUE),
    (r"(a+5)(b+2)", r"\boxed{(b+2)(a+5)}", BY_VALUE),
    (
        r"\begin{pmatrix} 1/5 \\ -18/5 \end{pmatrix}",
        r"\boxed{\begin{pmatrix} 0.2 \\ -\frac{18}{5} \end{pmatrix}}",
        OUTSIDE_A_BOX,
    ),
    (r"-2,1", r"\boxed{1, -2}", OUTSIDE_A_BOX),
    (r"-2,1", r"The answers are $-2$ and $1$.", {"Math-Verify"}),
    (r"x \in [-2,7]", r"\boxed{[-2, 7]}", OUTSIDE_A_BOX),
    (r"x \in [-2,7]", r"\boxed{-2 \le x \le 7}", {"ours"}),
    (r"\text{Evelyn}", r"\boxed{Evelyn}", BY_VALUE),
    (r"\text{Evelyn}", r"The answer is Evelyn.", {"ours"}),
    (r"11,\! 111,\! 111,\! 100", r"\boxed{11111111100}", BY_VALUE),
    (r"58,500", r"\boxed{58500}", BY_VALUE),
    (r"4343_6", r"\boxed{4343_6}", ALL),
    (r"4343_6", r"\boxed{4343}", {"Math-Verify", f"{MINERVA}, last box"}),
    (r"864 \mbox{ inches}^2", r"\boxed{864}", BY_VALUE),
    (r"3 \pm 2 \sqrt{2}", r"\boxed{3+2\sqrt{2}, 3-2\sqrt{2}}", OUTSIDE_A_BOX),
    (r"(-\infty, 2) \cup (3, \infty)", r"\boxed{x<2 \text{ or } x>3}", {"ours"}),
    (r"(6,31,-1)", r"\boxed{6, 31, -1}", {"Math-Verify"}),
    (r"\frac{14}{3}", r"\boxed{4\frac{2}{3}}", OUTSIDE_A_BOX),
    (r"64", r"\boxed{64}. Check: $8^2 = 64$.", ALL),
]


@pytest.mark.parametrize(("reference", "text", "right"), CASES)
def test_a_scorer_finds_a_spelling_right(script, scorers, reference, text, right):
    question = Question(id="q", text="What is it?", reference=reference)
    scored = script.Scored(question, text, extract(text))
    counts, differing = script.compare([scored], "exact", scorers)
    assert {name for name, count in counts.items() if count} == right & set(counts)
    assert len(differing) == sum(count != counts["ours"] for count in counts.values())


def test_a_difference_says_what_each_read(script):
    pytest.importorskip("math_verify")
    question = Question(id="q7", text="Which?", reference="-2,1")
    scored = script.Scored(question, "The answers are $-2$ and $1$.", "1")
    only = {"Math-Verify": script.math_verify}
    assert script.compare([scored], "exact", only)[1] == [
        "- Math-Verify says right: right answer '-2,1', ours read '1', it read \"['-2 and 1']\"; "
        "q7, the text ends 'The answers are $-2$ and $1$.'"
    ]


def test_the_solutions_of_a_file_are_scored_like_completions(script, tmp_path):
    pytest.importorskip("math_verify")
    records = [
        {"problem": "1/2 + 1/2?", "solution": r"It is $\boxed{1}$.", "answer": "1"},
        {"problem": "1/2 + 1/4?", "solution": r"It is $\boxed{\frac34}$.", "answer": "3/4"},
    ]
    file = tmp_path / "math.json"
    file.write_text(json.dumps(records))
    task, metric, texts = script.of_solutions(file)
    assert (task, metric, [each.answer for each in texts]) == ("math", "exact", ["1", r"\frac34"])
    verified = {"Math-Verify": script.math_verify}
    assert script.compare(texts, metric, verified) == ({"ours": 2, "Math-Verify": 2}, [])


def test_the_whole_texts_of_a_comparison_are_scored_once_each(script, tmp_path):
    question = Question(id="q", text="1/2 + 1/4?", reference=r"\frac{3}{4}")
    draft = Draft(id="a", text="", answer="3/4", tokens=9, live=True, finish_reason="stop")
    boxed, again = (draft.model_copy(update={"id": i, "text": r"\boxed{3/4}"}) for i in "bc")
    cut = draft.model_copy(update={"id": "d", "text": "It is 3/", "finish_reason": "length"})
    row = Row(
        question="q",
        strategy="vote",
        answer="3/4",
        text=boxed.text,
        tokens=9,
        prompt_tokens=9,
        calls=1,
        drafts=(boxed, again, cut),
    )
    comparison = Comparison(
        task="math500_test",
        model="tiny",
        seed=0,
        metric="exact",
        variants=(Variant(label="vote", graph="self-consistency"),),
        questions=(question,),
        rows=(row,),
    )
    summary = summarize(comparison, find_metric("exact"))
    results = Results(comparison=comparison, summary=summary, judgements=())
    (tmp_path / "results.json").write_text(results.model_dump_json())
    task, metric, texts = script.of_comparison(tmp_path)
    assert (task, metric) == ("math500_test", "exact")
    assert texts == [script.Scored(question, boxed.text, "3/4")]


def test_without_its_packages_it_ends_in_one_sentence(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(script.importlib.util, "find_spec", lambda name: None)
    source = tmp_path / "gsm8k.json"
    source.write_text('[{"question": "?", "answer": "7", "solution": "It is 7."}]')
    monkeypatch.setattr(sys, "argv", ["scorers.py", str(source)])
    with pytest.raises(SystemExit, match=r'pip install "thinkgraph\[lm-eval\]"'):
        script.main()
    told = capsys.readouterr().err.splitlines()
    assert told == [
        "lm-evaluation-harness is left out: it isn't installed",
        "Math-Verify is left out: it isn't installed",
    ]
