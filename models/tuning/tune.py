"""Finds what runs a model fastest on this machine, and keeps it where the next run looks.

Threads, flash attention, the number of sequences at once and, because some quantizations have
faster kernels than others, the quantization: each is tried by sampling for a few seconds.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import math
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path, user_config_path
from pydantic import ValidationError

from thinkgraph.models.engine.engine import Engine
from thinkgraph.models.engine.llama.library import llama, start
from thinkgraph.models.engine.machine import available_threads
from thinkgraph.models.engine.sequence import Request
from thinkgraph.models.engine.settings import EngineSettings
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Frozen, Sampling

CONTEXT = 512
ROUNDS = 3
WIDTHS = (8, 16, 32, 64)
WORTH_IT = 1.03  # a gain that is more than noise
ALMOST = 0.97  # a loss that is no more than noise
LOSSLESS = 0.02  # relative change of perplexity that counts as none: a kernel's rounding makes 0.01
BUSY = 0.5  # load of each core before anything was tried
QUANTIZATIONS = {"Q8_0": llama.LLAMA_FTYPE_MOSTLY_Q8_0}
LOSSY = {
    "Q4_K_M": llama.LLAMA_FTYPE_MOSTLY_Q4_K_M,
    "Q4_0": llama.LLAMA_FTYPE_MOSTLY_Q4_0,
}
TEXT = (
    "The river was low that summer, and the stones of the old ford lay dry. Anna counted the "
    "barges as they passed: three before noon, five after it, and one, late in the evening, "
    "without a light. Her brother kept the lock. He wrote each name in a book, with the hour "
    "and the load, and if the water fell by more than a hand he closed the gate and waited. "
    "In the second week a man came from the ministry with a measuring rod and a folded map. He "
    "asked how deep the channel had been in the spring, who had dredged it, and what was paid. "
    "Anna told him what she knew. The rest was in the book, she said, and the book was at the "
    "lock, where he could read it himself if he did not mind the dog. He thanked her, drank a "
    "glass of water, and walked along the towpath with the rod over his shoulder. By evening "
    "the whole village had heard that a new canal would be dug, that none would, and that the "
    "railway had bought both banks as far as the mill. It rained on the ninth of September, "
    "first a little, then for three days without a pause. On the fourth morning the ford was "
    "gone, eleven barges lay below the lock, and nobody spoke of the canal until next summer."
)
SAMPLING = Sampling(max_tokens=24, ignore_eos=True, temperature=5, top_p=1, min_p=0)
"""Hot, so that samples differ at once: while they agree, the engine computes one for all."""


class Trial(Frozen):
    """One setting that was tried."""

    name: str
    tokens_per_s: float
    ratio: float | None = None
    """To the best before it, the two taking turns."""
    perplexity: float | None = None
    """Of :data:`TEXT`, where the weights were changed."""


class Tuning(Frozen):
    """What was found for a model on this machine."""

    model: Path
    use: Path
    """The file to open: the model's own, or a copy quantized otherwise."""
    settings: dict[str, Any]
    """Fields of :class:`EngineSettings` that differ from their defaults."""
    before: float
    """Tokens a second with the defaults, 16 samples at once."""
    after: float
    trials: tuple[Trial, ...]
    busy: bool
    """Whether other programs wanted the cores too, and had a say in what was fastest."""

    @property
    def gain(self) -> float:
        """How many times as fast it has become."""
        return self.after / self.before


