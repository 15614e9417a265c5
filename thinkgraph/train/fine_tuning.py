"""Fine-tuning of a GGUF to an adapter that llama.cpp loads, as `thinkgraph train` does it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic import Field

from thinkgraph.evaluate.runs.digest import digest
from thinkgraph.models.backends.local import LocalModel, open_model
from thinkgraph.models.engine.settings import EngineSettings
from thinkgraph.models.tuning.file_key import file_key
from thinkgraph.train.errors import TrainError, need, quietly
from thinkgraph.train.example import Conversation, Example, refuse_shared, tokenized
from thinkgraph.train.folder import (
    ADAPTER,
    CHECKPOINTS,
    CURVE,
    TrainingRecord,
    find_record,
    restored,
    working_folder,
    write_record,
)
from thinkgraph.train.outputs import check_gguf_name, refuse_same, unwritten
from thinkgraph.train.settings import LINEAR, TrainSettings
from thinkgraph.train.supervised import Point, Tell, adapted, train
from thinkgraph.train.weights.adapter import CONFIG, WEIGHTS, check_adapted, to_gguf
from thinkgraph.train.weights.base import check_family, load_base


class Report(TrainingRecord):
    """The report of a training, finished or not."""

    examples: int
    held_out: int = Field(description="number of held-out examples")
    left_out: int = Field(
        description="number of examples left out as too long, both of those to train on and those "
        "held out"
    )
    points: tuple[Point, ...] = ()
    steps: int = Field(0, description="number of steps done; 0: the training isn't finished")
    best: int = Field(0, description="step of the adapter that was kept")
    seconds: float = Field(
        0.0, description="seconds of training over all starts, up to their last checkpoints"
    )
    tokens: int = Field(0, description="number of tokens read, over all epochs")

    @property
    def kept(self) -> Point | None:
        """The measurement of the adapter that was kept."""
        return next((point for point in self.points if point.step == self.best), None)


def fine_tune(
    conversations: Sequence[Conversation],
    held_out: Sequence[Conversation],
    model: Path,
    out: Path,
    settings: TrainSettings,
    *,
    base: str | None = None,
    start: Path | None = None,
    replace: bool = False,
    tell: Tell = lambda step, of, point: None,
) -> Report:
    """Train an adapter for a GGUF, or resume an interrupted training.

    The folder `OUT.train` holds the learning curve, the report, the adapter in peft's format and,
    during training, the best and the last checkpoint.

    Args:
        conversations: the conversations whose answers to train on.
        held_out: conversations for evaluation during training.
        model: the GGUF.
        out: the adapter's file, a GGUF, written atomically.
        settings: the settings of the training.
        base: a Hugging Face folder with the weights before quantization.
        start: a peft adapter to continue from; default: a new one.
        replace: discard another training in the same folder, or another file at ``out``.
        tell: called after every step.

    Raises:
        ModelError: the model can't be opened.
        TrainError: a package is missing, the data or the model can't be trained on, or a file
            can't be written.
    """
    _check(conversations, held_out, model, out)
    if start:
        _check_start(start, settings)
    folder = working_folder(out)
    asked = _digest(conversations, held_out, model, settings, base=base, start=start)
    known = find_record(out, Report, asked, replace=replace)
    if known and known.steps and restored(out, model):
        return known
    examples, measured, left_out = _examples(conversations, held_out, model, settings.max_length)
    report = Report(
        digest=asked,
        settings=settings,
        examples=len(examples),
        held_out=len(measured),
        left_out=left_out,
        seconds=known.seconds if known and not known.steps else 0.0,
    )
    write_record(folder, report)

    def saved(seconds: float) -> None:
        write_record(folder, report.model_copy(update={"seconds": report.seconds + seconds}))

    with quietly():
        weights = _weights(model, base, start, settings)
        trained = train(
            weights, examples, measured, settings, folder / CHECKPOINTS, tell=tell, saved=saved
        )
        save(trained.model, folder, model, out)
    report = report.model_copy(
        update={
            "points": tuple(trained.points),
            "steps": trained.steps,
            "best": trained.best,
            "seconds": report.seconds + trained.seconds,
            "tokens": trained.tokens,
        }
    )
    write_record(folder, report)
    _draw(folder, report, f"{out.stem}: {model.stem}, rank {settings.rank}")
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return report


def _check(
    conversations: Sequence[Conversation], held_out: Sequence[Conversation], model: Path, out: Path
) -> None:
    """Refuse what can't be trained, before anything is read or written."""
    need()
    check_family(model)
    check_gguf_name(out)
    refuse_same(out, model)
    if not conversations:
        raise TrainError(
            "no question is left to train on: all of --data is held out; lower --set held_out=N "
            "or give --held-out FILE"
        )
    refuse_shared(conversations, held_out)


