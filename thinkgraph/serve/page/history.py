"""The history: the page's runs in an SQLite file, which stays consistent if the process is killed.

A run has a row from its start, and a single statement records its end: a row is either running, or
finished with its report. A server updates its running rows every few seconds; a running row that
another server has stopped updating is shown as interrupted.
"""

from __future__ import annotations

import math
import secrets
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError, field_validator

from thinkgraph.graphs.language.spec import Scalar
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Frozen

VERSION = 1
"""Version of the file's tables, stored in its ``user_version``."""
BUSY_S = 10.0
"""Seconds that a statement waits for one of another process."""
SILENT_S = 10.0
"""Seconds without an update from its server after which a run counts as interrupted."""
_TABLE = """
create table if not exists runs (
  id text primary key,
  server text not null,
  seen real not null,
  status text not null default 'running',
  started real not null,
  ended real,
  question text not null,
  strategy text not null,
  model text not null,
  asked text not null,
  seed integer,
  answer text,
  error text,
  cut text,
  tokens integer,
  report blob
) strict
"""

Status = Literal["running", "done", "stopped", "failed", "interrupted"]


class HistoryError(ThinkgraphError):
    """The history's file can't be opened, read or written."""


class Asked(Frozen):
    """The request for a run, complete enough to repeat it."""

    question: str = Field(min_length=1, max_length=200_000)
    strategy: str = Field(
        "", max_length=500, description="name of the strategy; empty if `yaml` is given"
    )
    yaml: str | None = Field(
        None, max_length=200_000, description="YAML spec of the user's own strategy"
    )
    params: dict[str, Scalar] = Field(default_factory=dict)
    model: str = Field(
        "", max_length=500, description="name of the model; empty: the server's first model"
    )
    seed: int | None = Field(None, ge=0, lt=2**31, description="random seed; null: drawn at random")
    tokens: int | None = Field(None, ge=1, description="maximum number of sampled tokens")
    seconds: float | None = Field(
        None, gt=0, allow_inf_nan=False, description="maximum wall time in seconds"
    )

    @field_validator("params")
    @classmethod
    def _finite(cls, params: dict[str, Scalar]) -> dict[str, Scalar]:
        """Refuse numbers that JSON, in which the request is stored, can't represent."""
        for name, value in params.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise ValueError(f"{name} is not a finite number")
        return params


class Past(Frozen):
    """A run in the history."""

    id: str
    status: Status
    started: float = Field(description="start time, in seconds since 1970 (UTC)")
    ended: float | None = None
    question: str
    strategy: str
    model: str
    asked: Asked | None = Field(
        description="request for the run; null: another version wrote it and it can't be read"
    )
    seed: int | None = None
    answer: str | None = None
    error: str | None = None
    cut: str | None = None
    tokens: int | None = None
    has_report: bool = False


_COLUMNS = tuple(name for name in Past.model_fields if name != "has_report")


