"""``thinkgraph compare``: which strategies are worth their cost, on one's own questions."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thinkgraph.cli.options import (
    INTERRUPTED,
    Engine,
    ModelName,
    Params,
    PromptFiles,
    Roles,
    parse_pairs,
    read_prompts,
)

if TYPE_CHECKING:
    from thinkgraph.evaluate.metrics.metric import Metric
    from thinkgraph.evaluate.runs.comparison import Comparison


def compare(
    data: Annotated[
        str,
        typer.Option(help="A .jsonl, .json or .csv file, a saved dataset, or word-problems:COUNT."),
    ],
    graphs: Annotated[
        str,
        typer.Option(
            help="Strategies, by commas: direct,self-consistency@4,16. The others are held "
            "against the first. GRAPH@SAMPLES:PARAM=VALUE sets params."
        ),
    ],
    out: Annotated[
        Path, typer.Option(help="The folder of the database, the plots, the page and the results.")
    ] = Path("comparison"),
    metric: Annotated[
        str | None,
        typer.Option(help="exact, numeric:TOLERANCE, choice, estimate:TOLERANCE, or your own."),
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(metavar="WHAT=NAME", help="A field of the data: question=prompt"),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="So many questions at most.")] = None,
    param: Params = None,
    model: ModelName = None,
    role: Roles = None,
    engine: Engine = None,
    prompt: PromptFiles = None,
    seed: Annotated[int, typer.Option(help="All randomness comes from it.")] = 0,
    at_once: Annotated[int, typer.Option(min=1, help="Runs side by side.")] = 24,
    ray: Annotated[
        bool, typer.Option("--ray", help="Spread over the Ray cluster of RAY_ADDRESS, or here.")
    ] = False,
    workers: Annotated[int, typer.Option(min=1, help="Engines, with --ray.")] = 2,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Find out which strategies are worth their cost, on your own questions.

    Every strategy answers every question. Started again, it goes on where it was.
    """
    from thinkgraph.evaluate.metrics.find import find_metric
    from thinkgraph.evaluate.results.progress import ComparisonProgress
    from thinkgraph.evaluate.runs.compare import compare as run_all
    from thinkgraph.evaluate.runs.config import Config
    from thinkgraph.evaluate.runs.variant import parse_variants
    from thinkgraph.evaluate.tasks.data import read_questions
    from thinkgraph.graphs.runtime.models import default_model

    fields = {what: name for what, _, name in (item.partition("=") for item in field or [])}
    task = read_questions(data, fields=fields, limit=limit, seed=seed)
    scorer = find_metric(metric or task.metric)
    scorer.check(task.questions)
    prompts = read_prompts(prompt)
    variants = parse_variants(graphs, dict(parse_pairs("--param", param or [])), prompts)
    config = Config(
        model or default_model(),
        dict(parse_pairs("--engine", engine or [])),
        dict(parse_pairs("--role", role or [])),
        seed,
        prompts,
        at_once,
    )
    progress = ComparisonProgress(task, variants, scorer, shown=not quiet)
    try:
        with progress:
            work = run_all(
                task.model_copy(update={"metric": scorer.name}),
                variants,
                config,
                out,
                workers=workers if ray else 0,
                tell=progress.take,
            )
            comparison = asyncio.run(work)
    except KeyboardInterrupt:
        typer.echo(f"thinkgraph: interrupted; the same command goes on from {out}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    _conclude(comparison, scorer, out, as_json=as_json)


def _conclude(comparison: Comparison, scorer: Metric, out: Path, *, as_json: bool) -> None:
    """Say what a comparison comes to, and write it all down."""
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
    if as_json:
        typer.echo(to_json(comparison, summary, correct), nl=False)
    else:
        report(comparison, summary)
    failures = [row for row in comparison.rows if row.failure]
    if failures:
        first = failures[0]
        typer.echo(
            f"thinkgraph: failed, and counted as wrong: {len(failures)} of {len(comparison.rows)} "
            f"runs; {first.strategy} on {first.question}: {first.failure}. "
            "The same command tries them again.",
            err=True,
        )
    page = next(p for p in export(out, comparison, summary, correct) if p.suffix == ".html")
    typer.echo(f"Every question, with its candidates: {page}", err=True)
