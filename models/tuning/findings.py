"""The stored results of tuning for each model on this machine, used when it is opened."""

from __future__ import annotations

import glob
import hashlib
import os
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path, user_config_path
from pydantic import Field, ValidationError

from thinkgraph.models.engine.settings import EngineSettings
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Frozen
from thinkgraph.models.tuning.file_key import file_key
from thinkgraph.models.tuning.json_store import JsonStore

_TRIAL = ".trial.gguf"  # suffix of a copy that is only being tried


class Finding(Frozen):
    """The fastest way found to run one model on this machine."""

    use: Path
    """The file to open: the model's own, or a copy in another quantization."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Fields of :class:`EngineSettings` that differ from their defaults."""

    def copied(self, model: Path) -> Path | None:
        """The copy that is used instead of the model's own file, if there is one."""
        other = self.use.is_file() and self.use != model.expanduser().resolve()
        return self.use if other else None

    def beside(self, settings: EngineSettings) -> EngineSettings:
        """These settings combined with those set explicitly, which take precedence.

        Raises:
            ValidationError: the combination is invalid.
        """
        given = settings.model_dump(include=settings.model_fields_set)
        return EngineSettings.model_validate(self.settings | given)

    def is_nothing(self, model: Path) -> bool:
        """Whether nothing differs from the defaults."""
        return not self.settings and self.copied(model) is None

    def tell(self, model: Path) -> str:
        """The finding in words: ``threads 2, the copy FILE (144 MB)``."""
        parts = [f"{name} {value}" for name, value in self.settings.items()]
        if copy := self.copied(model):
            parts.append(f"the copy {copy} ({copy.stat().st_size / 1e6:.0f} MB)")
        return ", ".join(parts) or "nothing faster than the defaults"


def config_file() -> Path:
    """The file of findings: ``tuned.json`` in the user's configuration folder."""
    return user_config_path("thinkgraph") / "tuned.json"


def copies() -> Path:
    """The folder of quantized copies: ``thinkgraph`` in the user's cache folder."""
    return user_cache_path("thinkgraph")


def trial_copy(model: Path, quantization: str) -> Path:
    """The path of a copy to be tried; :func:`keep` renames it to its final name."""
    return copies() / f"{_copy_prefix(model)}{quantization}{_TRIAL}"


def unused_copies() -> list[Path]:
    """Copies that no finding uses, left by a running or a killed search."""
    used = {str(entry.get("use")) for entry in store().read().values() if isinstance(entry, dict)}
    return sorted(file for file in copies().glob("*.gguf*") if str(file) not in used)


def finding(model: Path) -> Finding | None:
    """The stored finding for a model's file.

    None if there is none, the file has changed since, or the copy to use is gone.
    """
    try:
        found = Finding.model_validate(store().read()[file_key(model)])
        EngineSettings.model_validate(found.settings)
    except (OSError, ValueError, KeyError, ValidationError):
        return None
    return found if found.use.is_file() else None


def in_use(model: Path, settings: EngineSettings) -> Finding | None:
    """The part of a model's finding that applies with these settings, which take precedence.

    None if the model was not tuned, or its finding is incompatible with the settings.
    """
    if (found := finding(model)) is None:
        return None
    chosen = {k: v for k, v in found.settings.items() if k not in settings.model_fields_set}
    held = found.model_copy(update={"settings": chosen})
    try:
        held.beside(settings)
    except ValidationError:
        return None
    return held


def tuned(path: Path, settings: EngineSettings) -> tuple[Path, EngineSettings]:
    """The file and settings to use for a model: tuned values for what is not set explicitly."""
    if (held := in_use(path, settings)) is None:
        return path, settings
    return held.copied(path) or path, held.beside(settings)


def keep(model: Path, found: Finding) -> Finding:
    """Store a finding in place of the previous one; a trial's copy gets its final name.

    Raises:
        ModelError: the finding can't be written.
    """
    model = model.expanduser().resolve()
    try:
        if found.use != model and found.use.name.endswith(_TRIAL):
            lasting = found.use.with_name(found.use.name.removesuffix(_TRIAL) + ".gguf")
            found = found.model_copy(update={"use": found.use.replace(lasting)})
        store().put(file_key(model), found.model_dump(mode="json"))
        _remove(model, but=found)
    except OSError as error:
        raise ModelError(f"what was found can't be written to {config_file()}: {error}") from error
    return found


def forget(model: Path) -> list[Finding]:
    """Undo all tuning of a model's file, even if the file is gone, and return what was removed.

    Every copy is removed, including those left by a killed search.

    Raises:
        ModelError: the tuning can't be undone.
    """
    try:
        return _remove(model.expanduser().resolve())
    except OSError as error:
        raise ModelError(f"the tuning of {model} can't be undone: {error}") from error


def _remove(model: Path, but: Finding | None = None) -> list[Finding]:
    """Remove all findings of a path except ``but``, and all copies except the one that it uses."""
    kept, removed = file_key(model) if but else None, []
    for key, entry in store().read().items():
        if key == kept or key.rpartition("#")[0] != str(model):
            continue
        try:
            removed.append(Finding.model_validate(entry))
        except ValidationError:
            removed.append(Finding(use=model))
        store().put(key, None)
    named = {found.use for found in removed}
    left = {*copies().glob(f"{glob.escape(_copy_prefix(model))}*")} - named
    removed += [Finding(use=file) for file in sorted(left)]
    for file in named | left:
        # Delete only files in our own folder, whatever path a finding names.
        ours = file != model and file.parent.resolve() == copies().resolve()
        if ours and not (but and file == but.use):
            file.unlink(missing_ok=True)
    return removed


def _copy_prefix(model: Path) -> str:
    """The common prefix of the names of a path's copies; the file itself may be gone."""
    digest = hashlib.sha256(os.fsencode(model.expanduser().resolve())).hexdigest()
    return f"{model.stem}.{digest[:8]}."


def store() -> JsonStore:
    """The store of findings."""
    return JsonStore(config_file())
