"""The identity of a model, which keeps its samples apart from those of other models."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from thinkgraph.models.backends.endpoint import EndpointModel
from thinkgraph.models.backends.local import LocalModel
from thinkgraph.models.backends.reward import RewardModel
from thinkgraph.models.engine.settings import EngineSettings
from thinkgraph.models.model import Model

ENDS = 1 << 20
"""Bytes hashed at each end of a model file: the header and a part of the weights."""


COMPUTATION = ("type_k", "type_v", "rope_", "yarn_")
"""Prefixes of the engine settings on which logits depend: the KV cache's types, RoPE and YaRN."""


def identity(model: Model) -> str:
    """A string that identifies a model.

    For a local model: its name, digests of the GGUF file and the adapters it may load, and what
    else changes its samples: engine settings and variables of the chat template. For a model
    behind an endpoint: its name and what the server reports about its weights. For a reward
    model: its name and a digest of its file.
    """
    if isinstance(model, EndpointModel):
        return f"{model.name}:{json.dumps(model.weights)}"
    if isinstance(model, RewardModel):
        file = model.header.path
        return f"{Path(model.name).name}:{_content(file, file.stat().st_mtime_ns)}"
    if not isinstance(model, LocalModel):
        return model.name
    settings = model.engine.settings
    files = [model.engine.native.header.path, *settings.adapters.values()]
    if model.adapter:
        files.append(model.adapter)
    parts = [Path(model.name).name, *(_content(file, file.stat().st_mtime_ns) for file in files)]
    scale = [f"x{model.scale}"] if model.adapter else []
    variables = (
        [json.dumps(model.template, sort_keys=True, default=_named)] if model.template else []
    )
    return ":".join([*parts, *scale, *_changes(settings), *variables])


def _named(value: object) -> str:
    """A name for what JSON can't hold, such as a function: the same in every process."""
    return str(getattr(value, "__qualname__", type(value).__qualname__))


def _changes(settings: EngineSettings) -> Iterator[str]:
    """The engine settings that change what a model computes, apart from rounding."""
    for name, field in EngineSettings.model_fields.items():
        value = getattr(settings, name)
        if name.startswith(COMPUTATION) and value != field.default:
            yield f"{name}={value}"


@lru_cache
def _content(file: Path, changed: int) -> str:
    size = file.stat().st_size
    with file.open("rb") as content:
        head = content.read(ENDS)
        content.seek(max(size - ENDS, 0))
        return hashlib.blake2b(
            head + content.read() + str(size).encode(), digest_size=8
        ).hexdigest()
