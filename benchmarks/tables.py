"""What the strategies are worth on models that people run: the comparisons behind docs/results.md.

    python benchmarks/tables.py                 # tables and picture again, of results/*.json
    python benchmarks/tables.py run             # all comparisons, one after the other
    python benchmarks/tables.py run gsm8k-0.5b  # one of them
    python benchmarks/tables.py keep gsm8k-0.5b # what it has answered so far, without running more

A comparison goes on where it was: its database is ``RUNS/NAME`` (``--runs``). What it came to is
kept in ``results/NAME.json``, without the texts; a picture is drawn of a whole one alone. Models
are read from ``--models``, as ``qwen-0.5b.gguf`` and ``qwen-1.5b.gguf`` (Qwen2.5-Coder-Instruct,
Q4_K_M, from ``hf:Qwen/Qwen2.5-Coder-1.5B-Instruct-GGUF``), data from ``--data``:
``gsm8k_test.jsonl`` of github.com/openai/grade-school-math and ``math500_test.json`` of
github.com/rasbt/reasoning-from-scratch.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
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
VOTES = "self-consistency@1,2,4,8"
SHARED = f"{VOTES},self-certainty@8,deepconf@8,best-of-n@8,adaptive-consistency@8"
QUICK = f"direct,chain-of-thought,{SHARED},early-stopping@8:window=4"
"""The votes share their samples, so that all of them cost what the largest costs."""


class Table(NamedTuple):
    """One comparison: a model, questions and strategies."""

    model: str
    data: str
    limit: int
    graphs: str
    more: tuple[str, ...] = ()


LONG = (
    "direct,self-consistency@8,early-stopping@8:window=4,universal-self-consistency,"
    "best-of-n@8:scorer=judge,few-shot,plan-and-solve,step-back,least-to-most,self-refine,"
    "chain-of-verification,debate,mixture-of-agents,parallel-think,self-verify-pool:drafts=4,"
    "program-aided,budget-forcing,router@8"
)
TREES = (
    "direct,self-consistency@4,8,16,tree-of-thoughts,tree-of-thoughts:by=logprob,beam-search,"
    "monte-carlo-tree-search,monte-carlo-tree-search:scorer=agreement,adaptive-branching"
)
GYM = "reasoning-gym:"

TABLES = {
    "gsm8k-0.5b": Table("qwen-0.5b", "gsm8k_test.jsonl", 200, QUICK),
    "gsm8k-1.5b": Table("qwen-1.5b", "gsm8k_test.jsonl", 100, QUICK),
    "math500-0.5b": Table("qwen-0.5b", "math500_test.json", 200, QUICK, ("--by", "level")),
    "math500-1.5b": Table("qwen-1.5b", "math500_test.json", 100, QUICK, ("--by", "level")),
    "gsm8k-0.5b-long": Table("qwen-0.5b", "gsm8k_test.jsonl", 100, LONG),
    "gsm8k-0.5b-trees": Table("qwen-0.5b", "gsm8k_test.jsonl", 100, TREES),
    "relations-1.5b": Table("qwen-1.5b", f"{GYM}family_relationships:100", 100, QUICK),
    "syllogisms-1.5b": Table("qwen-1.5b", f"{GYM}syllogism:100", 100, QUICK),
}
PICTURE = "gsm8k-0.5b"


def command(name: str, options: argparse.Namespace, *more: str) -> list[str]:
    """The command line of a comparison."""
    table = TABLES[name]
    data = table.data if table.data.startswith(GYM) else str(options.data / table.data)
    words = ["--data", data, "--limit", str(table.limit)]
    words += ["--model", str(options.models / f"{table.model}.gguf"), "--graphs", table.graphs]
    words += ["--engine", f"threads={options.threads}", "--out", str(options.runs / name)]
    return [sys.executable, "-m", "thinkgraph", "compare", *words, *table.more, "--replace", *more]


def keep(name: str, folder: Path) -> None:
    """Keep what a comparison came to, without the texts of its questions and answers."""
    found = Results.model_validate_json((folder / "results.json").read_text(encoding="utf-8"))
    comparison = found.comparison
    bare = comparison.model_copy(
        update={
            "questions": tuple(q.model_copy(update={"text": ""}) for q in comparison.questions),
            "rows": tuple(
                row.model_copy(update={"text": "", "drafts": (), "remarks": ()})
                for row in comparison.rows
            ),
        }
    )
    RESULTS.mkdir(exist_ok=True)
    text = json.dumps(bare.model_dump(mode="json", exclude_defaults=True), ensure_ascii=False)
    lines = text.replace('{"question": ', '\n{"question": ').replace('{"id": ', '\n{"id": ')
    (RESULTS / f"{name}.json").write_text(lines + "\n", encoding="utf-8")


def read(name: str) -> tuple[Comparison, Summary]:
    """A comparison that was kept, and what it comes to."""
    plain: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    for question in plain["questions"]:
        question.setdefault("text", "")
    for row in plain["rows"]:
        row.setdefault("text", "")
    comparison = Comparison.model_validate(plain)
    return comparison, summarize(comparison, find_metric(comparison.metric, comparison.questions))


def section(name: str) -> str:
    """The table of a comparison, with what it can be repeated from."""
    comparison, summary = read(name)
    made = comparison.provenance
    files = [*filter(None, [made.data, *made.models.values()])]
    digests = ", ".join(f"`{Path(f.path).name}` {f.sha256[:12]}" for f in files)
    asked = max((each.questions for each in summary.strategies), default=0)
    count = f"{asked} of {len(comparison.questions)} questions answered so far"
    if is_whole(comparison, summary):
        count = f"{asked} questions"
    head = (
        f"{count}; {made.date[:10]}; SHA-256 {digests}; `python benchmarks/tables.py run {name}`."
    )
    parts = [head, markdown(summary).partition(LEGEND)[0].strip()]
    if name == PICTURE and is_whole(comparison, summary):
        parts.append(f"![Accuracy against tokens per question]({name}.svg)")
    return "\n\n".join(parts)


def is_whole(comparison: Comparison, summary: Summary) -> bool:
    """Whether every strategy has answered every question."""
    return all(each.questions == len(comparison.questions) for each in summary.strategies)


def write() -> None:
    """Put the tables and the picture in their places in docs/."""
    page = PAGE.read_text(encoding="utf-8")
    for name in TABLES:
        if (RESULTS / f"{name}.json").exists():
            marks = rf"(<!-- table {re.escape(name)} -->\n).*?(<!-- end -->)"
            made = section(name)
            page = re.sub(
                marks, lambda m, made=made: f"{m[1]}{made}\n{m[2]}", page, flags=re.DOTALL
            )
            print(f"{name}: {made.splitlines()[0]}")
            if name == PICTURE:
                draw(name)
    PAGE.write_text(page, encoding="utf-8")


def draw(name: str) -> None:
    """Draw a comparison that is whole; what has only begun would draw a false picture."""
    comparison, summary = read(name)
    picture = PAGE.parent / f"{name}.svg"
    if is_whole(comparison, summary):
        picture.write_text(to_svg(tradeoff(summary)), encoding="utf-8")
    else:
        picture.unlink(missing_ok=True)


def main() -> None:
    """Run, keep or write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="?", choices=["write", "run", "keep"], default="write")
    parser.add_argument("names", nargs="*", default=[], help=f"of {', '.join(TABLES)}")
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the databases")
    parser.add_argument("--models", type=Path, default=Path.home() / ".cache/gguf-for-tests")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    if unknown := [name for name in options.names if name not in TABLES]:
        parser.error(f"there is no table {unknown[0]!r}; there are {', '.join(TABLES)}")
    for name in (options.names or TABLES) if options.what != "write" else ():
        more = ("--so-far", "-q") if options.what == "keep" else ()
        try:
            subprocess.run(command(name, options, *more), check=True)
        except KeyboardInterrupt:
            sys.exit("interrupted; the same command goes on where it was")
        keep(name, options.runs / name)
    write()


if __name__ == "__main__":
    main()