class History:
    """The runs of one file, which several processes may share.

    Args:
        path: the file, created if missing; None keeps the runs in memory.

    Raises:
        HistoryError: the file can't be opened, or is of a newer version.
    """

    def __init__(self, path: Path | None) -> None:
        self._lock = threading.Lock()
        self._server = secrets.token_hex(8)
        try:
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
                path.touch(mode=0o600)
            self._file = sqlite3.connect(
                path or ":memory:", timeout=BUSY_S, isolation_level=None, check_same_thread=False
            )
            self._prepare(path)
        except (OSError, sqlite3.Error) as error:
            raise HistoryError(
                f"the history {str(path)!r} can't be opened: {error}; "
                "name another file by --history, or leave out the page by --no-page"
            ) from None

    def _prepare(self, path: Path | None) -> None:
        self._file.row_factory = sqlite3.Row
        self._file.execute("pragma journal_mode = wal")
        self._file.execute("pragma synchronous = normal")  # a killed process loses nothing
        (found,) = self._file.execute("pragma user_version").fetchone()
        if found > VERSION:
            raise HistoryError(
                f"the history {path} was written by a newer thinkgraph; "
                "give --history OTHER.sqlite3 or upgrade"
            )
        self._file.execute(_TABLE)
        self._file.execute(f"pragma user_version = {VERSION}")

    @contextmanager
    def _cursor(self) -> Iterator[sqlite3.Cursor]:
        try:
            with self._lock, closing(self._file.cursor()) as cursor:
                yield cursor
        except sqlite3.Error as error:
            raise HistoryError(f"the history can't be read or written: {error}") from None

    def begin(self, asked: Asked, strategy: str, model: str) -> str:
        """Record that a run begins, and return its id."""
        now = time.time()
        row = {
            "id": f"{int(now * 1000):012x}{secrets.token_hex(6)}",  # sorts by time
            "server": self._server,
            "seen": now,
            "started": now,
            "question": asked.question,
            "strategy": strategy,
            "model": model,
            "asked": asked.model_dump_json(exclude_defaults=True),
        }
        with self._cursor() as cursor:
            names, places = ", ".join(row), ", ".join(f":{name}" for name in row)
            cursor.execute(f"insert into runs ({names}) values ({places})", row)  # noqa: S608
        return str(row["id"])

    def go_on(self) -> None:
        """Record that this server's runs are still running; to be called every few seconds."""
        with self._cursor() as cursor:
            cursor.execute(
                "update runs set seen = ? where server = ? and status = 'running'",
                (time.time(), self._server),
            )

    def end(self, id: str, status: Status, report: str | None = None, **told: Any) -> None:
        """Record that a run has ended.

        Args:
            id: the run's id.
            status: how the run ended.
            report: its HTML report.
            **told: its ``seed``, ``answer``, ``error``, ``cut`` and ``tokens``.
        """
        page = None if report is None else zlib.compress(report.encode("utf-8", "replace"))
        row = {"status": status, "ended": time.time(), "report": page, **told}
        with self._cursor() as cursor:
            sets = ", ".join(f"{name} = :{name}" for name in row)
            cursor.execute(f"update runs set {sets} where id = :id", {**row, "id": id})  # noqa: S608

    def runs(self, containing: str = "", before: str = "", most: int = 50) -> list[Past]:
        """The runs, newest first.

        Args:
            containing: a text that the question, the strategy or the answer must contain.
            before: the id of a run; only older runs are returned.
            most: maximum number of runs.
        """
        where = (
            "(:id = '' or id < :id) and (:text = '' or instr(lower(question || ' ' || strategy "
            "|| ' ' || coalesce(answer, '')), lower(:text)))"
        )
        values = {"id": before, "text": containing, "most": most}
        return self._found(f"where {where} order by id desc limit :most", values)

    def run(self, id: str) -> Past | None:
        """One run; None if it doesn't exist."""
        found = self._found("where id = :id", {"id": id})
        return found[0] if found else None

    def _found(self, where: str, values: Mapping[str, Any]) -> list[Past]:
        names = ", ".join((*_COLUMNS, "server", "seen"))
        with self._cursor() as cursor:
            rows = cursor.execute(
                f"select {names}, report is not null as has_report, server, seen from runs {where}",  # noqa: S608 (no value is in it)
                values,
            ).fetchall()
        return [self._past(row) for row in rows]

    def _past(self, row: sqlite3.Row) -> Past:
        values: dict[str, Any] = {name: row[name] for name in Past.model_fields}
        is_silent = row["server"] != self._server and row["seen"] < time.time() - SILENT_S
        if values["status"] == "running" and is_silent:
            values["status"] = "interrupted"
        try:
            asked = Asked.model_validate_json(row["asked"])
        except ValidationError:
            asked = None
        return Past.model_validate({**values, "asked": asked})

    def report(self, id: str) -> str | None:
        """The HTML report of a finished run; None if there is none."""
        with self._cursor() as cursor:
            row = cursor.execute("select report from runs where id = ?", (id,)).fetchone()
        return zlib.decompress(row["report"]).decode() if row and row["report"] else None

    def forget(self, id: str) -> bool:
        """Delete a run, and return whether it existed."""
        with self._cursor() as cursor:
            return cursor.execute("delete from runs where id = ?", (id,)).rowcount > 0

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._file.close()
