"""The identity of a model, so that its samples are never mistaken for another's."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path

from thinkgraph.models.backends.endpoint import EndpointModel
from thinkgraph.models.backends.local import LocalModel
from thinkgraph.models.model import Model

ENDS = 1 << 20
"""Bytes read at either end of a model file: its header, and a part of its weights."""


def identity(model: Model) -> str:
    """The name of a model; of a GGUF file, what is in it and the adapters it may load.

    Of a model behind an endpoint, its name and what the server tells of its weights.
    """
    if isinstance(model, EndpointModel):
        return f"{model.name}:{json.dumps(model.weights)}"
    if not isinstance(model, LocalModel):
        return model.name
    settings = model.engine.settings
    files = [model.engine.native.header.path, *settings.adapters.values()]
    if model.adapter:
        files.append(model.adapter)
    parts = [Path(model.name).name, *(_content(file, file.stat().st_mtime_ns) for file in files)]
    return ":".join([*parts, *([f"x{model.scale}"] if model.adapter else [])])


@lru_cache
def _content(file: Path, changed: int) -> str:
    size = file.stat().st_size
    with file.open("rb") as content:
        head = content.read(ENDS)
        content.seek(max(size - ENDS, 0))
        return hashlib.blake2b(
            head + content.read() + str(size).encode(), digest_size=8
        ).hexdigest()
