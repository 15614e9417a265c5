"""Tuning: searches for the fastest settings of a model on this machine, and stores them.

Threads, flash attention, the number of sequences at once and, because some quantizations have
faster kernels than others, the quantization: each is tried by sampling for a few seconds. One
engine is open at a time, so that a model that just fits in memory can be tuned too.
"""

from __future__ import annotations

import math
import os
import shutil
import statistics
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from thinkgraph.models.engine.engine import Engine
from thinkgraph.models.engine.llama.library import llama
from thinkgraph.models.engine.llama.quantize import quantize
from thinkgraph.models.engine.machine import available_threads
from thinkgraph.models.engine.settings import EngineSettings
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Frozen
from thinkgraph.models.tuning.findings import Finding, config_file, keep, store, trial_copy
from thinkgraph.models.tuning.measure import measure, perplexity

CONTEXT = 512
ROUNDS = 3
WIDTHS = (8, 16, 32, 64)
WORTH_IT = 1.03  # a gain that is more than noise
ALMOST = 0.97  # a loss that is no more than noise
LOSSLESS = 0.005  # relative change of perplexity that counts as none
BUSY = 0.5  # load per core before the first trial above which the machine counts as busy
UNSTEADY = 1.25  # ratio of the fastest to the slowest of equal rounds on a quiet machine
QUANTIZATIONS = {"Q8_0": (llama.LLAMA_FTYPE_MOSTLY_Q8_0, 8.5)}
"""llama.cpp's file type and the bits per weight, by name."""
LOSSY = {
    "Q4_K_M": (llama.LLAMA_FTYPE_MOSTLY_Q4_K_M, 4.9),
    "Q4_0": (llama.LLAMA_FTYPE_MOSTLY_Q4_0, 4.6),
}


class Trial(Frozen):
    """One setting that was tried, or is about to be."""

    name: str
    tokens_per_s: float | None = None
    """None for a mere notice of what will be done, or why something was not tried."""
    ratio: float | None = None
    """Speed relative to the best so far, measured alternately."""
    perplexity: float | None = None
    """Perplexity of a short text, if it was measured."""


class Tuning(Finding):
    """The finding for a model on this machine, with the trials that led to it."""

    model: Path
    before: float
    """Tokens per second with the defaults, with 16 samples at once."""
    after: float
    trials: tuple[Trial, ...]
    busy: bool
    """Whether other programs used the cores too; then nothing was stored."""

    @property
    def gain(self) -> float:
        """Speed-up factor over the defaults."""
        return self.after / self.before


def tune(
    path: Path, *, lossy: bool = False, tell: Callable[[Trial], None] = lambda _: None
) -> Tuning:
    """Try settings on a GGUF, store the best in :func:`.findings.config_file`, and return them.

    A copy in another quantization is made for the trial and removed unless it is used.
    If other programs keep the machine busy, nothing is stored.

    Args:
        path: the model's file.
        lossy: whether quantizations that change the model may be chosen too; by default only
            those that leave the perplexity of a short text within half a per cent.
        tell: called with every trial as it ends, and with a copy's size before it is made.

    Raises:
        ModelError: the file can't be opened, or the findings can't be written.
    """
    path = path.expanduser().resolve()
    try:
        store().check()  # fails now rather than after minutes of trying
    except OSError as error:
        raise ModelError(f"what is found can't be written to {config_file()}: {error}") from error
    busy = _busy()  # before the trials add load of their own
    search = _Search(path, tell)
    try:
        search.run(lossy=lossy)
        found = Tuning(
            model=path,
            use=search.use,
            settings=search.settings,
            before=search.before,
            after=search.before * search.gain,
            trials=tuple(search.trials),
            busy=busy or search.unsteady,
        )
        if not found.busy:
            kept = keep(path, Finding(use=found.use, settings=found.settings))
            found = found.model_copy(update={"use": kept.use})
    finally:
        search.clean_up()
    return found


