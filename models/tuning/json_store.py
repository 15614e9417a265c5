"""A small JSON object in a file, which several processes read and write."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from filelock import FileLock

PATIENCE = 10  # seconds to wait for another process that writes


class JsonStore:
    """Entries by name. A file that can't be read is as empty.

    Args:
        file: where; it need not exist. Beside it are a lock, and, once it was no JSON object and
            had to be replaced, what it was before, in ``FILE.broken``.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def read(self) -> dict[str, Any]:
        """All entries."""
        try:
            return self._load() or {}
        except OSError:
            return {}

    def check(self) -> None:
        """See that it can be written.

        Raises:
            OSError: it can't.
        """
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.file.parent):
            pass

    def put(self, name: str, entry: Any) -> None:
        """Set one entry; ``None`` takes it away. Nobody ever reads half a file.

        Raises:
            OSError: it can't be read or written.
        """
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self._beside(".lock"), timeout=PATIENCE, poll_interval=0.01):
            entries = self._load()
            if entries is None:
                self.file.replace(self._beside(".broken"))
                entries = {}
            if entry is None:
                entries.pop(name, None)
            else:
                entries[name] = entry
            self._write(entries)

    def _load(self) -> dict[str, Any] | None:
        """The entries; None if there is something else in the file."""
        try:
            found = json.loads(self.file.read_text("utf-8"))
        except FileNotFoundError:
            return {}
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def _write(self, entries: dict[str, Any]) -> None:
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=self.file.parent, delete=False
        ) as part:
            json.dump(entries, part, indent=1)
        Path(part.name).replace(self.file)

    def _beside(self, suffix: str) -> Path:
        return self.file.with_name(self.file.name + suffix)
