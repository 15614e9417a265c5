"""The command line: run, list, show and check strategies, and list the models."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thinkgraph.models.errors import ThinkgraphError

if TYPE_CHECKING:
    from thinkgraph.evaluate.findings.metric import Metric
    from thinkgraph.evaluate.runs.comparison import Comparison
    from thinkgraph.graphs.graph import Graph
    from thinkgraph.graphs.runtime.result import Result
    from thinkgraph.models.model import Model
    from thinkgraph.models.tuning.tune import Trial
    from thinkgraph.nodes.prompts.prompt import Prompt
    from thinkgraph.view import View

INTERRUPTED = 130


class Picture(StrEnum):
    """How a graph can be shown."""

    TEXT = "text"
    MERMAID = "mermaid"
    SVG = "svg"
    PNG = "png"


class Report(StrEnum):
    """How the checker can report."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


app = typer.Typer(
    name="thinkgraph",
    help="Reasoning strategies as graphs, run on a local GGUF model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

GraphName = Annotated[str, typer.Argument(help="A built-in name, or the path of a spec.")]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="A catalogue name, a .gguf, hf:OWNER/REPO/FILE or openai:MODEL@URL.",
    ),
]
Params = Annotated[
    list[str] | None, typer.Option("--param", "-p", metavar="NAME=VALUE", help="Set a param.")
]
Roles = Annotated[
    list[str] | None, typer.Option("--role", metavar="ROLE=MODEL", help="A model for a role.")
]
Engine = Annotated[
    list[str] | None,
    typer.Option("--engine", "-e", metavar="NAME=VALUE", help="Set the engine: gpu_layers=0"),
]
PromptFiles = Annotated[
    list[str] | None,
    typer.Option("--prompt", metavar="NAME=FILE", help="Use this file for a built-in prompt."),
]


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and llama.cpp's log.")
    ] = False,
) -> None:
    """Set what holds for every command."""
    os.environ.setdefault("HF_HUB_VERBOSITY", "debug" if debug else "error")  # one line is enough
    if debug:
        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)


