"""The same texts, scored by our metric, by lm-evaluation-harness and by Math-Verify.

    pip install "thinkgraph[lm-eval]"
    python benchmarks/scorers.py runs/gsm8k-0.5b

Reads the whole texts of a comparison (``results.json``), every sample, of GSM8K or of another task
whose right answers are numbers or formulas. Prints how many each scorer finds right, and every
text on which one of them differs from ours. lm-evaluation-harness is its task
``gsm8k_cot_zeroshot``: filters and metric are read from the installed package.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lm_eval.api.metrics import exact_match_hf_evaluate
from lm_eval.filters.extraction import RegexFilter
from math_verify import parse, verify
from ruamel.yaml import YAML

from thinkgraph.evaluate.metrics.find import find_metric
from thinkgraph.evaluate.results.export import Results

TASK = "tasks/gsm8k/gsm8k-cot-zeroshot.yaml"
Scorer = Callable[[str, str], tuple[bool, str]]
"""From a text and the right answer to whether it is right, and what was read in the text."""


def harness_scorers() -> dict[str, Scorer]:
    """A scorer for each filter of the harness's task."""
    spec = importlib.util.find_spec("lm_eval")
    assert spec and spec.submodule_search_locations
    plain = YAML(typ="safe").load(Path(spec.submodule_search_locations[0], TASK))
    (metric,) = plain["metric_list"]
    names = ("regexes_to_ignore", "ignore_case", "ignore_punctuation")
    settings = {name: metric[name] for name in names}
    return {
        f"lm-eval {each['name']}": _harness(each["filter"][0], settings)
        for each in plain["filter_list"]
    }


def _harness(how: dict[str, Any], settings: dict[str, Any]) -> Scorer:
    extractor = RegexFilter(**{n: v for n, v in how.items() if n != "function"})

    def score(text: str, reference: str) -> tuple[bool, str]:
        ((found,),) = extractor.apply([[text]], [{}])
        matched = exact_match_hf_evaluate([found], [reference], **settings)
        return bool(matched["exact_match"]), found

    return score


def math_verify(text: str, reference: str) -> tuple[bool, str]:
    """Math-Verify with its defaults."""
    found = parse(text)
    return bool(verify(parse(f"${reference}$"), found)), str(found[-1:] or "nothing")


def main() -> None:
    """Print the counts and the differences."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="of a comparison")
    options = parser.parse_args()
    text = (options.folder / "results.json").read_text(encoding="utf-8")
    comparison = Results.model_validate_json(text).comparison
    questions = {question.id: question for question in comparison.questions}
    metric = find_metric(comparison.metric, comparison.questions)
    drafts = {
        (row.question, draft.text): draft
        for row in comparison.rows
        for draft in row.drafts
        if draft.text and draft.finish_reason == "stop"
    }
    ours = {
        (question, text): metric.score(questions[question], draft.answer, text).right is True
        for (question, text), draft in drafts.items()
    }
    right = {"ours": sum(ours.values())}
    differing: list[str] = []
    for name, scorer in {**harness_scorers(), "Math-Verify": math_verify}.items():
        right[name] = 0
        for (question, text), draft in drafts.items():
            reference = questions[question].reference
            verdict, read = scorer(text, reference)
            right[name] += verdict
            if verdict != ours[question, text]:
                said, end = "right" if verdict else "wrong", " ".join(text.split())[-90:]
                differing.append(
                    f"- {name} says {said}: right answer {reference!r}, ours read "
                    f"{draft.answer!r}, it read {read!r}; {question}, the text ends {end!r}"
                )
    print(f"{len(drafts)} texts; right by " + ", ".join(f"{n} {c}" for n, c in right.items()))
    print(*differing, sep="\n")


if __name__ == "__main__":
    main()
