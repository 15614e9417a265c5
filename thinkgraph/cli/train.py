"""``thinkgraph train`` and ``adapter``: fine-tuning of a model, and conversion of adapters."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thinkgraph.cli.options import INTERRUPTED, ModelName, parse_pairs
from thinkgraph.cli.questions import Fields, read_fields
from thinkgraph.models.errors import ThinkgraphError, did_you_mean
from thinkgraph.terminal import print_json, reader, say

if TYPE_CHECKING:
    from thinkgraph.train.fine_tuning import Report
    from thinkgraph.train.settings import TrainSettings

TrainOptions = Annotated[
    list[str] | None,
    typer.Option(
        "--set", "-s", metavar="NAME=VALUE", help="A setting of the training: rank=8, steps=200"
    ),
]
Base = Annotated[
    str | None,
    typer.Option(help="Hugging Face folder with the weights before quantization."),
]


def train(
    data: Annotated[
        Path,
        typer.Option(
            help="A .jsonl, .json, .csv or .tsv file, or the folder of a Hugging Face dataset: "
            "questions and answers, or messages."
        ),
    ],
    out: Annotated[Path, typer.Option(help="The .gguf file to write the adapter to.")],
    model: ModelName = None,
    held_out: Annotated[
        Path | None,
        typer.Option(
            "--held-out",
            help="Data for evaluation; by default some questions of --data are held out.",
        ),
    ] = None,
    base: Base = None,
    field: Fields = None,
    setting: TrainOptions = None,
    merge: Annotated[
        Path | None,
        typer.Option(
            help="Also write the complete model, with the adapter merged into it, to this file."
        ),
    ] = None,
    reward: Annotated[
        str | None,
        typer.Option(
            "--reinforce",
            metavar="METRIC",
            help="Train with a metric as the reward (GRPO), instead of imitating answers.",
        ),
    ] = None,
    replace: Annotated[
        bool,
        typer.Option(
            "--replace", help="Discard another training in OUT.train, or another file at --out."
        ),
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the report as one JSON object.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Fine-tune a model on questions and answers, into an adapter that it loads as MODEL+OUT.

    The same command resumes from its last checkpoint; with --reinforce it starts again.
    Settings (--set): rank, alpha, targets, dropout, learning_rate, warmup, batch, micro_batch,
    steps, epochs, max_length, held_out, evaluate_every, patience, quantize, precision, threads,
    seed.
    """
    from thinkgraph.graphs.runtime.models import default_model
    from thinkgraph.train.errors import need
    from thinkgraph.train.folder import working_folder
    from thinkgraph.train.outputs import check_gguf_name, refuse_same
    from thinkgraph.train.progress import TrainProgress
    from thinkgraph.train.weights.base import bare_model
    from thinkgraph.train.weights.merge import merge as write_merged

    need()
    settings, fields = read_settings(setting or []), read_fields(field)
    _refuse_beside(held_out, reward, settings)
    name = model or default_model()
    path = bare_model(name)
    read = (path, data, *([held_out] if held_out else []))
    refuse_same(out, *read)
    if merge:
        refuse_same(merge, out, *read)
        check_gguf_name(merge, "--merge")
    learn: Callable[..., Report | list[float]]
    learn = partial(_reinforce, reward) if reward else partial(_fine_tune, held_out)
    try:
        with TrainProgress(shown=not quiet) as progress:
            found = learn(
                data, fields, path, out, settings, base=base, replace=replace, tell=progress.take
            )
    except KeyboardInterrupt:
        how = "starts again" if reward else f"resumes from {working_folder(out)}"
        say(f"thinkgraph: interrupted; the same command {how}")
        raise typer.Exit(INTERRUPTED) from None
    if merge:
        write_merged(out, path, merge)
    with reader():
        if isinstance(found, list):
            _tell_rewards(found, name, out, as_json=as_json)
        elif as_json:
            print_json(found.model_dump_json())
        else:
            _tell(found, name, out)


def _refuse_beside(held_out: Path | None, reward: str | None, settings: TrainSettings) -> None:
    clashes = {"--reinforce": reward, "--set held_out": "held_out" in settings.model_fields_set}
    for option, given in clashes.items():
        if held_out and given:
            raise ThinkgraphError(f"--held-out doesn't apply to {option}: leave one of them out")


