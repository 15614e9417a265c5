"""``thinkgraph compare``: which strategies are worth their cost, on your own questions."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thinkgraph.cli.options import (
    INTERRUPTED,
    Engine,
    Imports,
    McpFile,
    ModelName,
    Params,
    PromptFiles,
    Roles,
    Template,
    ToolFile,
    VerifierFile,
    check_known,
    command_line,
    model_settings,
    parse_pairs,
    read_prompts,
)
from thinkgraph.cli.questions import Extract, Fields, notes, read_fields
from thinkgraph.terminal import print_json, reader, say

if TYPE_CHECKING:
    from thinkgraph.evaluate.metrics.metric import Metric
    from thinkgraph.evaluate.runs.comparison import Comparison
    from thinkgraph.evaluate.runs.variant import Variant


def compare(
    data: Annotated[
        str,
        typer.Option(
            help="A .jsonl, .json, .csv or .tsv file, a saved dataset, or word-problems:COUNT."
        ),
    ],
    graphs: Annotated[
        str,
        typer.Option(
            help="Strategies, separated by commas: direct,self-consistency@4,16. The first is the "
            "baseline. GRAPH@SAMPLES:PARAM=VALUE sets params."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="Output folder: the database, the plots, the page and the results.")
    ] = Path("comparison"),
    metric: Annotated[
        str | None,
        typer.Option(
            help="How to judge answers: exact, contains, yes-no, one-of:LABEL,LABEL, "
            "choice, numeric:TOLERANCE, quantity:TOLERANCE, estimate:TOLERANCE, "
            "asymmetric:OVER,UNDER, FILE.py:FUNCTION, or a metric of an installed package."
        ),
    ] = None,
    extract: Extract = None,
    field: Fields = None,
    by: Annotated[
        str | None, typer.Option(metavar="NAME", help="Break the results down by this field.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of questions.")] = None,
    param: Params = None,
    fitted: Annotated[
        list[Path] | None,
        typer.Option(
            "--params",
            metavar="FILE",
            help="Params file of `thinkgraph fit`; adds its strategy with these params to "
            "the comparison.",
        ),
    ] = None,
    model: ModelName = None,
    role: Roles = None,
    engine: Engine = None,
    template: Template = None,
    prompt: PromptFiles = None,
    tools: ToolFile = None,
    verifiers: VerifierFile = None,
    mcp: McpFile = None,
    imports: Imports = None,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    at_once: Annotated[int, typer.Option(min=1, help="Number of concurrent runs.")] = 24,
    replace: Annotated[
        bool, typer.Option("--replace", help="Replace the results of another comparison in --out.")
    ] = False,
    so_far: Annotated[
        bool, typer.Option("--so-far", help="Report the results so far without running anything.")
    ] = False,
    ray: Annotated[
        bool, typer.Option("--ray", help="Run on the Ray cluster of RAY_ADDRESS, or a local one.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Number of engines, with --ray.")] = 2,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as one JSON object.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Measure which strategies are worth their cost, on your own questions.

    Every strategy answers every question, with each of the models: -m a.gguf,b.gguf. The
    same command resumes an interrupted comparison.
    """
    from thinkgraph.evaluate.metrics.find import find_metric
    from thinkgraph.evaluate.results.export import check_out, read_results
    from thinkgraph.evaluate.results.progress import ComparisonProgress
    from thinkgraph.evaluate.runs.compare import compare as run_all
    from thinkgraph.evaluate.runs.config import Config
    from thinkgraph.evaluate.runs.provenance import provenance
    from thinkgraph.evaluate.runs.variant import named_extractor, parse_variants
    from thinkgraph.evaluate.tasks.data import read_questions
    from thinkgraph.evaluate.tasks.expected import number_warning
    from thinkgraph.fitted import read_fitted
    from thinkgraph.graphs.graph import load
    from thinkgraph.graphs.runtime.models import default_model
    from thinkgraph.nodes.tools.host_files import HostFiles

    task = read_questions(data, fields=read_fields(field, by), limit=limit, seed=seed)
    scorer = find_metric(metric or task.metric, task.questions)
    scorer.check(task.questions)
    task = task.model_copy(update={"metric": scorer.name})
    how = named_extractor(extract) if extract else None
    prompts, params = read_prompts(prompt), dict(parse_pairs("--param", param or []))
    models = [name.strip() for name in (model or default_model()).split(",") if name.strip()]
    files = [read_fitted(file) for file in fitted or []]
    variants = parse_variants(
        graphs,
        params,
        prompts,
        files=files,
        models=models,
        extract=how,
    )
    settings = model_settings(engine, template)
    roles = dict(parse_pairs("--role", role or []))
    check_known(models)
    host = HostFiles(tools, verifiers, mcp)
    config = Config(models[0], settings, roles, seed, prompts, at_once, host)
    if not replace:
        check_out(out, task, variants, ",".join(models), seed)
    told = [
        *notes(task, chosen=metric is not None, extract=how),
        *(d for f in files for m in models for d in f.doubts(load(f.strategy), m, data, seed)),
    ]
    for note in told:
        say(f"thinkgraph: {data}: {note}")
    progress = ComparisonProgress(task, variants, scorer, shown=not quiet)
    try:
        with progress:
            work = run_all(
                task,
                variants,
                config,
                out,
                workers=workers if ray else 0,
                tell=progress.take,
                spent=progress.spend,
                ask=not so_far,
            )
            comparison = asyncio.run(work)
    except KeyboardInterrupt:
        say(f"thinkgraph: interrupted; the same command resumes from {out}")
        raise typer.Exit(INTERRUPTED) from None
    warning = number_warning(comparison) if scorer.name == "exact" else ""
    if warning:
        say(f"thinkgraph: {warning}")
    made = provenance(
        data=data,
        models=[*models, *roles.values()],
        command=command_line(seed=seed),
        engine=settings,
        params=params,
        extract=how,
        notes=(*told, *filter(None, [warning, _greedy(variants, models)])),
    )
    if so_far and (before := read_results(out)):
        made = made.computed_as(before.comparison.provenance)
    comparison = comparison.model_copy(update={"provenance": made})
    _conclude(comparison, scorer, out, as_json=as_json)


