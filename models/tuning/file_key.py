"""Keys of model files, which change with the file."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path


def file_key(path: Path) -> str:
    """A key from a file's path, size and modification time; a changed file has another key.

    Raises:
        OSError: there is no such file.
    """
    path = path.expanduser().resolve()
    stat = path.stat()
    what = os.fsencode(path) + f"\0{stat.st_size}\0{stat.st_mtime_ns}".encode()
    digest = hashlib.sha256(what).hexdigest()
    return f"{path}#{digest[:16]}"
