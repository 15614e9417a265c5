r"""Accuracy and cost of the strategies on commonly used models: the tables of docs/results.md.

    python benchmarks/tables.py                 # write tables and plot from results/*.json
    python benchmarks/tables.py run             # run all comparisons, one after the other
    python benchmarks/tables.py run gsm8k-0.5b  # run one of them
    python benchmarks/tables.py keep            # use the answers so far, without running more

An interrupted comparison resumes from its database in ``RUNS/NAME`` (``--runs``). Its result is
stored in ``results/NAME.json``, without the answers' texts except for three short examples of
questions that the baseline answers and another strategy doesn't. Only finished comparisons are
plotted.

Strategies run with their default params, and additionally with those of each params file of the
table's model, ``results/params/MODEL.STRATEGY.yaml``, fitted on questions that are in no table:

    thinkgraph fit self-consistency --data gsm8k_train.jsonl --limit 200 \
        --model qwen-0.5b.gguf --out results/params/qwen-0.5b.self-consistency.yaml

Models are read from ``--models``, as ``qwen-0.5b.gguf`` and ``qwen-1.5b.gguf``
(Qwen2.5-Coder-Instruct, Q4_K_M, from ``hf:Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF``), data from
``--data``: ``gsm8k_test.jsonl`` and ``gsm8k_train.jsonl`` of
github.com/openai/grade-school-math (its ``test.jsonl`` and ``train.jsonl``) and
``math500_test.json`` of github.com/rasbt/reasoning-from-scratch.
"""

from __future__ import annotations

import argparse
import json
import shlex
import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from thinkgraph.evaluate.analysis.summary import Summary, summarize
from thinkgraph.evaluate.metrics.find import find_metric
from thinkgraph.evaluate.results.export import Results
from thinkgraph.evaluate.results.plot import to_svg, tradeoff
from thinkgraph.evaluate.results.table import LEGEND, markdown
from thinkgraph.evaluate.runs.comparison import Comparison

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "results.md"
RESULTS = ROOT / "results"
PARAMS = RESULTS / "params"
VOTES = "self-consistency@1,2,4,8,16"
SHARED = f"{VOTES},self-certainty@8,deepconf@8,best-of-n@8,adaptive-consistency@8"
QUICK = f"direct,chain-of-thought,{SHARED},early-stopping@4:window=2,early-stopping@8:window=4"
"""The votes share their samples, so that together they cost as much as the largest."""


class Table(NamedTuple):
    """One comparison: a model, questions and strategies."""

    model: str
    data: str
    limit: int
    graphs: str
    more: tuple[str, ...] = ()


OTHERS = (
    "universal-self-consistency,best-of-n@8:scorer=judge,few-shot,plan-and-solve,step-back,"
    "least-to-most,self-refine,chain-of-verification,debate,mixture-of-agents,parallel-think,"
    "self-verify-pool:drafts=4,arithmetic,program-aided,tool-integrated,react,budget-forcing,"
    "budget-forcing:thinking=256,router@8"
)
SEARCHES = (
    "tree-of-thoughts,tree-of-thoughts:by=logprob,beam-search,monte-carlo-tree-search,"
    "monte-carlo-tree-search:scorer=agreement,adaptive-branching"
)
BY_LOGPROB = "direct,self-consistency@4,tree-of-thoughts:by=logprob,beam-search"
LONG = f"direct,self-consistency@8,early-stopping@8:window=4,{OTHERS}"
TREES = f"direct,self-consistency@4,8,{SEARCHES}"
WORDS = (
    "direct,chain-of-thought,plan-and-solve,arithmetic,self-refine:rounds=1,"
    "self-consistency@1,2,4,8,self-consistency@8:stop=decided,self-certainty@8,best-of-n@8,"
    "adaptive-consistency@8,router@8"
)
TEMPERATURES = ",".join(
    ["direct"]
    + [f"self-consistency@1,4:temperature={each}" for each in (0.2, 0.4, 0.6, 0.8, 1.0)]
    + ["self-consistency@1,4:temperature=0.4:prompt=question"]
    + ["self-consistency@1,4:temperature=0.4:prompt=worked-examples"]
)
"""For training questions, or generated ones, which are in no other table."""
TOP_P = (
    "direct,self-consistency@4,self-consistency@4:top_p=0.8,self-consistency@4:top_p=1.0:min_p=0"
)
"""For the questions of the tables of temperatures."""
SCORERS = (
    "direct,self-consistency@8,self-certainty@8,best-of-n@8:scorer=judge,best-of-n@8:scorer=logprob,"
    "best-of-n@8:scorer=certainty"
)
"""For training questions too: what picks best among the same samples."""
GYM = "reasoning-gym:"
EMBEDDED, PROBLEMS = "smollm2", "word-problems:"
EXACT = ("--metric", "exact")  # its answers are labels, so tables don't need the package

