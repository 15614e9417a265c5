"""``thinkgraph fit``: the params and prompts that suit your model and your questions."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thinkgraph.cli.options import (
    INTERRUPTED,
    Engine,
    GraphName,
    Imports,
    McpFile,
    ModelName,
    Params,
    Roles,
    Template,
    ToolFile,
    VerifierFile,
    check_known,
    check_writable,
    command_line,
    model_settings,
    parse_pairs,
)
from thinkgraph.cli.questions import Extract, Fields, notes, read_fields
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.terminal import print_json, reader, say

if TYPE_CHECKING:
    from thinkgraph.evaluate.fit.fit import Fit, Fitter, Trial
    from thinkgraph.evaluate.fit.space import Space
    from thinkgraph.fitted import Fitted


def fit(
    graph: GraphName,
    data: Annotated[
        str | None,
        typer.Option(help="Questions with right answers, as for `thinkgraph compare`; required."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The params file to write.")] = Path("fitted.yaml"),
    search: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PARAM=VALUE,VALUE",
            help="Values to try for a param; by default those that the strategy lists under `fit`.",
        ),
    ] = None,
    param: Params = None,
    prompt: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME=FILE", help="A prompt to try in place of a built-in one."),
    ] = None,
    tokens: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Maximum number of sampled tokens per question; by default 10 % more than "
            "the default params take.",
        ),
    ] = None,
    trials: Annotated[int, typer.Option(min=2, help="Number of settings to try.")] = 20,
    share: Annotated[
        float,
        typer.Option(
            min=0.1,
            max=0.9,
            help="Share of the questions to search on; the result is judged on the others.",
        ),
    ] = 0.5,
    metric: Annotated[
        str | None, typer.Option(help="How to judge answers, as for `thinkgraph compare`.")
    ] = None,
    extract: Extract = None,
    field: Fields = None,
    by: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Field of the data by which both parts of the questions are stratified.",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of questions.")] = None,
    model: ModelName = None,
    role: Roles = None,
    engine: Engine = None,
    template: Template = None,
    tools: ToolFile = None,
    verifiers: VerifierFile = None,
    mcp: McpFile = None,
    imports: Imports = None,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    folder: Annotated[
        Path,
        typer.Option(
            "--folder", help="Folder for the samples, from which an interrupted search resumes."
        ),
    ] = Path("fit"),
    to_keep: Annotated[
        bool,
        typer.Option(
            "--keep",
            help="Use the result in later runs with this model if it is significantly better.",
        ),
    ] = False,
    undo: Annotated[
        bool,
        typer.Option("--undo", help="Delete the params kept for this strategy and model."),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as one JSON object.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Search the params of a strategy that suit your model and questions.

    The best setting within the token budget is judged on questions that the search has not seen,
    and written to a file for --params. The same command resumes
    an interrupted search.
    """
    if undo:
        _undo(graph, model)
        return
    if data is None:
        raise ThinkgraphError("fit needs questions with right answers: --data FILE")
    from thinkgraph.evaluate.fit.fit import Fitter
    from thinkgraph.evaluate.fit.space import Space
    from thinkgraph.evaluate.metrics.find import find_metric
    from thinkgraph.evaluate.results.progress import token_lines
    from thinkgraph.evaluate.runs.config import Config
    from thinkgraph.evaluate.runs.variant import named_extractor
    from thinkgraph.evaluate.tasks.data import read_questions
    from thinkgraph.graphs.graph import load
    from thinkgraph.graphs.runtime.models import default_model
    from thinkgraph.nodes.prompts.prompt import read_prompt
    from thinkgraph.nodes.tools.host_files import HostFiles

    strategy = load(graph)
    pairs = parse_pairs("--prompt", prompt or [])
    tried = [(name, file, read_prompt(file)) for name, file in pairs]
    space = Space.of(strategy, search or [], tried, dict(parse_pairs("--param", param or [])))
    task = read_questions(data, fields=read_fields(field, by), limit=limit, seed=seed)
    how = named_extractor(extract) if extract else None
    scorer = find_metric(metric or task.metric, task.questions)
    scorer.check(task.questions)
    check_known([name := model or default_model()])
    settings, roles = model_settings(engine, template), dict(parse_pairs("--role", role or []))
    config = Config(name, settings, roles, seed, host=HostFiles(tools, verifiers, mcp))
    fitter = Fitter(graph, task, scorer, space, config, trials, share, tokens, how)
    searched, held_out = fitter.parts()
    check_writable(out)
    if not quiet:
        for note in notes(task, chosen=metric is not None, extract=how):
            say(f"thinkgraph: {data}: {note}")
        say(f"thinkgraph: {_searches(space, len(searched), len(held_out))}")
        fitter.tell, fitter.spent = _tell, token_lines(lambda line: say(f"  {line}"))
    try:
        found = asyncio.run(fitter.fit(folder))
    except KeyboardInterrupt:
        say(f"thinkgraph: interrupted; the same command resumes from {folder}")
        raise typer.Exit(INTERRUPTED) from None
    fitted = _fitted(found, fitter, data)
    fitted.save(out, f"Use it with: --params {out}\n{found.sentence}")
    with reader():
        if as_json:
            told = {"gained": found.gained, "kept": found.kept, "sentence": found.sentence}
            print_json(json.dumps(found.model_dump(mode="json") | told, ensure_ascii=False))
        else:
            _report(found, out)
    if to_keep:
        kept = _kept(found, fitted, out, role=role, template=template, extract=extract)
        say(f"thinkgraph: {kept}")


