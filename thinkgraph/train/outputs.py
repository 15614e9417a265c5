"""What a training may write to: never one of the files that it reads."""

from __future__ import annotations

from pathlib import Path

from thinkgraph.train.errors import TrainError


def refuse_same(out: Path, *inputs: Path) -> None:
    """Refuse to write over a file that is read, by whatever name it is called.

    Raises:
        TrainError: names both.
    """
    for path in inputs:
        same = out.resolve() == path.resolve()
        if same or (out.exists() and path.exists() and out.samefile(path)):
            raise TrainError(f"{out} would replace {path}; give the output another name")


def check_gguf_name(out: Path, option: str = "--out") -> None:
    """Refuse a name that can't be loaded as a model or as MODEL+OUT.

    Raises:
        TrainError: it doesn't end in .gguf.
    """
    if out.suffix.lower() != ".gguf":
        raise TrainError(f"{option} {out}: the name must end in .gguf")


def unwritten(folder: Path, error: Exception) -> TrainError:
    """What is said of a folder that can't be written; safetensors has an error of its own."""
    reason = getattr(error, "strerror", None) or " ".join(str(error).split())[:160]
    return TrainError(f"{folder} can't be written: {reason}")
