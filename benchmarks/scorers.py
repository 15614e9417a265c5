"""Agreement of our metric with lm-evaluation-harness and Math-Verify on the same texts.

    pip install "thinkgraph[lm-eval]"
    python benchmarks/scorers.py runs/gsm8k-0.5b      # the texts of a comparison
    python benchmarks/scorers.py math500_test.json    # the solutions in a file of questions

Reads all complete samples of a comparison (``results.json``) on GSM8K or MATH; or a file whose
records have a worked ``solution``, which is scored as if a model had written it. Prints how many
texts each scorer finds right, and every text on which one of them differs from ours.

The scorers of lm-evaluation-harness are its own code in the installed package: for GSM8K, the
filters and the metric of ``gsm8k_cot_zeroshot``; for MATH, ``hendrycks_math`` and ``minerva_math``.
These two find answers only in the form that their own prompts request, so each also compares the
content of the last ``\\boxed`` with the right answer. ``minerva_math`` needs an older ANTLR than
Math-Verify installs; without it, it is left out:

    pip install --no-deps --target antlr "antlr4-python3-runtime==4.11.*"
    PYTHONPATH=antlr python benchmarks/scorers.py runs/math500-0.5b
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from ruamel.yaml import YAML

from thinkgraph.evaluate.metrics.find import find_metric
from thinkgraph.evaluate.results.export import Results
from thinkgraph.evaluate.tasks.data import read_questions
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.nodes.answers import extract, parse_extractor

GSM8K = "tasks/gsm8k/gsm8k-cot-zeroshot.yaml"
Scorer = Callable[[str, str], tuple[bool, str]]
"""From a text and the right answer to whether the text is right, and the extracted answer."""


class Scored(NamedTuple):
    """A text that answers a question, and the answer that we extract from it."""

    question: Question
    text: str
    answer: str | None


def math_verify(text: str, reference: str) -> tuple[bool, str]:
    """Score with Math-Verify and its defaults."""
    from math_verify import parse, verify  # noqa: PLC0415 (optional)

    found = parse(text)
    return bool(verify(parse(f"${reference}$"), found)), str(found[-1:] or "nothing")


def _math_verify() -> dict[str, Scorer]:
    if importlib.util.find_spec("math_verify"):
        return {"Math-Verify": math_verify}
    _left_out("Math-Verify")
    return {}


def _left_out(name: str, why: str = "it isn't installed") -> None:
    print(f"{name} is left out: {why}", file=sys.stderr)


def gsm8k_scorers() -> dict[str, Scorer]:
    """Math-Verify, and a scorer for each filter of the harness's task, as far as installed."""
    spec = importlib.util.find_spec("lm_eval")
    if spec is None or not spec.submodule_search_locations:
        _left_out("lm-evaluation-harness")
        return _math_verify()
    plain = YAML(typ="safe").load(Path(spec.submodule_search_locations[0], GSM8K))
    (metric,) = plain["metric_list"]
    names = ("regexes_to_ignore", "ignore_case", "ignore_punctuation")
    settings = {name: metric[name] for name in names}
    harness = {
        f"lm-eval {each['name']}": _filtered(each["filter"][0], settings)
        for each in plain["filter_list"]
    }
    return {**_math_verify(), **harness}


def _filtered(how: dict[str, Any], settings: dict[str, Any]) -> Scorer:
    from lm_eval.api.metrics import exact_match_hf_evaluate  # noqa: PLC0415 (not for MATH)
    from lm_eval.filters.extraction import RegexFilter  # noqa: PLC0415

    extractor = RegexFilter(**{n: v for n, v in how.items() if n != "function"})

    def score(text: str, reference: str) -> tuple[bool, str]:
        ((found,),) = extractor.apply([[text]], [{}])
        matched = exact_match_hf_evaluate([found], [reference], **settings)
        return bool(matched["exact_match"]), found

    return score


def math_scorers() -> dict[str, Scorer]:
    """Math-Verify, and two scorers for each of the harness's tasks, as far as installed."""
    found = _math_verify()
    for name in ("hendrycks_math", "minerva_math"):
        try:
            task = importlib.import_module(f"lm_eval.tasks.{name}.utils")
        except (ImportError, AssertionError) as error:
            why = str(error) or "antlr4-python3-runtime is not 4.11"
            _left_out(name, " ".join(why.split()))
            continue
        found[f"lm-eval {name}"] = _as_the_task(task)
        found[f"lm-eval {name}, last box"] = _last_box(task)
    return found