@app.command()
def run(
    graph: GraphName,
    question: Annotated[str, typer.Argument(help="The question; - reads standard input.")],
    param: Params = None,
    model: ModelName = None,
    role: Roles = None,
    engine: Engine = None,
    prompt: PromptFiles = None,
    seed: Annotated[int | None, typer.Option(help="All randomness comes from it.")] = None,
    budget: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many sampled tokens.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="Stop after so long.")] = None,
    html: Annotated[
        Path | None, typer.Option("--report", help="Write a page that shows the whole run.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Answer a question with a strategy."""
    from thinkgraph.graphs.graph import load
    from thinkgraph.view import View, report

    strategy = load(graph)
    settings = _settings(strategy, param or [])
    asked = sys.stdin.read() if question == "-" else question
    if not asked.strip():
        raise ThinkgraphError("the question is empty")
    view = View(strategy.name, shown=not quiet)
    options = {
        "model": _model(model, engine or []),
        "models": {name: _model(value, []) for name, value in _pairs("--role", role or [])},
        "prompts": _prompts(prompt),
        "budget": {"tokens": budget, "seconds": seconds},
        "seed": seed,
    }
    try:
        result = asyncio.run(_watch(strategy, asked, view, **options, **settings))
    except KeyboardInterrupt:
        typer.echo(f"thinkgraph: interrupted; {view.spent}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    if html:
        html.write_text(result.to_html(), encoding="utf-8")
    if as_json:
        typer.echo(json.dumps(result.summary(), ensure_ascii=False))
    else:
        report(result)


async def _watch(strategy: Graph, question: str, view: View, **settings: Any) -> Result:
    from thinkgraph.graphs.runtime.result import Finished

    with view:
        async for event in strategy.stream(question, **settings):
            if isinstance(event, Finished):
                return event.result
            view.show(event)
    raise ThinkgraphError("the run ended without a result")


def _pairs(option: str, given: list[str]) -> list[tuple[str, str]]:
    pairs = [item.partition("=") for item in given]
    for (name, equals, value), item in zip(pairs, given, strict=True):
        if not (name and equals and value):
            raise ThinkgraphError(f"{option} {item}: write NAME=VALUE")
    return [(name, value) for name, _, value in pairs]


def _prompts(given: list[str] | None) -> dict[str, Prompt]:
    """The prompts that replace built-in ones, read from their files."""
    from thinkgraph.nodes.prompts.prompt import read_prompt

    return {name: read_prompt(file) for name, file in _pairs("--prompt", given or [])}


def _settings(strategy: Graph, given: list[str]) -> dict[str, str]:
    """The params and inputs set on the command line, checked before a model is loaded."""
    settings = dict(_pairs("--param", given))
    strategy.bind({n: v for n, v in settings.items() if n not in strategy.spec.inputs})
    return settings


def _model(name: str | None, engine: list[str]) -> Model | str | None:
    """The model of that name: found now, so that a wrong name costs no time, and loaded."""
    if name is None and not engine:
        return None
    from thinkgraph.graphs.runtime.run import default_model
    from thinkgraph.models.catalogue import load

    return load(name or default_model(), **dict(_pairs("--engine", engine)))


@app.command("list")
def list_() -> None:
    """List the built-in strategies."""
    from thinkgraph.graphs.catalogue import about, builtin_names

    for name in builtin_names():
        typer.echo(f"{name:26} {about(name).partition('. ')[0].rstrip('.')}")


@app.command()
def show(
    graph: GraphName,
    form: Annotated[
        Picture, typer.Option("--format", help="What to print; svg and png go to --out.")
    ] = Picture.TEXT,
    out: Annotated[Path | None, typer.Option(help="Write it to this file.")] = None,
) -> None:
    """Show a strategy: a drawing, and its spec."""
    from thinkgraph.graphs.catalogue import find
    from thinkgraph.graphs.graph import load
    from thinkgraph.graphs.pictures import drawing

    spec = load(graph).spec
    if form is Picture.PNG:
        if out is None:
            raise ThinkgraphError("--format png needs --out FILE")
        out.write_bytes(drawing.png(spec))
        return
    if form is Picture.TEXT:
        text = f"{drawing.terminal(spec)}\n{find(graph).read_text('utf-8')}"
    else:
        text = drawing.svg(spec) if form is Picture.SVG else drawing.mermaid(spec)
    if out:
        out.write_text(text, encoding="utf-8")
    else:
        typer.echo(text.rstrip("\n"))


@app.command()
def check(
    files: Annotated[list[str], typer.Argument(help="Specs, or names of built-in graphs.")],
    form: Annotated[Report, typer.Option("--format", help="How to report.")] = Report.TEXT,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail too.")] = False,
) -> None:
    """Check specs, and report every error at once: exit status 0, 1 (warnings) or 2."""
    from thinkgraph.graphs.checker.check import check_files
    from thinkgraph.graphs.checker.reporters import render

    problems = check_files(files)
    typer.echo(render(problems, form.value))
    if any(problem.severity == "error" for problem in problems):
        raise typer.Exit(2)
    if problems and strict:
        raise typer.Exit(1)


@app.command()
def plan(
    graph: GraphName,
    question: Annotated[
        str | None, typer.Argument(help="The question, so that prompts are counted too.")
    ] = None,
    param: Params = None,
    model: ModelName = None,
    engine: Engine = None,
    again: Annotated[
        bool, typer.Option("--measure", help="Measure the machine's speed again.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Say what a run may cost before it runs; exit status 2 if it can't fit in the context."""
    from thinkgraph.forecast import forecast
    from thinkgraph.graphs.graph import load
    from thinkgraph.graphs.planning.plan import plan as planned
    from thinkgraph.models.backends.local import LocalModel
    from thinkgraph.models.tuning.speed import speed

    strategy = load(graph)
    settings = _settings(strategy, param or [])
    asked = sys.stdin.read() if question == "-" else question
    chosen = _at_hand(model, engine or [])
    found = planned(strategy, settings, chosen, asked)
    found.check()
    known = None
    if isinstance(chosen, LocalModel):
        known = asyncio.run(speed(chosen, again=again))
    found = planned(strategy, settings, chosen, asked, known)
    if as_json:
        typer.echo(found.model_dump_json(exclude_none=True))
    else:
        forecast(found, known)


def _at_hand(name: str | None, engine: list[str]) -> Model | None:
    """The model of a plan: one that nobody named, and that isn't installed, is done without."""
    from thinkgraph.graphs.runtime.run import default_model
    from thinkgraph.models.catalogue import load
    from thinkgraph.models.errors import ModelError

    try:
        return load(name or default_model(), **dict(_pairs("--engine", engine)))
    except ModelError:
        if name or engine:
            raise
        return None


@app.command()
def schema() -> None:
    """Print the JSON Schema of the graph language, for editors."""
    from thinkgraph.graphs.language.reference import json_schema

    typer.echo(json_schema(), nl=False)


@app.command()
def models() -> None:
    """List the models that have a name, and whether they are here."""
    from thinkgraph.models.catalogue import known

    for entry in known():
        here = f"{entry.path} ({entry.size / 1e6:.0f} MB)" if entry.size else entry.install
        typer.echo(f"{entry.name:12} {entry.about}")
        typer.echo(f"{'':12} {here}")
    typer.echo("A path to a .gguf file, hf:OWNER/REPO/FILE and openai:MODEL@URL are models too.")


@app.command()
def tune(
    model: Annotated[str, typer.Argument(help="A catalogue name, a .gguf, or hf:OWNER/REPO/FILE.")],
    lossy: Annotated[
        bool, typer.Option("--lossy", help="Also quantizations that change the model.")
    ] = False,
) -> None:
    """Find what runs a model fastest on this machine, and keep it for the next runs."""
    from thinkgraph.models.catalogue import find
    from thinkgraph.models.tuning.tune import config_file
    from thinkgraph.models.tuning.tune import tune as search

    def tell(trial: Trial) -> None:
        ratio = f", {trial.ratio:.2f} × the best so far" if trial.ratio else ""
        lost = f", perplexity {trial.perplexity:.2f}" if trial.perplexity else ""
        typer.echo(f"{trial.name}: {trial.tokens_per_s:.0f} tokens a second{ratio}{lost}", err=True)

    found = search(find(model).path, lossy=lossy, tell=tell)
    typer.echo(
        f"{found.after:.0f} tokens a second, {found.gain:.2f} × the {found.before:.0f} before"
    )
    if found.busy:
        typer.echo("other programs kept the machine busy; tune again when it is quiet", err=True)
    typer.echo(f"file      {found.use}")
    for name, value in found.settings.items():
        typer.echo(f"{name:9} {value}")
    typer.echo(f"kept in   {config_file()}")


@app.command()
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
    from thinkgraph.evaluate.findings.metric import find_metric
    from thinkgraph.evaluate.results.progress import ComparisonProgress
    from thinkgraph.evaluate.runs.compare import compare as run_all
    from thinkgraph.evaluate.runs.setup import Setup
    from thinkgraph.evaluate.runs.variant import parse_variants
    from thinkgraph.evaluate.tasks.data import read_questions
    from thinkgraph.graphs.runtime.run import default_model

    fields = {what: name for what, _, name in (item.partition("=") for item in field or [])}
    task = read_questions(data, fields=fields, limit=limit, seed=seed)
    judge = find_metric(metric or task.metric)
    judge.check(task.questions)
    prompts = _prompts(prompt)
    variants = parse_variants(graphs, dict(_pairs("--param", param or [])), prompts)
    setup = Setup(
        model or default_model(),
        dict(_pairs("--engine", engine or [])),
        dict(_pairs("--role", role or [])),
        seed,
        prompts,
        at_once,
    )
    progress = ComparisonProgress(task, variants, judge, shown=not quiet)
    try:
        with progress:
            work = run_all(
                task.model_copy(update={"metric": judge.name}),
                variants,
                setup,
                out,
                workers=workers if ray else 0,
                tell=progress.take,
            )
            comparison = asyncio.run(work)
    except KeyboardInterrupt:
        typer.echo(f"thinkgraph: interrupted; the same command goes on from {out}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    _conclude(comparison, judge, out, as_json=as_json)


def _conclude(comparison: Comparison, judge: Metric, out: Path, *, as_json: bool) -> None:
    """Say what a comparison comes to, and write it all down."""
    from thinkgraph.evaluate.findings.sheet import mark_all
    from thinkgraph.evaluate.findings.summary import summarize
    from thinkgraph.evaluate.results.export import export, to_json
    from thinkgraph.evaluate.results.table import report

    sheets = mark_all(comparison, judge)
    marks = {
        (question, sheet.label): mark.right
        for sheet in sheets
        for question, mark in sheet.marks.items()
    }
    summary = summarize(comparison, judge, sheets)
    if as_json:
        typer.echo(to_json(comparison, summary, marks), nl=False)
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
    page = next(p for p in export(out, comparison, summary, marks) if p.suffix == ".html")
    typer.echo(f"Every question, with its candidates: {page}", err=True)


def main() -> None:
    """Run the command line; an error is one line and exit status 2."""
    debug = "--debug" in sys.argv
    try:
        app()
    except ThinkgraphError as error:
        if debug:
            raise
        typer.echo(f"thinkgraph: {error}", err=True)
        sys.exit(2)
    except Exception as error:
        if debug:
            raise
        typer.echo(f"thinkgraph: {type(error).__name__}: {error} (--debug shows more)", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