TABLES = {
    "gsm8k-0.5b": Table("qwen-0.5b", "gsm8k_test.jsonl", 200, QUICK),
    "gsm8k-1.5b": Table("qwen-1.5b", "gsm8k_test.jsonl", 100, QUICK),
    "math500-0.5b": Table("qwen-0.5b", "math500_test.json", 200, QUICK, ("--by", "level")),
    "math500-1.5b": Table("qwen-1.5b", "math500_test.json", 100, QUICK, ("--by", "level")),
    "gsm8k-0.5b-long": Table("qwen-0.5b", "gsm8k_test.jsonl", 100, LONG),
    "gsm8k-0.5b-trees": Table("qwen-0.5b", "gsm8k_test.jsonl", 30, TREES),
    "gsm8k-0.5b-logprob": Table("qwen-0.5b", "gsm8k_test.jsonl", 200, BY_LOGPROB),
    "gsm8k-1.5b-logprob": Table("qwen-1.5b", "gsm8k_test.jsonl", 100, BY_LOGPROB),
    "gsm8k-1.5b-long": Table("qwen-1.5b", "gsm8k_test.jsonl", 100, LONG),
    "gsm8k-1.5b-trees": Table("qwen-1.5b", "gsm8k_test.jsonl", 100, TREES),
    "relations-1.5b": Table("qwen-1.5b", f"{GYM}family_relationships:100", 100, QUICK, EXACT),
    "relations-0.5b": Table("qwen-0.5b", f"{GYM}family_relationships:200", 200, QUICK, EXACT),
    "syllogisms-0.5b": Table("qwen-0.5b", f"{GYM}syllogism:100", 100, QUICK, EXACT),
    "syllogisms-1.5b": Table("qwen-1.5b", f"{GYM}syllogism:100", 100, QUICK, EXACT),
    "word-problems-135m": Table(EMBEDDED, f"{PROBLEMS}100", 100, WORDS),
    "scorers-0.5b": Table("qwen-0.5b", "gsm8k_train.jsonl", 40, SCORERS),
    "scorers-1.5b": Table("qwen-1.5b", "gsm8k_train.jsonl", 40, SCORERS),
    "temperature-135m": Table(EMBEDDED, f"{PROBLEMS}40", 40, TEMPERATURES, ("--seed", "1")),
    "temperature-0.5b": Table("qwen-0.5b", "gsm8k_train.jsonl", 30, TEMPERATURES),
    "temperature-1.5b": Table("qwen-1.5b", "gsm8k_train.jsonl", 30, TEMPERATURES),
    "top-p-135m": Table(EMBEDDED, f"{PROBLEMS}40", 40, TOP_P, ("--seed", "1")),
    "top-p-0.5b": Table("qwen-0.5b", "gsm8k_train.jsonl", 30, TOP_P),
    "top-p-1.5b": Table("qwen-1.5b", "gsm8k_train.jsonl", 30, TOP_P),
}
PICTURE = "gsm8k-1.5b"
END = "<!-- end -->"
EXAMPLES, LONGEST = 3, 400
"""Maximum number of examples of a comparison, and of characters in each of their texts."""


