"""What is needed to repeat a comparison: command, versions, model files, machine and date."""

from __future__ import annotations

import hashlib
import os
import platform
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from pydantic import Field

from thinkgraph.models.model import Frozen

PACKAGES = ("thinkgraph", "llama-cpp-python", "langgraph", "math-verify")
"""Packages whose versions may affect answers and scores."""


class File(Frozen):
    """A file that the results depend on."""

    path: str
    sha256: str
    size: int = Field(description="size in bytes")


class Provenance(Frozen):
    """How a comparison was made."""

    command: str = Field("", description="command line; empty: the comparison was made in Python")
    date: str = Field("", description="when the comparison ended, in UTC (ISO 8601)")
    versions: dict[str, str] = Field(
        default_factory=dict, description="versions of Python and packages, by name"
    )
    machine: str = ""
    data: File | None = Field(
        None, description="file of the questions; None: they don't come from a file"
    )
    models: dict[str, File | None] = Field(
        default_factory=dict,
        description="model files, by the model's name; None: the model has no file",
    )
    engine: dict[str, Any] = Field(
        default_factory=dict, description="engine settings that were given"
    )
    params: dict[str, Any] = Field(
        default_factory=dict, description="params that were given for all strategies"
    )
    extract: Any = Field(
        None, description="extractor of answers for strategies that don't set one, in short form"
    )
    notes: tuple[str, ...] = Field((), description="notes and warnings on the data and the results")

    def computed_as(self, before: Provenance) -> Provenance:
        """The same with the machine, versions and engine settings of runs that were done before."""
        computed = before.model_dump(include={"machine", "versions", "engine"})
        return self.model_copy(update=computed)


def provenance(*, data: str | Path, models: Iterable[str], **fields: Any) -> Provenance:
    """The provenance of a comparison that runs on this machine now.

    Args:
        data: the source of the questions.
        models: the names of the models.
        fields: further fields of :class:`Provenance`.
    """
    return Provenance(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=_versions(),
        machine=machine(),
        data=_file(Path(data)),
        models={name: _file(model_file(name)) for name in models},
        **fields,
    )


def model_file(name: str) -> Path | None:
    """The file of a model; None for a model behind an endpoint."""
    from thinkgraph.models.catalogue import SERVER, find  # noqa: PLC0415 (opens the catalogue)

    return None if name.startswith(SERVER) else Path(find(name).path)


def machine() -> str:
    """A description of the machine: operating system, processor and number of cores."""
    return f"{platform.platform()}, {_processor()}, {os.cpu_count()} cores"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _versions() -> Mapping[str, str]:
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def file_digest(path: Path) -> str:
    """The SHA-256 of a file, as hexadecimal digits; empty if the file doesn't exist."""
    found = _file(path)
    return found.sha256 if found else ""


def _file(path: Path | None) -> File | None:
    if path is None or not path.is_file():
        return None
    status = path.stat()
    return _hashed(str(path.resolve()), status.st_mtime_ns, status.st_size)


@lru_cache
def _hashed(path: str, changed: int, size: int) -> File:
    with Path(path).open("rb") as content:
        digest = hashlib.file_digest(content, "sha256").hexdigest()
    return File(path=path, sha256=digest, size=size)
