"""``thinkgraph distill``: a strategy into an adapter."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
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
    ToolFile,
    VerifierFile,
    parse_pairs,
)
from thinkgraph.cli.questions import Extract, Fields, notes, read_fields
from thinkgraph.cli.train import Base, TrainOptions, read_settings
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.terminal import print_json, reader, say

if TYPE_CHECKING:
    from thinkgraph.evaluate.runs.variant import Variant
    from thinkgraph.evaluate.tasks.task import Task
    from thinkgraph.train.distillation import Distilled
    from thinkgraph.train.samples import Selection
    from thinkgraph.train.settings import TrainSettings

TESTED = 100
"""Default number of questions for the gate."""
NOT_BETTER = 1
"""Exit status if the gate is not passed."""


def distill(
    graph: GraphName,
    data: Annotated[
        str,
        typer.Option(
            help="Questions with right answers: data as for compare, or word-problems:COUNT."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The .gguf file to write the adapter to.")],
    model: ModelName = None,
    test: Annotated[
        int | None,
        typer.Option(
            min=8,
            show_default=str(TESTED),
            help="Number of questions of --data held out for the final comparison (the gate).",
        ),
    ] = None,
    test_data: Annotated[
        str | None,
        typer.Option(
            help="Questions for the final comparison (the gate), instead of some of --data."
        ),
    ] = None,
    field: Fields = None,
    extract: Extract = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of questions.")] = None,
    metric: Annotated[
        str | None, typer.Option(help="How to judge answers, as for compare.")
    ] = None,
    verify: Annotated[
        str,
        typer.Option(
            help="metric: keep samples that the metric judges right. vote: keep samples "
            "that agree with a clear majority; then only the questions of --test-data need right "
            "answers."
        ),
    ] = "metric",
    clear: Annotated[
        float | None,
        typer.Option(
            min=0.01,
            max=1,
            show_default="0.6",
            help="For --verify vote: share of the samples that must agree.",
        ),
    ] = None,
    per_question: Annotated[
        int, typer.Option(min=1, help="Maximum number of samples kept per question.")
    ] = 2,
    order: Annotated[
        str, typer.Option(help="Which samples to keep: shortest or first.")
    ] = "shortest",
    learn: Annotated[
        str,
        typer.Option(
            help="What to train on: text, answer, or both (the text, then the answer on a "
            "last line)."
        ),
    ] = "text",
    beside: Annotated[
        str | None,
        typer.Option(
            help="Further strategies for the final comparison, as for compare --graphs; "
            "the more there are, the larger a gain must be to be significant."
        ),
    ] = None,
    rounds: Annotated[
        int,
        typer.Option(
            min=1, help="Number of rounds; each starts from the adapter of the one before."
        ),
    ] = 1,
    param: Params = None,
    setting: TrainOptions = None,
    engine: Engine = None,
    tools: ToolFile = None,
    verifiers: VerifierFile = None,
    mcp: McpFile = None,
    imports: Imports = None,
    base: Base = None,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    at_once: Annotated[int, typer.Option(min=1, help="Number of concurrent runs.")] = 24,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace",
            help="Discard trainings with other settings in OUT.distill, or another file at --out.",
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as one JSON object.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Distil a strategy into an adapter, and keep it only if it is significantly better.

    The strategy samples answers, an adapter is trained on the verified ones, and its direct
    answers are compared with those of the original model on held-out questions. If they are not
    significantly better, no adapter is written and the exit status is 1. The same command resumes
    an interrupted run.
    """
    from thinkgraph.evaluate.metrics.find import find_metric
    from thinkgraph.evaluate.results.progress import token_lines
    from thinkgraph.evaluate.runs.variant import named_extractor, parse_variants
    from thinkgraph.graphs.runtime.models import default_model
    from thinkgraph.nodes.tools.host_files import HostFiles
    from thinkgraph.train.distillation import Plan, check_out
    from thinkgraph.train.distillation import distill as run_all
    from thinkgraph.train.errors import need
    from thinkgraph.train.progress import TrainProgress

    need()
    selection = _selection(
        verify=verify, clear=clear, per_question=per_question, order=order, learn=learn
    )
    how = named_extractor(extract) if extract else None
    plan = Plan(
        strategy=_strategy(graph, dict(parse_pairs("--param", param or [])), how),
        model=model or default_model(),
        out=out,
        selection=selection,
        settings=_settings(setting or [], seed),
        rounds=rounds,
        engine=dict(parse_pairs("--engine", engine or [])),
        seed=seed,
        at_once=at_once,
        base=base,
        host=HostFiles(tools, verifiers, mcp),
        beside=parse_variants(beside, {}, {}, extract=how) if beside else (),
        replace=replace,
    )
    check_out(plan)
    sampled, gate = _read_parts(
        data, test_data, test,
        fields=read_fields(field), limit=limit, seed=seed, answers=verify == "metric",
    )  # fmt: skip
    judged = gate if verify == "vote" else _joined(sampled, gate)
    scorer = find_metric(metric or judged.metric, judged.questions)
    scorer.check(judged.questions)
    tell: Callable[[str], None]
    tell = (lambda line: None) if quiet else (lambda line: say(f"thinkgraph: {line}"))
    read = {data: sampled, test_data or data: gate}
    told = [f"{name}: {note}" for name, part in read.items() for note in part.notes]
    judged = judged.model_copy(update={"notes": ()})  # they are in `told`, with their file
    for note in (*told, *notes(judged, chosen=bool(metric), extract=how)):
        tell(note)
    try:
        running = run_all(
            plan, sampled, gate, scorer,
            tell=tell, progress=lambda: TrainProgress(shown=not quiet), spent=token_lines(tell),
        )  # fmt: skip
        found = asyncio.run(running)
    except KeyboardInterrupt:
        say(f"thinkgraph: interrupted; the same command resumes from {plan.folder}")
        raise typer.Exit(INTERRUPTED) from None
    with reader():
        if as_json:
            print_json(found.model_dump_json(exclude={"comparison"}))
        else:
            _tell(found, out)
    if found.winner is None:
        raise typer.Exit(NOT_BETTER)


