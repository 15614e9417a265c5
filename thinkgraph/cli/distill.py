"""``thinkgraph distill``: a strategy into an adapter."""

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
    from thinkgraph.train.distillation import Distilled
    from thinkgraph.train.samples import Selection

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
            "majority; then only the questions of --test-data need right answers."
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
    beside: Annotated[
        str | None,
        typer.Option(
            help="Further strategies to compare with at the end, as for compare --graphs; the "
            "more, the larger the gain that the test of significance wants."
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
    from thinkgraph.evaluate.runs.variant import Variant, parse_variants
    from thinkgraph.evaluate.tasks.data import read_questions
    from thinkgraph.graphs.runtime.models import default_model
    from thinkgraph.nodes.tools.host_files import HostFiles
    from thinkgraph.train.distillation import Plan, divide_task
    from thinkgraph.train.distillation import distill as run_all
    from thinkgraph.train.errors import need
    from thinkgraph.train.progress import TrainProgress

    need()
    selection = _selection(
        verify=verify, clear=clear, per_question=per_question, order=order, learn=learn
    )
    if test_data:
        task = read_questions(data, limit=limit, seed=seed, answers=verify == "metric")
        sampled, gate = task, read_questions(test_data, seed=seed + 1)
    else:
        task = read_questions(data, limit=limit, seed=seed)
        sampled, gate = divide_task(task, test, seed)
    judged = gate if verify == "vote" else task
    scorer = find_metric(metric or judged.metric, judged.questions)
    scorer.check(gate.questions)
    if verify == "metric":
        scorer.check(sampled.questions)
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
        beside=parse_variants(beside, {}, {}) if beside else (),
    )
    tell = (lambda line: None) if quiet else (lambda line: say(f"thinkgraph: {line}"))
    try:
        running = run_all(
            plan, sampled, gate, scorer,
            tell=tell, progress=lambda: TrainProgress(shown=not quiet), row=_counting(tell),
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


def _selection(**given: object) -> Selection:
    from pydantic import ValidationError

    from thinkgraph.train.samples import Selection

    try:
        return Selection.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        option = str(first["loc"][0]).replace("_", "-")
        raise ThinkgraphError(f"--{option} {first['input']}: {first['msg']}") from None


def _counting(tell: Callable[[str], None]) -> Callable[[Row, bool], None]:
    """Report from time to time how many runs have been answered."""
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
            f"round {each.number}: {each.samples} samples, {each.verified} verified, {each.copies} "
            f"near-copies dropped, {each.kept} trained on, of {each.questions} questions; "
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
    if found.winner is None and out.exists():
        print(f"{out} is an earlier run's, and unchanged.")
    if found.winner:
        print(f"{out}  (use it as: -m MODEL+{out})")