class _Search:
    """The best so far; every trial is measured alternately with it, for a fair ratio."""

    def __init__(self, path: Path, tell: Callable[[Trial], None]) -> None:
        self.path = self.use = path
        self.tell = tell
        self.settings: dict[str, Any] = {}
        self.before = self.perplexity = 0.0
        self.gain = 1.0
        self.weights = 0
        self.trials: list[Trial] = []
        self.spreads: list[float] = []
        self.made: list[Path] = []

    @property
    def unsteady(self) -> bool:
        """Whether the speed of equal settings varied too much between rounds."""
        return bool(self.spreads) and statistics.median(self.spreads) > UNSTEADY

    def run(self, *, lossy: bool) -> None:
        """Run all trials."""
        with _opened(self.path, {}) as engine:
            self.weights = llama.llama_model_n_params(engine.native.model)
            self.perplexity = perplexity(engine)
            self.before = _rate(engine, 16)
        self._note(Trial(name="as it is", tokens_per_s=self.before, perplexity=self.perplexity))
        cores = available_threads()
        for count in sorted({1, max(1, cores // 2), os.cpu_count() or 1} - {cores}):
            self._try_settings({"threads": count})
        for mode in ("on", "off"):
            self._try_settings({"flash_attention": mode})
        for name in QUANTIZATIONS | (LOSSY if lossy else {}):
            self._try_quantization(name, lossy=lossy)
        self._try_widths()

    def clean_up(self) -> None:
        """Remove the copies that were made and are not kept."""
        for file in self.made:
            file.unlink(missing_ok=True)

    def _try_settings(self, change: dict[str, Any]) -> None:
        """Keep a change of settings if it is worth it."""
        (field, value) = next(iter(change.items()))
        if self._faster(f"{field} {value}", self.use, self.settings | change):
            self.settings |= change

    def _try_quantization(self, name: str, *, lossy: bool) -> None:
        """Use a copy if it is faster, and it keeps the model's perplexity or ``lossy`` is set."""
        kind, bits = (QUANTIZATIONS | LOSSY)[name]
        size = int(self.weights * bits / 8)
        file = trial_copy(self.path, name)
        self._tell(f"{name}: makes a copy of about {size / 1e6:.0f} MB in {file.parent}")
        if size * 1.1 > _disk_left(file.parent):
            return self._tell(f"{name}: not tried, since the disk has no room for the copy")
        self.made.append(file)
        try:
            quantize(self.path, file, kind)
            with _opened(file, self.settings) as engine:
                found = perplexity(engine)
        except ModelError as error:
            return self._tell(f"{name}: not used; {error}")
        if not self._stays_the_model(found, lossy=lossy):
            return self._note(
                Trial(name=f"{name}: not used, it changes the model", perplexity=found)
            )
        if self._faster(name, file, self.settings, found):
            self.use = file
        return None

    def _stays_the_model(self, found: float, *, lossy: bool) -> bool:
        """Whether a copy keeps the model's perplexity; if ``lossy``, whether it is finite."""
        if lossy:
            return math.isfinite(found)
        return abs(found / self.perplexity - 1) <= LOSSLESS

    def _try_widths(self) -> None:
        """Keep the smallest number of sequences at once that is about as fast as the best."""
        with _opened(self.use, self.settings) as engine:
            rates = {n: _rate(engine, n) for n in WIDTHS}
        for n, rate in rates.items():
            self._note(Trial(name=f"{n} sequences at once", tokens_per_s=rate))
        width = next(n for n in WIDTHS if rates[n] >= ALMOST * max(rates.values()))
        if width < max(WIDTHS):
            self.settings["sequences"] = width

    def _faster(
        self, name: str, file: Path, settings: dict[str, Any], found: float | None = None
    ) -> bool:
        """Measure a candidate alternately with the best so far; True if it is faster."""
        new, old = [], []
        for _ in range(ROUNDS):
            with _opened(file, settings) as engine:
                new.append(_rate(engine, 16))
            with _opened(self.use, self.settings) as engine:
                old.append(_rate(engine, 16))
        ratio = statistics.median(a / b for a, b in zip(new, old, strict=True))
        self.spreads.append(max(old) / min(old))
        rate = statistics.median(new)
        self._note(Trial(name=name, tokens_per_s=rate, ratio=ratio, perplexity=found))
        if ratio > WORTH_IT:
            self.gain *= ratio
        return ratio > WORTH_IT

    def _tell(self, text: str) -> None:
        self._note(Trial(name=text))

    def _note(self, trial: Trial) -> None:
        self.trials.append(trial)
        self.tell(trial)


@contextmanager
def _opened(path: Path, settings: dict[str, Any]) -> Iterator[Engine]:
    engine = Engine(path, EngineSettings.model_validate({"context": CONTEXT, **settings}))
    try:
        yield engine
    finally:
        engine.close()


def _rate(engine: Engine, width: int) -> float:
    """Tokens per second of ``width`` samples, after a warm-up."""
    measure(engine, 1)
    return measure(engine, width).tokens_per_s


def _busy() -> bool:
    """Whether other programs use the cores, by the load of the machine, whatever the quota."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 0.0
    return load > BUSY * (os.cpu_count() or 1)


def _disk_left(folder: Path) -> int:
    """Free bytes on the disk where a folder is or would be created."""
    there = next(place for place in (folder, *folder.parents) if place.is_dir())
    return shutil.disk_usage(there).free