def _undo(graph: str, model: str | None) -> None:
    from thinkgraph.fitted_store import forget
    from thinkgraph.graphs.graph import load
    from thinkgraph.graphs.runtime.models import default_model

    strategy = load(graph).name if Path(graph).is_file() else graph  # the file may be gone
    name = model or default_model()
    forgotten = forget(strategy, name)
    print(
        f"{strategy} has its own defaults again with {name}"
        if forgotten
        else f"nothing is kept for {strategy} with {name}"
    )


def _kept(found: Fit, fitted: Fitted, out: Path, **given: object) -> str:
    """Keep the fitted params if the gain is significant, and return a message about that.

    Not if they were found with one of the ``given`` options, which later runs may not have.
    """
    from thinkgraph.fitted_store import keep, store
    from thinkgraph.models.catalogue import SERVER

    if fitted.model.startswith(SERVER):
        return f"nothing is kept for an endpoint, whose model may change; use --params {out}"
    if not found.gained:
        return "nothing is kept for this model: the gain isn't significant"
    if options := " and ".join(f"--{option}" for option, value in given.items() if value):
        return f"nothing is kept, since later runs may not have this {options}; use --params {out}"
    keep(fitted)
    return f"kept for {fitted.model} in {store().file}; undo: {fitted.undo}"


def _searches(space: Space, searched: int, held_out: int) -> str:
    values = [f"{name} ({', '.join(map(str, v))})" for name, v in space.params.items()]
    prompts = [f"the prompt {name} ({', '.join(v)})" for name, v in space.prompts.items()]
    on = f"{searched} of {searched + held_out} different questions"
    return f"searches {'; '.join([*values, *prompts])} on {on}"


def _tell(trial: Trial) -> None:
    say(f"  {trial}")


def _fitted(found: Fit, fitter: Fitter, data: str) -> Fitted:
    """The content of the params file; without a gain, it has only the params that -p sets."""
    from thinkgraph.evaluate.runs.provenance import provenance
    from thinkgraph.fitted import Fitted, model_digest, spec_digest
    from thinkgraph.graphs.graph import load

    best, graph, fixed = found.best, load(found.strategy), fitter.space.fixed
    name, d = fitter.config.name, found.difference if found.kept else None
    made = provenance(data=data, models=[name], command=command_line(seed=0))
    measured: dict[str, Any] = {
        "gained": found.gained,
        "said": found.sentence,
        "trials": len(found.trials),
        "searched": found.searched,
        "tokens_at_most": round(found.budget),
        "command": made.command,
        "seed": fitter.config.seed,
        "data": made.data.model_dump() if made.data else data,
        "model": {n: f.model_dump() if f else None for n, f in made.models.items()},
    }
    for each in found.held_out:
        measured[each.label] = {
            "right": round(each.share, 4),
            "interval": [round(each.low, 4), round(each.high, 4)],
            "tokens": round(each.tokens, 1),
            "questions": each.questions,
        }
    return Fitted(
        strategy=found.strategy,
        name=graph.name,
        spec=spec_digest(graph),
        params={**fixed, **(best.params if found.kept else {})},
        prompts=fitter.prompts(best.prompts) if found.kept else {},
        model=name,
        sha256=model_digest(name),
        date=datetime.now(UTC).date().isoformat(),
        points=(round(d.points, 2), round(d.low, 2), round(d.high, 2)) if d else None,
        questions=d.questions if d else 0,
        found=measured,
    )


def _report(found: Fit, out: Path) -> None:
    whole = sum(not trial.ended for trial in found.trials)
    print(
        f"{len(found.trials)} settings were tried on {found.searched} questions, {whole} of them "
        f"on all; at most {found.budget:.0f} tokens a question"
    )
    print(f"default  {found.default}")
    print(f"best     {found.best}")
    for each in found.held_out:
        print(
            f"held out {each.label}: {each.share:.1%} [{each.low:.0%} to {each.high:.0%}] of "
            f"{each.questions}, {each.tokens:.0f} tokens"
        )
    print(found.sentence)
    print(f"Written: {out}" + ("" if found.kept else " (without fitted params)"))