def _as_the_task(task: ModuleType) -> Scorer:
    """A scorer with the task's own extraction and comparison."""
    normalize = getattr(task, "normalize_final_answer", str)

    def score(text: str, reference: str) -> tuple[bool, str]:
        doc = {"solution": rf"$\boxed{{{reference}}}$", "answer": normalize(reference)}
        right = bool(task.process_results(doc, [text])["exact_match"])
        read = getattr(task, "get_unnormalized_answer", lambda _: "from the first $ to the last")
        return right, read(text)

    return score


def _last_box(task: ModuleType) -> Scorer:
    """A scorer that compares the last box with the right answer, by the task's comparison."""
    normalize = getattr(task, "normalize_final_answer", str)

    def score(text: str, reference: str) -> tuple[bool, str]:
        box = task.last_boxed_only_string(text)
        read = task.remove_boxed(box) if box else ""
        return bool(task.is_equiv(normalize(read), normalize(reference))), read or "nothing"

    return score


SCORERS = {"gsm8k": gsm8k_scorers, "math": math_scorers}


def of_comparison(folder: Path) -> tuple[str, str, list[Scored]]:
    """The task, the metric and the complete texts of a comparison."""
    text = (folder / "results.json").read_text(encoding="utf-8")
    comparison = Results.model_validate_json(text).comparison
    questions = {question.id: question for question in comparison.questions}
    found = {
        (row.question, draft.text): Scored(questions[row.question], draft.text, draft.answer)
        for row in comparison.rows
        for draft in row.drafts
        if draft.text and draft.finish_reason == "stop"
    }
    return comparison.task, comparison.metric, list(found.values())


def of_solutions(file: Path) -> tuple[str, str, list[Scored]]:
    """The task, the metric and the worked solutions of a file of questions."""
    task = read_questions(file)
    records = json.loads(file.read_text(encoding="utf-8"))
    texts = [record["solution"] for record in records]
    found = [
        Scored(question, text, extract(text, parse_extractor(question.extract or "auto")))
        for question, text in zip(task.questions, texts, strict=True)
    ]
    return file.stem, task.metric, found


def compare(
    texts: Iterable[Scored], metric: str, scorers: Mapping[str, Scorer]
) -> tuple[dict[str, int], list[str]]:
    """How many texts each scorer finds right, and a line for each verdict unlike ours."""
    texts = list(texts)
    ours = find_metric(metric, [each.question for each in texts])
    right = dict.fromkeys(["ours", *scorers], 0)
    differing = []
    for question, text, answer in texts:
        verdict = ours.score(question, answer, text).right is True
        right["ours"] += verdict
        for name, scorer in scorers.items():
            other, read = scorer(text, question.reference)
            right[name] += other
            if other != verdict:
                said, end = "right" if other else "wrong", " ".join(text.split())[-90:]
                differing.append(
                    f"- {name} says {said}: right answer {question.reference!r}, ours read "
                    f"{answer!r}, it read {read!r}; {question.id}, the text ends {end!r}"
                )
    return right, differing


def main() -> None:
    """Print the counts and the differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path, help="folder of a comparison, or a file of questions")
    parser.add_argument("--task", choices=SCORERS, help="by default, by the name of the source")
    options = parser.parse_args()
    read = of_comparison if options.source.is_dir() else of_solutions
    name, metric, texts = read(options.source)
    task = options.task or next((known for known in SCORERS if name.startswith(known)), None)
    if task is None:
        parser.error(f"{name} is neither of {', '.join(SCORERS)}: name one with --task")
    scorers = SCORERS[task]()
    if not scorers:
        sys.exit('there is nothing to compare with: pip install "thinkgraph[lm-eval]"')
    right, differing = compare(texts, metric, scorers)
    print(f"{len(texts)} texts; right by " + ", ".join(f"{n} {c}" for n, c in right.items()))
    print(*differing, sep="\n")


if __name__ == "__main__":
    main()