def tune(
    path: Path, *, lossy: bool = False, tell: Callable[[Trial], None] = lambda _: None
) -> Tuning:
    """Try settings on a GGUF, keep the best in :func:`config_file`, and return them.

    Args:
        path: the model's file.
        lossy: whether quantizations that change the model may be chosen too; by default only
            those that leave the perplexity of a short text within two per cent, which is about
            what another kernel's rounding does to it.
        tell: called with every trial as it ends.

    Raises:
        ModelError: the file can't be opened, or the findings can't be written.
    """
    path = path.expanduser().resolve()
    _findings()  # fails now rather than after minutes of trying
    busy = _busy()  # before this has a load of its own
    with _Search(path, tell) as search:
        before = search.speed()
        cores = available_threads()
        counts = sorted({1, max(1, cores // 2), os.cpu_count() or 1} - {cores})
        for change in [{"threads": n} for n in counts]:
            search.try_settings(change)
        for mode in ("on", "off"):
            search.try_settings({"flash_attention": mode})
        search.try_quantizations(QUANTIZATIONS | LOSSY if lossy else QUANTIZATIONS, lossy=lossy)
        search.try_widths()
        found = Tuning(
            model=path,
            use=search.use,
            settings=search.settings,
            before=before,
            after=before * search.gain,
            trials=tuple(search.trials),
            busy=busy,
        )
    _write(found)
    return found


def tuned(path: Path, settings: EngineSettings) -> tuple[Path, EngineSettings]:
    """The file and settings to use for a model: what was tuned, unless it is set otherwise."""
    try:
        entry = json.loads(config_file().read_text())[_key(path)]
        chosen = {k: v for k, v in entry["settings"].items() if k not in settings.model_fields_set}
        given = settings.model_dump(include=settings.model_fields_set)
        use = Path(entry["use"])
        return (use if use.is_file() else path), EngineSettings.model_validate(given | chosen)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError):
        return path, settings  # nothing was tuned, or the file has changed since


def config_file() -> Path:
    """Where findings are kept: ``tuned.json`` in the user's configuration folder."""
    return user_config_path("thinkgraph") / "tuned.json"


def cache_folder() -> Path:
    """Where quantized copies are kept: ``thinkgraph`` in the user's cache folder."""
    return user_cache_path("thinkgraph")


class _Search:
    """The best so far, its engine open: every trial takes turns with it, for a fair ratio."""

    def __init__(self, path: Path, tell: Callable[[Trial], None]) -> None:
        self.path = self.use = path
        self.tell = tell
        self.settings: dict[str, Any] = {}
        self.gain = 1.0
        self.trials: list[Trial] = []
        self.engine = _open(path, {})

    def __enter__(self) -> _Search:
        return self

    def __exit__(self, *_: object) -> None:
        self.engine.close()

    def speed(self) -> float:
        """Tokens a second before anything was changed."""
        _speed(self.engine, 16)  # warms up
        rate = _speed(self.engine, 16)
        self._note(Trial(name="as it is", tokens_per_s=rate, perplexity=_perplexity(self.engine)))
        return rate

    def try_settings(self, change: dict[str, Any]) -> None:
        """Keep a change of settings if it is worth it."""
        (field, value) = next(iter(change.items()))
        engine = _open(self.use, self.settings | change)
        if self._faster(f"{field} {value}", engine):
            self.settings |= change

    def try_quantizations(self, kinds: dict[str, int], *, lossy: bool) -> None:
        """Keep the fastest copy whose perplexity is the model's, or of any if ``lossy``."""
        plain = _perplexity(self.engine)
        for name, kind in kinds.items():
            file = _quantize(self.path, name, kind)
            engine = _open(file, self.settings)
            perplexity = _perplexity(engine)
            allowed = lossy or perplexity <= plain * (1 + LOSSLESS)
            if self._faster(name, engine, perplexity, allowed=allowed):
                self.use = file

    def try_widths(self) -> None:
        """Keep the least number of sequences at once that is about as fast as any."""
        rates = {n: _speed(self.engine, n) for n in WIDTHS}
        for n, rate in rates.items():
            self._note(Trial(name=f"{n} sequences at once", tokens_per_s=rate))
        width = next(n for n in WIDTHS if rates[n] >= ALMOST * max(rates.values()))
        if width < max(WIDTHS):
            self.settings["sequences"] = width

    def _faster(
        self, name: str, engine: Engine, perplexity: float | None = None, *, allowed: bool = True
    ) -> bool:
        """Compare an engine with the best so far; the better stays open."""
        pairs = [(_speed(engine, 16), _speed(self.engine, 16)) for _ in range(ROUNDS + 1)][1:]
        ratio = statistics.median(new / old for new, old in pairs)
        rate = statistics.median(new for new, _ in pairs)
        self._note(Trial(name=name, tokens_per_s=rate, ratio=ratio, perplexity=perplexity))
        better = allowed and ratio > WORTH_IT
        loser = self.engine if better else engine
        loser.close()
        if better:
            self.engine, self.gain = engine, self.gain * ratio
        return better

    def _note(self, trial: Trial) -> None:
        self.trials.append(trial)
        self.tell(trial)


def _open(path: Path, settings: dict[str, Any]) -> Engine:
    return Engine(path, EngineSettings.model_validate({"context": CONTEXT, **settings}))


def _speed(engine: Engine, width: int) -> float:
    """Tokens a second of ``width`` samples, their prompt included."""
    prompt = engine.vocabulary.tokenize(TEXT, bos=True)[:64]
    request = Request(prompt, SAMPLING, range(width))
    began = time.perf_counter()
    engine.submit(request)
    request.done.result()
    return width * SAMPLING.max_tokens / (time.perf_counter() - began)


def _busy() -> bool:
    """Whether other programs want the cores."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return load > BUSY * available_threads()


def _perplexity(engine: Engine) -> float:
    """Of :data:`TEXT`, or its beginning where it has too many tokens."""
    tokens = engine.vocabulary.tokenize(TEXT, bos=True)[:CONTEXT]
    request = Request(tokens[:1], Sampling(), targets=[tokens[1:]])
    engine.submit(request)
    request.done.result()
    return math.exp(-statistics.fmean(request.sequences[0].scores))


def _quantize(path: Path, name: str, kind: int) -> Path:
    """A copy of the model in another quantization, made once."""
    start()
    folder = cache_folder()
    file = folder / f"{path.stem}.{_key(path)[-8:]}.{name}.gguf"
    if file.is_file():
        return file
    params = llama.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize, params.nthread = kind, True, available_threads()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        part = file.with_suffix(".part")
        source, target = os.fsencode(path), os.fsencode(part)
        if llama.llama_model_quantize(source, target, ctypes.byref(params)):
            part.unlink(missing_ok=True)
            raise ModelError(f"llama.cpp can't quantize {path} to {name}")
        part.replace(file)
    except OSError as error:
        raise ModelError(f"the copy {file} can't be written: {error.strerror}") from error
    return file


def _key(path: Path) -> str:
    """A model's file by its place, size and time, so that another file is tuned anew."""
    path = path.expanduser().resolve()
    stat = path.stat()
    digest = hashlib.sha256(f"{path}\0{stat.st_size}\0{stat.st_mtime_ns}".encode()).hexdigest()
    return f"{path}#{digest[:16]}"


def _findings() -> dict[str, Any]:
    """What was found before; its folder is made."""
    file = config_file()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        entries = json.loads(file.read_text()) if file.is_file() else {}
        return entries if isinstance(entries, dict) else {}
    except OSError as error:
        raise ModelError(f"what is found can't be written to {file}: {error.strerror}") from error
    except ValueError:
        return {}  # broken: written anew


def _write(found: Tuning) -> None:
    file, entries = config_file(), _findings()
    entries[_key(found.model)] = {"use": str(found.use), "settings": found.settings}
    try:
        with tempfile.NamedTemporaryFile("w", dir=file.parent, delete=False) as part:
            json.dump(entries, part, indent=2)
        Path(part.name).replace(file)
    except OSError as error:
        raise ModelError(f"what was found can't be written to {file}: {error}") from error
