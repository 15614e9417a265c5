"""The working folder of a training, `OUT.train`, and its report."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TypeVar

from pydantic import Field, ValidationError

from thinkgraph.models.model import Frozen
from thinkgraph.train.errors import TrainError
from thinkgraph.train.outputs import unwritten, written
from thinkgraph.train.settings import TrainSettings
from thinkgraph.train.weights.adapter import CONFIG, to_gguf

REPORT, CURVE, ADAPTER, CHECKPOINTS = "training.json", "curve.svg", "adapter", "checkpoints"


class TrainingRecord(Frozen):
    """The part of a report by which a training is recognized."""

    digest: str = Field(description="digest of the model, the data and the settings")
    settings: TrainSettings


Record = TypeVar("Record", bound=TrainingRecord)


def working_folder(out: Path) -> Path:
    """The folder with the checkpoints, the learning curve and the report of an adapter."""
    return out.with_name(f"{out.name}.train")


def find_record(out: Path, kind: type[Record], digest: str, *, replace: bool) -> Record | None:
    """The report of the same training, if there is one.

    Checkpoints without a report are removed, as nothing tells their settings.

    Args:
        out: the adapter's file.
        kind: the kind of report.
        digest: of the training that is to start or to go on.
        replace: discard another training in the same folder.

    Raises:
        TrainError: without ``replace``: ``out`` or its folder holds something else.
    """
    folder = working_folder(out)
    try:
        found = kind.model_validate_json((folder / REPORT).read_text("utf-8"))
    except (OSError, ValidationError):
        found = None
    if found and found.digest == digest:
        return found
    if replace:
        shutil.rmtree(folder, ignore_errors=True)
    elif (folder / REPORT).exists():
        raise TrainError(
            f"{folder} holds a training of another model, other data or other settings; --replace "
            "starts anew, and another --out keeps both"
        )
    elif out.exists():
        raise TrainError(
            f"{out} exists, and no training of it in {folder}; --replace replaces it, and another "
            "--out keeps it"
        )
    shutil.rmtree(folder / CHECKPOINTS, ignore_errors=True)
    return None


def write_record(folder: Path, record: TrainingRecord) -> None:
    """Write a report.

    Raises:
        TrainError: it can't be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritten(folder, error) from error
    with written(folder / REPORT) as part:
        part.write_text(record.model_dump_json(indent=2), "utf-8")


def restored(out: Path, model: Path) -> bool:
    """Whether the adapter of a finished training is there, if need be written again.

    Args:
        out: the adapter's file, which may have been moved; the folder has it in peft's format.
        model: the GGUF that it is for.
    """
    adapter = working_folder(out) / ADAPTER
    if not out.exists() and (adapter / CONFIG).is_file():
        to_gguf(adapter, model, out)
    return out.exists()
