"""A small JSON object in a file, which several processes read and write."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from filelock import FileLock

PATIENCE = 10  # seconds to wait while another process writes


class JsonStore:
    """Entries by name. A file that can't be read counts as empty.

    Args:
        file: the file, which need not exist. A lock file lies beside it. If it is not a JSON
            object, the next write moves it to ``FILE.broken``.
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
        """Check that the file can be written.

        Raises:
            OSError: it can't be written.
        """
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=self.file.parent):
            pass

    def put(self, name: str, entry: Any) -> None:
        """Set one entry; ``None`` removes it. The file is replaced atomically.

        Raises:
            OSError: the file can't be read or written.
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
        """The entries; None if the file has other content."""
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
