"""The records of a data file, read once from its beginning to its end.

JSON lines, a JSON list, comma-separated values, or a Hugging Face dataset on disk. Every fault
is told with its place, and all faults of one kind together.
"""

from __future__ import annotations

import csv
import importlib
import json
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from thinkgraph.graphs.language.problem import nearest
from thinkgraph.models.errors import ThinkgraphError

FEW = 5  # places named of many


class DataError(ThinkgraphError):
    """Data can't be read as questions; the message names the file, the place and the way out."""


class Record(NamedTuple):
    """What a file says of one question."""

    place: str
    """Where it stands, as an error says it: `line 4`."""
    values: dict[str, Any]


def read_records(path: Path) -> Iterator[Record]:
    """The records of a file or a dataset's folder, in its order.

    Raises:
        DataError: there is no such file, its kind is unknown, or it can't be read; what is
            wrong with single lines is raised after the last of them.
    """
    try:
        folder, there = path.is_dir(), path.exists()
    except (OSError, ValueError):  # a name that no file can have
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
    return reader(path)


def told(places: list[str]) -> str:
    """Places in a message: all of a few, and the number of the rest."""
    more = len(places) - FEW
    return ", ".join(places[:FEW]) + (f" and {more} more" if more > 0 else "")


def _beside(path: Path) -> str:
    try:
        names = [each.name for each in path.parent.iterdir() if each.suffix.lower() in READERS]
    except (OSError, ValueError):
        return f", nor a folder {path.parent}"
    near = nearest(path.name, names)
    return f"; did you mean {path.parent / near}?" if near else ""


def _lines(path: Path) -> Iterator[str]:
    """The lines of a text, with their ends."""
    try:
        with path.open("rb") as file:
            for number, line in enumerate(file, 1):
                try:
                    yield line.decode("utf-8-sig" if number == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise DataError(
                        f"{path}, line {number}: byte {error.start + 1} is not UTF-8; save the "
                        "file as UTF-8, as by iconv -f latin1 -t utf-8"
                    ) from None
    except OSError as error:
        raise DataError(f"{path} can't be read: {error.strerror or error}") from None


def _json_lines(path: Path) -> Iterator[Record]:
    faults, lines = [], 0
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        lines += 1
        try:
            values = json.loads(line.rstrip())
        except (ValueError, RecursionError) as error:
            faults.append(f"line {number} ({_reason(error)})")
            continue
        if isinstance(values, dict):
            yield Record(f"line {number}", values)
        else:
            faults.append(f"line {number} (not an object, but {type(values).__name__})")
    if faults:
        raise DataError(
            f"{path}: {len(faults)} of {lines} lines {_are(faults)} broken: {told(faults)}; each "
            "line must be one JSON object; mend or remove them"
        )


def _are(things: list[str]) -> str:
    return "is" if len(things) == 1 else "are"


def _reason(error: Exception) -> str:
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg}, column {error.colno}"
    return "nested too deeply" if isinstance(error, RecursionError) else str(error).split("\n")[0]


def _json_list(path: Path) -> Iterator[Record]:
    text = "".join(_lines(path))
    if not text.strip():
        return
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        if isinstance(error, json.JSONDecodeError) and error.msg == "Extra data":
            hint = "; if each line is an object, call it .jsonl"
            raise DataError(f"{path} is more than one JSON value{hint}") from None
        line = f", line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise DataError(f"{path}{line}: not JSON ({_reason(error)})") from None
    if not isinstance(found, list):
        raise DataError(f"{path} must hold a list of objects, not {type(found).__name__}")
    faults = [f"item {n}" for n, each in enumerate(found, 1) if not isinstance(each, dict)]
    if faults:
        raise DataError(f"{path}: {told(faults)} of the list {_are(faults)} not an object")
    yield from (Record(f"item {number}", values) for number, values in enumerate(found, 1))


def _table(path: Path) -> Iterator[Record]:
    lines = _lines(path)
    first = next(lines, "")
    separator = max(",;\t", key=first.count)
    reader = csv.reader(_again(first, lines), delimiter=separator, strict=True)
    faults: list[str] = []
    try:
        header = [name.strip() for name in next(filter(None, reader), [])]
        if twice := sorted({name for name in header if header.count(name) > 1}):
            raise DataError(f"{path}: its first line names {', '.join(twice)} more than once")
        start = reader.line_num + 1
        for cells in reader:
            place, start = f"line {start}", reader.line_num + 1
            if len(cells) == len(header):
                yield Record(place, dict(zip(header, cells, strict=True)))
            elif cells:
                faults.append(f"{place} ({len(cells)})")
    except csv.Error as error:
        raise DataError(f"{path}, line {reader.line_num}: not CSV ({error})") from None
    if faults:
        raise DataError(
            f"{path}: {len(faults)} {'row has' if len(faults) == 1 else 'rows have'} not as many "
            f"cells as the first line, {len(header)}: {told(faults)}; a cell with a separator in "
            "it must stand in quotes"
        )


def _again(first: str, rest: Iterable[str]) -> Iterator[str]:
    yield first
    yield from rest


def _dataset(path: Path) -> Iterator[Record]:
    if not any((path / name).exists() for name in ("dataset_info.json", "dataset_dict.json")):
        raise DataError(f"{path} is a folder, but no Hugging Face dataset (as save_to_disk writes)")
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
    for number, values in enumerate(found, 1):
        yield Record(f"row {number}", values)


READERS: dict[str, Callable[[Path], Iterator[Record]]] = {
    ".jsonl": _json_lines,
    ".ndjson": _json_lines,
    ".json": _json_list,
    ".csv": _table,
    ".tsv": _table,
}
"""How a file is read, by its ending."""