def _read_parts(
    data: str,
    test_data: str | None,
    test: int | None,
    *,
    fields: dict[str, str],
    limit: int | None,
    seed: int,
    answers: bool,
) -> tuple[Task, Task]:
    """The questions to sample from, and those of the gate."""
    from thinkgraph.evaluate.tasks.data import read_questions
    from thinkgraph.train.distillation import divide_task

    if test_data and test is not None:
        raise ThinkgraphError("--test doesn't apply to --test-data: leave one of them out")
    if test_data:
        gate = read_questions(test_data, fields=fields, seed=seed + 1)
        return read_questions(data, fields=fields, limit=limit, seed=seed, answers=answers), gate
    task = read_questions(data, fields=fields, limit=limit, seed=seed)
    return divide_task(task, test or TESTED, seed)


def _joined(sampled: Task, gate: Task) -> Task:
    return sampled.model_copy(update={"questions": (*sampled.questions, *gate.questions)})


def _settings(given: list[str], seed: int) -> TrainSettings:
    settings = read_settings(given)
    if "seed" in settings.model_fields_set:
        raise ThinkgraphError(
            f"--set seed={settings.seed}: sampling and training have one seed here; set --seed"
        )
    return settings.model_copy(update={"seed": seed})


def _strategy(graph: str, params: dict[str, Any], extract: Any) -> Variant:
    from thinkgraph.evaluate.runs.variant import parse_variants

    found, *others = parse_variants(graph, params, {}, extract=extract)
    if others:
        raise ThinkgraphError(
            f"{graph}: one strategy is distilled; compare it with others by --beside"
        )
    return found


def _selection(**given: object) -> Selection:
    from pydantic import ValidationError

    from thinkgraph.train.samples import Selection

    given = {name: value for name, value in given.items() if value is not None}
    if "clear" in given and given["verify"] != "vote":
        raise ThinkgraphError("--clear is for --verify vote: leave it out, or set that, too")
    try:
        return Selection.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        raise ThinkgraphError(f"--{option} {first['input']}: {first['msg']}") from None


def _tell(found: Distilled, out: Path) -> None:
    from thinkgraph.evaluate.results.table import report

    for each in found.rounds:
        training = each.training
        print(
            f"round {each.number}: {each.samples} samples, {each.verified} verified, {each.copies} "
            f"near-copies dropped, {each.kept} kept, of {each.questions} questions "
            f"({training.examples} trained on, {training.held_out} held out, {training.left_out} "
            f"too long); {each.sampled_tokens:,} tokens in {each.sampled_s:.0f} s, training "
            f"{training.steps} steps in {training.seconds:.0f} s"
        )
    report(found.comparison, found.summary)
    cost = found.cost
    print(
        f"\nCost: sampling {cost.sampled_tokens:,} tokens, {cost.sampled_s:.0f} s; training "
        f"{cost.trained_tokens:,} tokens, {cost.trained_s:.0f} s. An answer: before "
        f"{cost.before_tokens:.0f} tokens, {cost.before_s:.2f} s; after {cost.after_tokens:.0f} "
        f"tokens, {cost.after_s:.2f} s."
    )
    if found.winner is None:
        pass  # no adapter was written, so there is no payback
    elif cost.pays_after is None:
        print("An answer is not quicker than before, so the training never pays for its seconds.")
    else:
        print(f"The training has paid for its seconds after {cost.pays_after:,} questions.")
    print(found.verdict)
    if found.winner is None and out.exists():
        print(f"{out} is an earlier run's, and unchanged.")
    if found.winner:
        print(f"{out}  (use it as: -m MODEL+{out})")