def _greedy(variants: Sequence[Variant], models: Sequence[str]) -> str:
    """A note about strategies at temperature 0; empty if there are none."""
    from thinkgraph.models.catalogue import SERVER

    greedy = [v.label for v in variants if _temperature(v) == 0]
    if not greedy or all(name.startswith(SERVER) for name in models):
        return ""
    return (
        f"{', '.join(greedy)}: at temperature 0 a text can still differ by a word from that of "
        "`thinkgraph run`, as the kernels' rounding depends on what is decoded in the same "
        "batch; --at-once 1 decodes each question by itself"
    )


def _temperature(variant: Variant) -> object:
    params: Mapping[str, Any] = variant.load().bind(variant.params)
    return params.get("temperature")


def _conclude(comparison: Comparison, scorer: Metric, out: Path, *, as_json: bool) -> None:
    """Report the result of a comparison, and write its files."""
    from thinkgraph.evaluate.analysis.scores import score_all
    from thinkgraph.evaluate.analysis.summary import summarize
    from thinkgraph.evaluate.results.export import export, to_json
    from thinkgraph.evaluate.results.table import report

    results = score_all(comparison, scorer)
    correct = {
        (question, result.label): score.right
        for result in results
        for question, score in result.scores.items()
    }
    summary = summarize(comparison, scorer, results)
    with reader():
        if as_json:
            print_json(to_json(comparison, summary, correct).rstrip("\n"))
        else:
            report(comparison, summary)
    failures = [row for row in comparison.rows if row.failure]
    if failures:
        first = failures[0]
        say(
            f"thinkgraph: failed, and counted as wrong: {len(failures)} of {len(comparison.rows)} "
            f"runs; {first.strategy} on {first.question}: {first.failure}. "
            "The same command tries them again."
        )
    page = next(p for p in export(out, comparison, summary, correct) if p.suffix == ".html")
    say(f"Every question, with its candidates: {page}")
