"""Checks of a training's output files."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from thinkgraph.train.errors import TrainError


def refuse_same(out: Path, *inputs: Path) -> None:
    """Refuse to overwrite an input file, also under another name.

    Raises:
        TrainError: the output is an input; the message names both.
    """
    for path in inputs:
        same = out.resolve() == path.resolve()
        if same or (out.exists() and path.exists() and out.samefile(path)):
            raise TrainError(f"{out} would replace {path}; give the output another name")


def check_gguf_name(out: Path, option: str = "--out") -> None:
    """Refuse a name that can't be loaded as a model or as MODEL+OUT.

    Raises:
        TrainError: the name doesn't end in .gguf.
    """
    if out.suffix.lower() != ".gguf":
        raise TrainError(f"{option} {out}: the name must end in .gguf")


@contextmanager
def written(out: Path) -> Iterator[Path]:
    """A path to write a file or folder to, which replaces ``out`` if the block succeeds.

    Raises:
        TrainError: the file or folder can't be written; ``out`` is unchanged.
    """
    part = out.with_name(f"{out.name}.part")
    try:
        yield part
        part.replace(out)
    except OSError as error:
        raise unwritten(out, error) from error
    finally:
        if part.is_dir():
            shutil.rmtree(part, ignore_errors=True)
        else:
            part.unlink(missing_ok=True)


def unwritten(folder: Path, error: Exception) -> TrainError:
    """The error for a folder that can't be written, from an OSError or one of safetensors."""
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:160]
    return TrainError(f"{folder} can't be written: {reason}")
