"""``thinkgraph distill``: what a strategy finds, learnt so that one answer has it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

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
from thinkgraph.cli.train import Base, TrainOptions, read_settings
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.terminal import print_json, reader, say

if TYPE_CHECKING:
    from thinkgraph.evaluate.runs.row import Row
    from thinkgraph.train.distill import Distilled

EVERY = 30.0
"""Seconds between two lines of progress."""
NOT_BETTER = 1
"""The exit status where the gate is not passed."""


def distill(
    graph: GraphName,
    data: Annotated[
        str, typer.Option(help="Questions with right answers, as for compare; word-problems:COUNT.")
    ],
    out: Annotated[Path, typer.Option(help="The adapter, a .gguf file.")],
    model: ModelName = None,
    test: Annotated[
        int, typer.Option(min=8, help="Questions of --data kept apart for the gate.")
    ] = 100,
    test_data: Annotated[
        str | None, typer.Option(help="Questions for the gate, in place of some of --data.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of questions.")] = None,
    metric: Annotated[str | None, typer.Option(help="What is right, as for compare.")] = None,
    verify: Annotated[
        str,
        typer.Option(
            help="metric: keep samples that the metric finds right. vote: keep samples of a clear "
            "majority; then only the test questions need right answers."
        ),
    ] = "metric",
    clear: Annotated[
        float, typer.Option(min=0.01, max=1, help="Share of the samples that makes a vote clear.")
    ] = 0.6,
    per_question: Annotated[
        int, typer.Option(min=1, help="Maximum number of samples of a question.")
    ] = 2,
    order: Annotated[
        str, typer.Option(help="Which samples to keep: shortest or first.")
    ] = "shortest",
    learn: Annotated[
        str, typer.Option(help="text, answer, or both: the answer on a last line.")
    ] = "text",
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
    from pydantic import ValidationError

    from thinkgraph.evaluate.metrics.find import find_metric
    from thinkgraph.evaluate.runs.variant import Variant
    from thinkgraph.evaluate.tasks.data import read_questions
    from thinkgraph.graphs.runtime.models import default_model
    from thinkgraph.nodes.tools.host_files import HostFiles
    from thinkgraph.train.distill import Plan, divide_task
    from thinkgraph.train.distill import distill as run_all
    from thinkgraph.train.errors import need
    from thinkgraph.train.progress import TrainProgress
    from thinkgraph.train.samples import Selection

    need()
    chosen = {
        **{"verify": verify, "clear": clear, "per_question": per_question},
        **{"order": order, "learn": learn},
    }
    try:
        selection = Selection.model_validate(chosen)
    except ValidationError as error:
        first = error.errors()[0]
        raise ThinkgraphError(f"--{first['loc'][0]} {first['input']}: {first['msg']}") from None
    task = read_questions(data, limit=limit, seed=seed)
    if test_data:
        drawn, gate = task, read_questions(test_data, seed=seed + 1)
    else:
        drawn, gate = divide_task(task, test, seed)
    scorer = find_metric(metric or task.metric, task.questions)
    scorer.check([*drawn.questions, *gate.questions])
    plan = Plan(
        strategy=Variant.parse(graph, dict(parse_pairs("--param", param or [])), {}),
        model=model or default_model(),
        out=out,
        selection=selection,
        settings=read_settings(setting or []).model_copy(update={"seed": seed}),
        rounds=rounds,
        engine=dict(parse_pairs("--engine", engine or [])),
        seed=seed,
        at_once=at_once,
        base=base,
        host=HostFiles(tools, verifiers, mcp),
    )
    progress = TrainProgress(shown=not quiet)
    tell = (lambda line: None) if quiet else (lambda line: say(f"thinkgraph: {line}"))
    try:
        found = asyncio.run(
            run_all(
                plan, drawn, gate, scorer, tell=tell, progress=progress.take, row=_counting(tell)
            )
        )
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


def _counting(tell: Callable[[str], None]) -> Callable[[Row, bool], None]:
    """Tells now and then how many runs have been answered."""
    count, told = 0, time.perf_counter()

    def take(row: Row, kept: bool) -> None:
        nonlocal count, told
        count += 1
        if not kept and time.perf_counter() - told >= EVERY:
            told = time.perf_counter()
            tell(f"{count} questions answered so far")

    return take


def _tell(found: Distilled, out: Path) -> None:
    from thinkgraph.evaluate.results.table import report

    for each in found.rounds:
        print(
            f"round {each.number}: {each.drawn} samples, {each.verified} verified, {each.copies} "
            f"near-copies dropped, {each.learnt} trained on, of {each.questions} questions; "
            f"{each.sampled_tokens:,} tokens in {each.sampled_s:.0f} s, training "
            f"{each.training.steps} steps in {each.training.seconds:.0f} s"
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
        pass  # there is nothing that could pay for itself
    elif cost.pays_after is None:
        print("An answer is not quicker than before, so the training never pays for its seconds.")
    else:
        print(f"The training has paid for its seconds after {cost.pays_after:,} questions.")
    print(found.verdict)
    if found.winner:
        print(f"{out}  (use it as: -m MODEL+{out})")
