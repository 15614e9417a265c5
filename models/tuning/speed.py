"""Speed measurement: tokens per second of a model on this machine, measured once and stored.

A step of decoding takes about as long as its fixed part and a part for each sequence in it, so
two measurements, of one sequence and of sixteen, give the time of any number.
"""

from __future__ import annotations

import os
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
    """What was measured."""

    prefill: float = Field(gt=0, description="prompt tokens a second")
    alone: float = Field(gt=0, description="seconds of a step with one sequence")
    many: float = Field(gt=0, description="seconds of a step with sixteen")
    sequences: int = Field(ge=1, description="sequences that may run in one step")
    measured: date

    def seconds(self, prompt: int, completion: int, sequences: int) -> float:
        """About how long it takes to read a prompt and write completions side by side.

        Args:
            prompt: tokens to read.
            completion: tokens of each completion.
            sequences: how many completions; more than fit in a step are written in turns.
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
    """Measure: one completion, then sixteen, of a prompt that the cache doesn't have."""
    measure(engine, 1)  # the first step of a model is slow
    alone, many = measure(engine, 1), measure(engine, MANY)
    return Speed(
        prefill=alone.prefilled / alone.prefill_s,
        alone=alone.step_s,
        many=many.step_s,
        sequences=engine.settings.sequences,
        measured=date.today(),
    )


def speed(engine: Engine, file: Path | None = None, *, again: bool = False) -> Speed:
    """The speed of a model on this machine: as measured before, or measured now and kept.

    Args:
        engine: the model's.
        file: where speeds are kept; None is ``speed.json`` in the user's cache folder. One that
            can't be read or written is ignored.
        again: measure it even if it is known.
    """
    store, key = JsonStore(file or user_cache_path("thinkgraph") / "speed.json"), _key(engine)
    kept = store.read()
    if key in kept and not again:
        try:
            return Speed.model_validate(kept[key])
        except ValidationError:
            pass  # an older form
    found = measured(engine)
    with suppress(OSError):
        store.put(key, found.model_dump(mode="json"))
    return found


def _key(engine: Engine) -> str:
    """What a speed is of: the file and how it is run, whatever the memory that is free."""
    others = {"context", "kv_cells", "adapters"}
    settings = engine.settings.model_dump_json(exclude=others, exclude_defaults=True)
    return f"{file_key(engine.native.header.path)}:{settings}:{os.cpu_count()}"
