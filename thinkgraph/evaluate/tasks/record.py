"""The records of a data file.

JSON lines, a JSON list, comma-separated values, or a Hugging Face dataset on disk. Errors of the
same kind are reported together, each with its place.
"""

from __future__ import annotations

import importlib
import io
import json
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any, NamedTuple

from thinkgraph.evaluate.tasks.table import places, read_table
from thinkgraph.evaluate.tasks.text import DataError, read_text
from thinkgraph.graphs.language.problem import nearest

__all__ = ["READERS", "DataError", "Record", "Records", "read_records"]


class Record(NamedTuple):
    """One record of a file."""

    place: str
    """Place in the file, for error messages: `line 4`."""
    values: dict[str, Any]


class Records(NamedTuple):
    """The records of a file."""

    records: list[Record]
    notes: list[str]
    """Notes for the user on how the file was read."""


def read_records(path: Path, known: Collection[str] = ()) -> Records:
    """Read the records of a file or a dataset's folder, in order, skipping empty ones.

    Args:
        path: a file with one of the extensions in `READERS`, or the folder of a dataset.
        known: common field names in lower case, to recognise the header of a table.

    Raises:
        DataError: the file doesn't exist, its type is unknown, or it can't be read.
    """
    try:
        folder, there = path.is_dir(), path.exists()
    except (OSError, ValueError):  # not a valid file name
        folder = there = False
    if folder:
        return _dataset(path)
    if not there:
        raise DataError(f"there is no file {path}{_beside(path)}")
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path}: data is read from {', '.join(READERS)} files and from a Hugging Face "
            f"dataset's folder, not from {path.suffix or 'a file without an ending'}"
        )
    text, note = read_text(path)
    found = reader(path, text, known)
    filled = [record for record in found.records if not _is_empty(record.values)]
    notes = [*([note] if note else []), *found.notes]
    if skipped := len(found.records) - len(filled):
        notes.append(_skipped(skipped))
    return Records(filled, notes)


def _skipped(count: int) -> str:
    return "1 empty record was skipped" if count == 1 else f"{count} empty records were skipped"


def _is_empty(values: dict[str, Any]) -> bool:
    return all(
        value is None or (isinstance(value, str) and not value.strip()) for value in values.values()
    )


def _beside(path: Path) -> str:
    try:
        names = [each.name for each in path.parent.iterdir() if each.suffix.lower() in READERS]
    except (OSError, ValueError):
        return f", nor a folder {path.parent}"
    near = nearest(path.name, names)
    return f"; did you mean {path.parent / near}?" if near else ""


def _json_lines(path: Path, text: str, known: Collection[str]) -> Records:
    faults, count, records = [], 0, []
    for number, line in enumerate(io.StringIO(text), 1):
        if not line.strip():
            continue
        count += 1
        try:
            values = json.loads(line.rstrip())
        except (ValueError, RecursionError) as error:
            faults.append(f"line {number} ({_reason(error)})")
            continue
        if isinstance(values, dict):
            records.append(Record(f"line {number}", values))
        else:
            faults.append(f"line {number} (not an object, but {type(values).__name__})")
    if faults:
        raise DataError(
            f"{path}: {len(faults)} of {count} lines {_are(faults)} broken: {places(faults)}; each "
            "line must be one JSON object; mend or remove them"
        )
    return Records(records, [])


def _are(things: list[str]) -> str:
    return "is" if len(things) == 1 else "are"


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg}, column {error.colno}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error).split("\n")[0]


def _json_list(path: Path, text: str, known: Collection[str]) -> Records:
    if not text.strip():
        return Records([], [])
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data":
            hint = "; if each line is an object, call it .jsonl"
            raise DataError(f"{path} is more than one JSON value{hint}") from None
        line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise DataError(f"{path}{line}: not JSON ({_reason(error)})") from None
    found, notes = _inner_list(found)
    if not isinstance(found, list):
        raise DataError(f"{path} must hold a list of objects, not {type(found).__name__}")
    faults = [f"item {n}" for n, each in enumerate(found, 1) if not isinstance(each, dict)]
    if faults:
        raise DataError(f"{path}: {places(faults)} of the list {_are(faults)} not an object")
    return Records([Record(f"item {n}", each) for n, each in enumerate(found, 1)], notes)


def _inner_list(found: Any) -> tuple[Any, list[str]]:
    """The only list of objects in an object, such as BIG-bench's `examples`, and a note."""
    if not isinstance(found, dict):
        return found, []
    lists = {
        name: value
        for name, value in found.items()
        if isinstance(value, list) and value and isinstance(value[0], dict)
    }
    if len(lists) != 1:
        return found, []
    ((name, value),) = lists.items()
    return value, [f"the records were taken from its list {name!r}"]


def _table(path: Path, text: str, known: Collection[str]) -> Records:
    table = read_table(path, text, known)
    records = [
        Record(f"line {row.line}", dict(zip(table.names, row.cells, strict=True)))
        for row in table.rows
    ]
    notes = [table.note] if table.note else []
    return Records(records, [*notes, *([_skipped(table.skipped)] if table.skipped else [])])


def _dataset(path: Path) -> Records:
    if not any((path / name).exists() for name in ("dataset_info.json", "dataset_dict.json")):
        raise DataError(
            f"{path} is a folder without a saved Hugging Face dataset; write one with "
            "Dataset.save_to_disk, or give a file"
        )
    try:
        datasets = importlib.import_module("datasets")
    except ImportError:
        raise DataError(
            f"{path} is a Hugging Face dataset, and to read it the package datasets is needed; "
            'run: pip install "thinkgraph[datasets]"'
        ) from None
    try:
        found = datasets.load_from_disk(str(path))
    except Exception as error:
        raise DataError(f"{path} can't be read as a dataset: {error}") from None
    if isinstance(found, dict):
        splits = ", ".join(str(path / name) for name in found)
        raise DataError(f"{path} has several splits; take one: {splits}")
    return Records([Record(f"row {n}", values) for n, values in enumerate(found, 1)], [])


READERS: dict[str, Callable[[Path, str, Collection[str]], Records]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json_list,
    ".csv": _table,
    ".tsv": _table,
}
"""Readers by file extension."""