def command(name: str, options: argparse.Namespace, *more: str) -> list[str]:
    """The command line of a comparison."""
    table = TABLES[name]
    data = table.data if table.data.startswith((GYM, PROBLEMS)) else str(options.data / table.data)
    model = table.model
    if model != EMBEDDED:
        model = str(options.models / f"{model}.gguf")
    words = ["--data", data, "--limit", str(table.limit)]
    words += ["--model", model, "--graphs", table.graphs]
    words += ["--engine", f"threads={options.threads}", "--out", str(options.runs / name)]
    words += shlex.split(options.options)
    if table.graphs not in (TEMPERATURES, TOP_P):
        for file in sorted(PARAMS.glob(f"{table.model}.*.yaml")):
            words += ["--params", str(file)]
    return [sys.executable, "-m", "thinkgraph", "compare", *words, *table.more, "--replace", *more]


def keep(name: str, folder: Path) -> None:
    """Store the result of a comparison, without the answers' texts except for a few examples.

    The questions' texts are kept: what an answer is worth may depend on them ("as a percentage").
    """
    found = Results.model_validate_json((folder / "results.json").read_text(encoding="utf-8"))
    comparison = found.comparison
    bare = comparison.model_copy(
        update={
            "rows": tuple(
                row.model_copy(update={"text": "", "drafts": (), "remarks": ()})
                for row in comparison.rows
            ),
        }
    )
    RESULTS.mkdir(exist_ok=True)
    plain = bare.model_dump(mode="json", exclude_defaults=True) | {"examples": examples(found)}
    text = json.dumps(plain, ensure_ascii=False)
    lines = text.replace('{"question": ', '\n{"question": ').replace('{"id": ', '\n{"id": ')
    (RESULTS / f"{name}.json").write_text(lines + "\n", encoding="utf-8")


def examples(found: Results) -> list[dict[str, str]]:
    """The shortest examples that the baseline answers right and another strategy wrong.

    At most one for each strategy and each question.
    """
    comparison = found.comparison
    questions = {each.id: each.text for each in comparison.questions}
    rows = {(row.question, row.strategy): row for row in comparison.rows}
    right = {(each.question, each.strategy): each.right for each in found.judgements}
    baseline = comparison.variants[0].label
    lost = [
        {
            "question": short(questions[row.question]),
            "right": short(rows[row.question, baseline].text),
            "strategy": row.strategy,
            "wrong": short(row.text),
        }
        for row in comparison.rows
        if right.get((row.question, baseline)) and right.get((row.question, row.strategy)) is False
    ]
    chosen: list[dict[str, str]] = []
    for each in sorted(lost, key=lambda each: sum(map(len, each.values()))):
        known = {other[what] for other in chosen for what in ("strategy", "question")}
        if not known & {each["strategy"], each["question"]}:
            chosen.append(each)
    return chosen[:EXAMPLES]


def short(text: str) -> str:
    """A text in one line; a long one is cut to its end, which has the answer."""
    line = " ".join(text.split())
    return line if len(line) <= LONGEST else f"… {line[-LONGEST:]}"


def read(name: str) -> tuple[Comparison, Summary, list[dict[str, str]]]:
    """A stored comparison, its summary and its examples."""
    plain: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    shown = plain.pop("examples", [])
    for question in plain["questions"]:
        question.setdefault("text", "")
    for row in plain["rows"]:
        row.setdefault("text", "")
    comparison = Comparison.model_validate(plain)
    metric = find_metric(comparison.metric, comparison.questions)
    return comparison, summarize(comparison, metric), shown


