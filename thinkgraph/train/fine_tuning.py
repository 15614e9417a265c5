"""From a data file and a GGUF to an adapter that llama.cpp loads: what `thinkgraph train` does."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError

from thinkgraph.evaluate.runs.digest import digest
from thinkgraph.models.backends.local import LocalModel, open_model
from thinkgraph.models.engine.settings import EngineSettings
from thinkgraph.models.model import Frozen
from thinkgraph.models.tuning.file_key import file_key
from thinkgraph.train.errors import TrainError, need, quietly
from thinkgraph.train.example import Conversation, refuse_shared, tokenized
from thinkgraph.train.outputs import check_gguf_name, refuse_same, unwritten
from thinkgraph.train.settings import TrainSettings
from thinkgraph.train.supervised import Point, Tell, adapted, train
from thinkgraph.train.weights.adapter import CONFIG, check_adapted, to_gguf
from thinkgraph.train.weights.base import check_family, load_base

REPORT, CURVE, ADAPTER, CHECKPOINTS = "training.json", "curve.svg", "adapter", "checkpoints"


class Report(Frozen):
    """A training, finished or not: what it was, and how it went."""

    digest: str = Field(description="of the model, the data and the settings")
    settings: TrainSettings
    examples: int
    held_out: int = Field(description="examples that were measured on")
    left_out: int = Field(description="examples longer than the longest allowed")
    points: tuple[Point, ...] = ()
    steps: int = Field(0, description="done; 0 while it isn't finished")
    best: int = Field(0, description="the step of the adapter that was kept")
    seconds: float = Field(0.0, description="of all starts, up to their last checkpoints")
    tokens: int = Field(0, description="that were read, all epochs together")

    @property
    def kept(self) -> Point | None:
        """The measurement of the adapter that was kept."""
        return next((point for point in self.points if point.step == self.best), None)


def working_folder(out: Path) -> Path:
    """Where the checkpoints, the curve and the report of an adapter are."""
    return out.with_name(f"{out.name}.train")


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

    The folder `OUT.train` holds the learning curve, the report, the adapter in peft's form and,
    during training, the last two checkpoints.

    Args:
        conversations: whose answers are trained on.
        held_out: measured on during training.
        model: the GGUF.
        out: the adapter, a GGUF; written whole or not at all.
        settings: of the training.
        base: a folder of Hugging Face with the weights before they were quantized.
        start: a peft adapter to continue from; default: a new one.
        replace: discard another training in the same folder.
        tell: called after every step.

    Raises:
        ModelError: the model can't be opened.
        TrainError: a package is missing, the data or the model can't be trained on, or a file
            can't be written.
    """
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
    folder, rank = working_folder(out), settings.rank
    texts = [[m.model_dump() for m in each.messages] for each in (*conversations, *held_out)]
    asked = digest(
        file_key(model), base, texts, len(held_out), settings.model_dump(exclude={"threads"}),
        str(start),
    )  # fmt: skip
    if (known := _known(folder, asked, replace)) and known.steps and out.exists():
        return known
    with closing(opened_vocabulary(model)) as opened:
        examples, left_out = tokenized(conversations, opened, settings.max_length)
        measured, _ = tokenized(held_out, opened, settings.max_length) if held_out else ([], 0)
    report = Report(
        digest=asked,
        settings=settings,
        examples=len(examples),
        held_out=len(measured),
        left_out=left_out,
        seconds=known.seconds if known else 0.0,
    )
    _keep(folder, report)

    def saved(seconds: float) -> None:
        _keep(folder, report.model_copy(update={"seconds": report.seconds + seconds}))

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
    _keep(folder, report)
    _draw(folder, report, f"{out.stem}: {model.stem}, rank {rank}")
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return report


def _weights(model: Path, base: str | None, start: Path | None, settings: TrainSettings) -> Any:
    """The base with an adapter on it: one to go on from, or one that changes nothing yet."""
    from peft import PeftModel

    if start and not (start / CONFIG).is_file():
        raise TrainError(f"{start} is no adapter of peft to go on from")
    weights = load_base(model, base, precision=settings.precision, quantize=settings.quantize)
    if start:
        weights = PeftModel.from_pretrained(weights, str(start), is_trainable=True)
    else:
        weights = adapted(weights, settings)
    check_adapted(weights, model)
    return weights


def save(weights: Any, folder: Path, model: Path, out: Path) -> None:
    """Write an adapter in peft's form into a training's folder, and as a GGUF.

    Raises:
        TrainError: one can't be written.
    """
    from safetensors import SafetensorError

    try:
        weights.save_pretrained(str(folder / ADAPTER), save_embedding_layers=False)
    except (OSError, SafetensorError) as error:
        raise unwritten(folder, error) from error
    to_gguf(folder / ADAPTER, model, out)


def opened_vocabulary(model: Path) -> LocalModel:
    """The model, opened for its template and vocabulary alone."""
    return open_model(
        model, settings=EngineSettings(kv_cells=64, context=64, sequences=1, batch=64, threads=1)
    )


def _known(folder: Path, asked: str, replace: bool) -> Report | None:
    """The report of the same training, if there is one; another is refused or removed."""
    if not (folder / REPORT).exists():
        return None
    try:
        found = Report.model_validate_json((folder / REPORT).read_text("utf-8"))
    except (OSError, ValidationError):
        found = None
    if found and found.digest == asked:
        return found
    if not replace:
        raise TrainError(
            f"{folder} holds a training of another model, other data or other settings; --replace "
            "starts anew, and another --out keeps both"
        )
    shutil.rmtree(folder, ignore_errors=True)
    return None


def _keep(folder: Path, report: Report) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = folder / f"{REPORT}.part"
        part.write_text(report.model_dump_json(indent=2), "utf-8")
        part.replace(folder / REPORT)
    except OSError as error:
        raise unwritten(folder, error) from error


def _draw(folder: Path, report: Report, title: str) -> None:
    from thinkgraph.train.curve import curve

    try:
        (folder / CURVE).write_bytes(curve(report.points, report.best, title))
    except OSError as error:
        raise unwritten(folder, error) from error