def _digest(
    conversations: Sequence[Conversation],
    held_out: Sequence[Conversation],
    model: Path,
    settings: TrainSettings,
    *,
    base: str | None,
    start: Path | None,
) -> str:
    """A digest of all that the adapter depends on."""
    texts = [[m.model_dump() for m in each.messages] for each in (*conversations, *held_out)]
    return digest(
        file_key(model), base, texts, len(held_out), settings.model_dump(exclude={"threads"}),
        str(_content(start) if start else None),
    )  # fmt: skip


def _content(adapter: Path) -> str:
    """A digest of a peft adapter's files."""
    found = hashlib.sha256()
    for name in (CONFIG, WEIGHTS):
        found.update((adapter / name).read_bytes())
    return found.hexdigest()


def _check_start(start: Path, settings: TrainSettings) -> None:
    """Refuse settings that contradict those of the adapter to continue from."""
    try:
        config = json.loads((start / CONFIG).read_text("utf-8"))
        names = ("rank", "r"), ("alpha", "lora_alpha"), ("dropout", "lora_dropout")
        own = {name: config[key] for name, key in names}
        own["targets"] = ",".join(sorted(config["target_modules"]))
    except (OSError, ValueError, KeyError, TypeError):
        own = {}
    if not own or not (start / WEIGHTS).is_file():
        raise TrainError(f"{start} is no peft adapter to continue from")
    given = settings.model_dump(include=own.keys() & settings.model_fields_set)
    if given.get("targets") not in (None, LINEAR):
        given["targets"] = ",".join(sorted(each.strip() for each in given["targets"].split(",")))
    for name, value in given.items():
        if value not in (None, LINEAR, own[name]):
            raise TrainError(
                f"{name}={value}: {start}, the adapter to continue from, has {name}={own[name]}; "
                f"leave {name} out"
            )


def _examples(
    conversations: Sequence[Conversation],
    held_out: Sequence[Conversation],
    model: Path,
    longest: int,
) -> tuple[list[Example], list[Example], int]:
    """The examples to train on, the held-out ones, and how many of both are too long."""
    with closing(opened_vocabulary(model)) as opened:
        examples, too_long = tokenized(conversations, opened, longest)
        measured, more = tokenized(held_out, opened, longest) if held_out else ([], 0)
    return examples, measured, too_long + more


def _weights(model: Path, base: str | None, start: Path | None, settings: TrainSettings) -> Any:
    """The base model with an adapter: the one in ``start``, or a new one."""
    from peft import PeftModel

    weights = load_base(model, base, precision=settings.precision, quantize=settings.quantize)
    if start:
        weights = PeftModel.from_pretrained(weights, str(start), is_trainable=True)
    else:
        weights = adapted(weights, settings)
    check_adapted(weights, model)
    return weights


def save(weights: Any, folder: Path, model: Path, out: Path) -> None:
    """Write an adapter in peft's format into a training's folder, and as a GGUF.

    Raises:
        TrainError: a file can't be written.
    """
    from safetensors import SafetensorError

    try:
        weights.save_pretrained(str(folder / ADAPTER), save_embedding_layers=False)
    except (OSError, SafetensorError) as error:
        raise unwritten(folder, error) from error
    to_gguf(folder / ADAPTER, model, out)


def opened_vocabulary(model: Path) -> LocalModel:
    """The model, opened with minimal settings for its chat template and vocabulary."""
    return open_model(
        model, settings=EngineSettings(kv_cells=64, context=64, sequences=1, batch=64, threads=1)
    )


def _draw(folder: Path, report: Report, title: str) -> None:
    from thinkgraph.train.curve import curve

    try:
        (folder / CURVE).write_bytes(curve(report.points, report.best, title))
    except OSError as error:
        raise unwritten(folder, error) from error