def section(name: str) -> str:
    """The table of a comparison, with what is needed to repeat it."""
    comparison, summary, shown = read(name)
    made = comparison.provenance
    files = [*filter(None, [made.data, *made.models.values()])]
    digests = ", ".join(f"`{Path(f.path).name}` {f.sha256[:12]}" for f in files)
    counts = [each.questions for each in summary.strategies]
    count = f"{len(comparison.questions)} questions"
    if not is_whole(comparison, summary):
        answered = " to ".join(map(str, sorted({min(counts), max(counts)})))
        count = f"not finished: {answered} of {count} answered by each strategy"
    head = (
        f"{count}; {made.date[:10]}; SHA-256 {digests}; `python benchmarks/tables.py run {name}`."
    )
    parts = [head, markdown(summary).partition(LEGEND)[0].strip()]
    if name == PICTURE and is_whole(comparison, summary):
        parts.append(f"![Accuracy against tokens per question]({name}.svg)")
    if shown:
        parts.append("Where more thinking hurt, the shortest examples:")
        parts.append("\n".join(map(example, shown)))
    return "\n\n".join(parts)


def example(shown: Mapping[str, str]) -> str:
    """An example as a list item."""
    texts = {name: text.replace("`", "'") for name, text in shown.items()}
    return (
        f"- `{texts['question']}` Right: `{texts['right']}` "
        f"Wrong, by `{texts['strategy']}`: `{texts['wrong']}`"
    )


def is_whole(comparison: Comparison, summary: Summary) -> bool:
    """Whether every strategy has answered every question."""
    return all(each.questions == len(comparison.questions) for each in summary.strategies)


def write(names: Iterable[str]) -> None:
    """Write the stored tables, and the plot, to their places in docs/."""
    page, homeless = PAGE.read_text(encoding="utf-8"), []
    for name in names:
        if not (RESULTS / f"{name}.json").exists():
            continue
        mark, made = f"<!-- table {name} -->", section(name)
        before, found, rest = page.partition(f"{mark}\n")
        if not found:
            homeless.append(mark)
            continue
        page = f"{before}{found}{made}\n{END}{rest.partition(END)[2]}"
        print(f"{name}: {made.splitlines()[0]}")
        if name == PICTURE:
            draw(name)
    PAGE.write_text(page, encoding="utf-8")
    if homeless:
        sys.exit(f"{PAGE} has no place for {', '.join(homeless)}; write it there, and {END} below")


def draw(name: str) -> None:
    """Plot a finished comparison; a plot of an unfinished one would mislead, and is removed."""
    comparison, summary, _ = read(name)
    picture = PAGE.parent / f"{name}.svg"
    if is_whole(comparison, summary):
        picture.write_text(to_svg(tradeoff(summary)), encoding="utf-8")
    else:
        picture.unlink(missing_ok=True)


def main() -> None:
    """Run or keep comparisons, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=["write", "run", "keep"], default="write")
    parser.add_argument("names", nargs="*", default=[], help=f"of {', '.join(TABLES)}")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the databases")
    parser.add_argument("--models", type=Path, default=Path.home() / ".cache/gguf-for-tests")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--options", default="", help="further ones of compare, as text")
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in TABLES]:
        parser.error(f"there is no table {unknown[0]!r}; there are {', '.join(TABLES)}")
    names, failed = options.names or list(TABLES), []
    if options.what == "keep" and not options.names:
        names = [name for name in names if (options.runs / name).exists()]
    for name in names if options.what != "write" else ():
        more = ("--so-far", "-q") if options.what == "keep" else ()
        try:
            done = subprocess.run(command(name, options, *more), check=False)
        except KeyboardInterrupt:
            sys.exit("interrupted; the same command goes on where it was")
        if done.returncode:
            failed.append(name)
        else:
            keep(name, options.runs / name)
    write(names)
    if failed:
        sys.exit(f"failed, as said above: {', '.join(failed)}")


if __name__ == "__main__":
    main()
