"""Speed measurement: tokens per second of a model on this machine, measured once and stored.

A decoding step takes a fixed time plus a time for each sequence in it, so two measurements, with
one sequence and with sixteen, give an estimate for any number.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import suppress
from datetime import date
from pathlib import Path

from platformdirs import user_cache_path
from pydantic import Field, ValidationError

from thinkgraph.models.engine.engine import Engine
from thinkgraph.models.model import Frozen
from thinkgraph.models.tuning.file_key import file_key
from thinkgraph.models.tuning.json_store import JsonStore
from thinkgraph.models.tuning.measure import measure

MANY = 16


class Speed(Frozen):
    """The measured speed of a model."""

    prefill: float = Field(gt=0, description="prompt tokens prefilled per second")
    alone: float = Field(gt=0, description="seconds per decoding step with one sequence")
    many: float = Field(gt=0, description="seconds per decoding step with sixteen sequences")
    sequences: int = Field(ge=1, description="maximum number of sequences in one step")
    measured: date

    def seconds(self, prompt: int, completion: int, sequences: int) -> float:
        """Estimate the seconds to prefill a prompt and to decode completions in parallel.

        Args:
            prompt: tokens to prefill.
            completion: tokens of each completion.
            sequences: number of completions; those that don't fit in a step are decoded in turns.
        """
        turns, rest = divmod(sequences, self.sequences)
        steps = turns * self._step(self.sequences) + self._step(rest)
        return prompt / self.prefill + completion * steps

    def _step(self, sequences: int) -> float:
        each = max(0.0, (self.many - self.alone) / (MANY - 1))
        return self.alone + each * (sequences - 1) if sequences else 0.0

    @property
    def rates(self) -> tuple[float, float]:
        """Tokens a second: of one sequence, and of sixteen together."""
        return 1 / self.alone, MANY / self.many


def measured(engine: Engine) -> Speed:
    """Measure one completion, then sixteen, of a prompt that is not cached."""
    measure(engine, 1)  # the first step of a model is slow
    alone, many = measure(engine, 1), measure(engine, MANY)
    return Speed(
        prefill=alone.prefilled / alone.prefill_s,
        alone=alone.step_s,
        many=many.step_s,
        sequences=engine.settings.sequences,
        measured=date.today(),
    )


def speed(
    engine: Engine,
    file: Path | None = None,
    *,
    again: bool = False,
    tell: Callable[[], None] = lambda: None,
) -> Speed:
    """The speed of a model on this machine: as stored before, or measured now and stored.

    Args:
        engine: the model's engine.
        file: the file of stored speeds; None is ``speed.json`` in the user's cache folder. A file
            that can't be read or written is ignored.
        again: measure even if a speed is stored.
        tell: called before a measurement, which takes seconds.
    """
    store, key = JsonStore(file or user_cache_path("thinkgraph") / "speed.json"), _key(engine)
    kept = store.read()
    if key in kept and not again:
        try:
            return Speed.model_validate(kept[key])
        except ValidationError:
            pass  # written by an older version
    tell()
    found = measured(engine)
    with suppress(OSError):
        store.put(key, found.model_dump(mode="json"))
    return found


def _key(engine: Engine) -> str:
    """The key of a speed: the file and its settings, except adapters and memory-dependent sizes."""
    others = {"context", "kv_cells", "adapters"}
    settings = engine.settings.model_dump_json(exclude=others, exclude_defaults=True)
    return f"{file_key(engine.native.header.path)}:{settings}:{os.cpu_count()}"