def _fine_tune(
    held_out: Path | None,
    data: Path,
    fields: dict[str, str],
    path: Path,
    out: Path,
    settings: TrainSettings,
    **more: Any,
) -> Report:
    from thinkgraph.train.example import divide, read_conversations
    from thinkgraph.train.fine_tuning import fine_tune

    conversations = read_conversations(data, fields)
    if held_out:
        trained, measured = tuple(conversations), tuple(read_conversations(held_out, fields))
    else:
        trained, measured = divide(conversations, settings.held_out, settings.seed)
    return fine_tune(trained, measured, path, out, settings, **more)


def _reinforce(
    reward: str,
    data: Path,
    fields: dict[str, str],
    path: Path,
    out: Path,
    settings: TrainSettings,
    **more: Any,
) -> list[float]:
    from thinkgraph.evaluate.metrics.find import find_metric
    from thinkgraph.evaluate.tasks.data import read_questions
    from thinkgraph.train.reinforcement import reinforce

    task = read_questions(data, fields=fields, seed=settings.seed)
    metric = find_metric(reward, task.questions)
    metric.check(task.questions)
    return reinforce(task.questions, metric, path, out, settings, **more)


def read_settings(given: list[str]) -> TrainSettings:
    """Parse the settings of ``--set``.

    Raises:
        ThinkgraphError: a setting is unknown, or its value is invalid.
    """
    from pydantic import ValidationError

    from thinkgraph.train.settings import TrainSettings

    pairs: dict[str, Any] = dict(parse_pairs("--set", given))
    names = list(TrainSettings.model_fields)
    for name in pairs:
        if name not in names:
            hint = did_you_mean(name, names) or f"there are {', '.join(names)}"
            raise ThinkgraphError(f"--set {name}: there is no such setting; {hint}")
    try:
        return TrainSettings.model_validate(pairs)
    except ValidationError as error:
        first = error.errors()[0]
        what = f"{first['loc'][0]}={first['input']}: " if first["loc"] else ""
        reason = first["msg"].removeprefix("Value error, ")
        raise ThinkgraphError(f"--set {what}{reason}") from None


def _tell_rewards(rewards: list[float], model: str, out: Path, *, as_json: bool) -> None:
    if as_json:
        print_json(json.dumps({"steps": len(rewards), "rewards": rewards}))
        return
    some = ", ".join(f"{each:.2f}" for each in rewards[-5:])
    print(f"{len(rewards)} steps; the mean reward of the last: {some}")
    print(f"{out}  (use it as: -m {model}+{out})")


def _tell(report: Report, model: str, out: Path) -> None:
    from thinkgraph.train.folder import CURVE, working_folder

    left_out = f"; {report.left_out} were too long" if report.left_out else ""
    print(
        f"{report.steps} steps on {report.examples} examples in {report.seconds / 60:.1f} min, "
        f"{report.tokens:,} tokens{left_out}"
    )
    if not report.held_out and report.settings.held_out is None:
        print("no question was held out, as there are fewer than 10; the last adapter was kept")
    if (kept := report.kept) and kept.held_out_loss is not None:
        print(
            f"the adapter of step {kept.step} was kept: held-out loss {kept.held_out_loss:.3f}, "
            f"{kept.accuracy or 0:.0%} of {report.held_out} held-out answers right token by token"
        )
    print(f"{out}  (use it as: -m {model}+{out})")
    print(f"{working_folder(out) / CURVE}")


def adapter(
    source: Annotated[
        Path, typer.Argument(help="An adapter: a folder that peft has saved, or a .gguf file.")
    ],
    out: Annotated[Path, typer.Option(help="Output: a .gguf file, or a folder for peft.")],
    model: ModelName = None,
    merge: Annotated[
        bool,
        typer.Option("--merge", help="Write the complete model with the adapter merged into it."),
    ] = False,
) -> None:
    """Convert an adapter: from peft to GGUF, back, or merged into its model."""
    from thinkgraph.graphs.runtime.models import default_model
    from thinkgraph.train.errors import need
    from thinkgraph.train.outputs import check_gguf_name, refuse_same
    from thinkgraph.train.weights.adapter import from_gguf, to_gguf
    from thinkgraph.train.weights.base import bare_model
    from thinkgraph.train.weights.merge import merge as write_merged

    need("torch", "safetensors", "gguf")
    path = bare_model(model or default_model())
    refuse_same(out, path, source)
    if merge or source.is_dir():
        check_gguf_name(out)
    if merge and source.is_dir():
        part = out.with_name(out.name + ".adapter.gguf")
        try:
            to_gguf(source, path, part)
            write_merged(part, path, out)
        finally:
            part.unlink(missing_ok=True)
    elif merge:
        write_merged(source, path, out)
    elif source.is_dir():
        to_gguf(source, path, out)
    else:
        from_gguf(source, path, out)
    with reader():
        print(out)
