"""The store of a comparison: all computed results, in one SQLite file."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from thinkgraph.evaluate.runs.row import Row
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Completion, Usage

FORMAT = 1
"""Version of the file's format; SQLite's ``user_version``."""

_TABLES = """
    CREATE TABLE samples (key TEXT, number INTEGER, completion TEXT, PRIMARY KEY (key, number))
        WITHOUT ROWID;
    CREATE TABLE answers (key TEXT PRIMARY KEY, answer TEXT) WITHOUT ROWID;
    CREATE TABLE rows (question TEXT, strategy TEXT, row TEXT, PRIMARY KEY (question, strategy))
        WITHOUT ROWID;
    CREATE TABLE starts (id INTEGER PRIMARY KEY, comparison TEXT, usage TEXT, seconds REAL);
"""


class StoreError(ThinkgraphError):
    """The database can't be opened, read or written."""


class Store:
    """The samples, answers and rows of comparisons, written to disk as they are added.

    Keys are digests of all that a value depends on, so that one file can hold comparisons of
    several models, seeds and tasks, and a changed strategy doesn't find its old rows. Not
    thread-safe: use it from the event loop of one comparison.

    Args:
        path: the file, created if missing.
        comparison: the key under which the time and tokens of this start are counted.
        tell: called with the completion tokens of every sample and answer that is added.

    Raises:
        StoreError: the file can't be opened, is no such database, or is in use by another process.
    """

    def __init__(
        self,
        path: str | Path,
        comparison: str = "",
        tell: Callable[[int], None] = lambda tokens: None,
    ) -> None:
        self.path, self._comparison, self._tell = Path(path), comparison, tell
        self._began = time.perf_counter()
        self._spent = Usage()
        try:
            self._database = sqlite3.connect(path, timeout=1, isolation_level=None)
            self._open()
        except sqlite3.Error as error:
            locked = "locked" in str(error)
            reason = "another process is using it" if locked else str(error)
            raise StoreError(f"can't use {path} as a comparison's database: {reason}") from error
        self._start = self._write(
            "INSERT INTO starts (comparison, usage, seconds) VALUES (?, ?, 0)", comparison, "{}"
        )

    def _open(self) -> None:
        database = self._database
        database.execute("PRAGMA locking_mode = EXCLUSIVE")  # two processes would repeat work
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = NORMAL")
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version == 0:
            database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {FORMAT}; COMMIT;")
        elif version != FORMAT:
            raise StoreError(
                f"{self.path} is of format {version} and this thinkgraph reads {FORMAT}; "
                "give another folder"
            )

    def samples(self, key: str, numbers: Sequence[int]) -> dict[int, Completion]:
        """The stored samples among the given numbers, by number."""
        found = self._read("SELECT number, completion FROM samples WHERE key = ?", key)
        wanted = set(numbers)
        return {n: Completion.model_validate_json(data) for n, data in found if n in wanted}

    def add_sample(self, key: str, number: int, completion: Completion, spent: Usage) -> None:
        """Store a sample, and count the usage since the last."""
        data = completion.model_dump_json(exclude={"logprobs"})
        self._write("INSERT OR IGNORE INTO samples VALUES (?, ?, ?)", key, number, data)
        self.spend(spent)

    def answer(self, key: str) -> Any:
        """The stored answer of a key, as plain data; None if there is none."""
        found = self._read("SELECT answer FROM answers WHERE key = ?", key)
        return next((json.loads(data) for (data,) in found), None)

    def add_answer(self, key: str, answer: Any, spent: Usage) -> None:
        """Store an answer, and count its usage."""
        self._write("INSERT OR IGNORE INTO answers VALUES (?, ?)", key, json.dumps(answer))
        self.spend(spent)

    def rows(self, strategy: str, questions: Iterable[str]) -> dict[str, Row]:
        """The rows of a strategy by the digest of their question, without failures."""
        found = self._read("SELECT question, row FROM rows WHERE strategy = ?", strategy)
        wanted = set(questions)
        rows = {key: Row.model_validate_json(data) for key, data in found if key in wanted}
        return {key: row for key, row in rows.items() if row.failure is None}

    def add_row(self, question: str, strategy: str, row: Row) -> Row:
        """Store a row and return it; a failed one replaces no answer, which is returned instead."""
        if row.failure is not None and (kept := self.rows(strategy, [question])):
            return kept[question]
        self._write(
            "INSERT OR REPLACE INTO rows VALUES (?, ?, ?)",
            question,
            strategy,
            row.model_dump_json(),
        )
        self._note()
        return row

    def spend(self, usage: Usage) -> None:
        """Add to the usage of this start."""
        self._spent += usage
        self._note()
        self._tell(usage.completion_tokens)

    def spent(self) -> tuple[Usage, float]:
        """The usage and seconds of the comparison, summed over all its starts."""
        found = self._read(
            "SELECT usage, seconds FROM starts WHERE comparison = ?", self._comparison
        )
        usage = sum((Usage.model_validate_json(usage) for usage, _ in found), Usage())
        return usage, sum(seconds for _, seconds in found)

    def _note(self) -> None:
        self._write(
            "UPDATE starts SET usage = ?, seconds = ? WHERE id = ?",
            self._spent.model_dump_json(),
            time.perf_counter() - self._began,
            self._start,
        )

    def _read(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        try:
            return self._database.execute(statement, values).fetchall()
        except sqlite3.Error as error:
            raise StoreError(
                f"can't read {self.path}: {error}; give another folder, or move the file away to "
                "begin anew"
            ) from error

    def _write(self, statement: str, *values: Any) -> int | None:
        try:
            return self._database.execute(statement, values).lastrowid
        except sqlite3.Error as error:
            raise StoreError(
                f"can't write to {self.path}: {error}; what was computed before is kept there, "
                "and the same command resumes from it"
            ) from error

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
