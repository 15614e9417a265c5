"""The same texts, scored by our metric, by lm-evaluation-harness and by Math-Verify.

    pip install "thinkgraph[lm-eval]"
    python benchmarks/scorers.py runs/gsm8k-0.5b [--strategy direct]

Reads the texts of a comparison (``results.json``) of GSM8K or of another task whose right answers
are numbers or formulas. Prints how many each scorer finds right, and every text on which one of
them differs from ours. lm-evaluation-harness is its task ``gsm8k_cot_zeroshot``: the filters and
the metric are read from the installed package. ``strict-match`` wants the words of its prompt.
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

from thinkgraph.evaluate.results.export import Results
from thinkgraph.evaluate.runs.row import Row

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
    parser.add_argument("--strategy", help="only this one; default: all with one sample")
    options = parser.parse_args()
    text = (options.folder / "results.json").read_text(encoding="utf-8")
    found = Results.model_validate_json(text)
    references = {question.id: question.reference for question in found.comparison.questions}
    ours = {(each.question, each.strategy): bool(each.right) for each in found.judgements}
    rows = [row for row in found.comparison.rows if row.text and _is_asked(row, options.strategy)]
    scorers = {**harness_scorers(), "Math-Verify": math_verify}
    right = {"ours": sum(ours[row.question, row.strategy] for row in rows)}
    differing: list[str] = []
    for name, scorer in scorers.items():
        scored = [(row, *scorer(row.text, references[row.question])) for row in rows]
        right[name] = sum(verdict for _, verdict, _ in scored)
        differing += [
            _difference(name, row, references[row.question], verdict, read)
            for row, verdict, read in scored
            if verdict != ours[row.question, row.strategy]
        ]
    print(f"{len(rows)} texts; right by " + ", ".join(f"{n} {c}" for n, c in right.items()))
    for line in differing:
        print(line)


def _is_asked(row: Row, strategy: str | None) -> bool:
    return row.strategy == strategy if strategy else len(row.drafts) == 1


def _difference(name: str, row: Row, reference: str, verdict: bool, read: str) -> str:
    said = "right" if verdict else "wrong"
    end = " ".join(row.text.split())[-90:]
    return (
        f"- {name} says {said}: right answer {reference!r}, ours read {row.answer!r}, it read "
        f"{read!r}; {row.strategy}, {row.question}, the text ends {end!r}"
    )


if __name__ == "__main__":
    main()
