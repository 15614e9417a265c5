"""A small JSON object in a file, which several processes read and write."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any


class JsonStore:
    """Entries by name. One that can't be read is as empty.

    Args:
        file: where; it need not exist.
    """

    def __init__(self, file: Path) -> None:
        self.file = file

    def read(self) -> dict[str, Any]:
        """All entries."""
        try:
            found = json.loads(self.file.read_text("utf-8"))
        except (OSError, ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}

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
            OSError: it can't be written.
        """
        entries = {**self.read(), name: entry}
        if entry is None:
            del entries[name]
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(
            "w", encoding="utf-8", dir=self.file.parent, delete=False
        ) as part:
            json.dump(entries, part, indent=1)
        Path(part.name).replace(self.file)
