"""What tuning found for each model on this machine, where the next opening looks for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from platformdirs import user_cache_path, user_config_path
from pydantic import Field, ValidationError

from thinkgraph.models.engine.settings import EngineSettings
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Frozen
from thinkgraph.models.tuning.file_key import file_key
from thinkgraph.models.tuning.json_store import JsonStore


class Finding(Frozen):
    """What runs one model fastest on this machine."""

    use: Path
    """The file to open: the model's own, or a copy quantized otherwise."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Fields of :class:`EngineSettings` that differ from their defaults."""

    def copied(self, model: Path) -> Path | None:
        """The copy that is used instead of the model's own file, if there is one."""
        other = self.use.is_file() and self.use != model.expanduser().resolve()
        return self.use if other else None

    def tell(self, model: Path) -> str:
        """It in words: ``threads 2, its copy FILE (144 MB)``."""
        parts = [f"{name} {value}" for name, value in self.settings.items()]
        if copy := self.copied(model):
            parts.append(f"the copy {copy} ({copy.stat().st_size / 1e6:.0f} MB)")
        return ", ".join(parts) or "nothing faster than the defaults"


def config_file() -> Path:
    """Where findings are kept: ``tuned.json`` in the user's configuration folder."""
    return user_config_path("thinkgraph") / "tuned.json"


def copies() -> Path:
    """The folder of quantized copies: ``thinkgraph`` in the user's cache folder."""
    return user_cache_path("thinkgraph")


def finding(model: Path) -> Finding | None:
    """What was found for a model's file; None if nothing was, or the file has changed since."""
    try:
        entry = store().read()[file_key(model)]
        found = Finding.model_validate(entry)
        EngineSettings.model_validate(found.settings)
    except (OSError, ValueError, KeyError, ValidationError):
        return None
    return found


def tuned(path: Path, settings: EngineSettings) -> tuple[Path, EngineSettings]:
    """The file and settings to use for a model: what was tuned, unless it is set otherwise."""
    if (found := finding(path)) is None:
        return path, settings
    chosen = {k: v for k, v in found.settings.items() if k not in settings.model_fields_set}
    given = settings.model_dump(include=settings.model_fields_set)
    try:
        return found.copied(path) or path, EngineSettings.model_validate(given | chosen)
    except ValidationError:  # what was found doesn't go with what is set
        return path, settings


def keep(model: Path, found: Finding) -> None:
    """Keep what was found, in place of what was before.

    Raises:
        ModelError: it can't be written.
    """
    try:
        _remove_earlier(model, but=found.use)
        store().put(file_key(model), found.model_dump(mode="json"))
    except OSError as error:
        raise ModelError(f"what was found can't be written to {config_file()}: {error}") from error


def forget(model: Path) -> list[Finding]:
    """Undo a model's tuning, copies included; gives what there was, of its file at any time.

    Raises:
        ModelError: it can't be undone.
    """
    try:
        return _remove_earlier(model)
    except OSError as error:
        raise ModelError(f"the tuning of {model} can't be undone: {error}") from error


def _remove_earlier(model: Path, but: Path | None = None) -> list[Finding]:
    """Take away all findings of a path, with their copies but the one that is still used."""
    place, removed = f"{model.expanduser().resolve()}#", []
    for key, entry in store().read().items():
        if not key.startswith(place):
            continue
        try:
            removed.append(Finding.model_validate(entry))
        except ValidationError:
            removed.append(Finding(use=model))
        copy = removed[-1].copied(model)
        # Only what is ours, whatever the file of findings names.
        if copy and copy != but and copy.resolve().parent == copies().resolve():
            copy.unlink()
        store().put(key, None)
    return removed


def store() -> JsonStore:
    """The file of findings."""
    return JsonStore(config_file())
