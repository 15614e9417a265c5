"""Speed measurement: tokens per second of a model on this machine, measured once and stored.

A step of decoding takes about as long as its fixed part and a part for each sequence in it, so
two measurements, of one sequence and of sixteen, give the time of any number.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field, ValidationError

from thinkgraph.models.model import Frozen, Message, ModelRequest
from thinkgraph.models.tuning.tune import SAMPLING

if TYPE_CHECKING:
    from thinkgraph.models.backends.local import LocalModel

MANY = 16
_TEXT = "Count slowly: " + ", ".join(str(number) for number in range(100, 140))


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


async def measure(model: LocalModel) -> Speed:
    """Measure: one completion, then sixteen, of a prompt that the cache doesn't have."""
    await _sampled(model, "Say yes.", 1)  # the first step of a model is slow
    alone = await _sampled(model, _TEXT, 1)
    many = await _sampled(model, f"Again. {_TEXT}", MANY)
    return Speed(
        prefill=alone["prefilled"] / alone["first"],
        alone=alone["decode"] / (SAMPLING.max_tokens - 1),
        many=many["decode"] / (SAMPLING.max_tokens - 1),
        sequences=model.engine.settings.sequences,
        measured=date.today(),
    )


async def _sampled(model: LocalModel, text: str, samples: int) -> dict[str, float]:
    generation = model.generate(
        ModelRequest([Message(role="user", content=text)], SAMPLING, range(samples))
    )
    await generation.completions()
    usage = generation.usage
    return {
        "prefilled": max(usage.prefilled_tokens, 1),
        "first": max(usage.first_token_s, 1e-6),
        "decode": max(usage.decode_s, 1e-6),
    }


async def speed(model: LocalModel, file: Path | None = None, *, again: bool = False) -> Speed:
    """The speed of a model on this machine: as measured before, or measured now and kept.

    Args:
        model: the model.
        file: where speeds are kept; None is ``speed.json`` in the user's cache folder. One that
            can't be read or written is ignored.
        again: measure it even if it is known.
    """
    file = file or _file()
    key, kept = _key(model), _read(file)
    if key in kept and not again:
        try:
            return Speed.model_validate(kept[key])
        except ValidationError:
            pass  # an older form
    found = await measure(model)
    _write(file, {**kept, key: found.model_dump(mode="json")})
    return found


def _file() -> Path:
    from platformdirs import user_cache_path  # noqa: PLC0415 (only for a plan)

    return user_cache_path("thinkgraph") / "speed.json"


def _key(model: LocalModel) -> str:
    """What a speed is of: the file and what the engine makes of it."""
    path = model.engine.native.header.path
    stat, settings = path.stat(), model.engine.settings
    rest = (stat.st_size, stat.st_mtime_ns, settings.threads, settings.gpu_layers)
    return ":".join(map(str, (path.resolve(), *rest, settings.flash_attention, os.cpu_count())))


def _read(file: Path) -> Mapping[str, Any]:
    try:
        kept = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return kept if isinstance(kept, dict) else {}


def _write(file: Path, speeds: Mapping[str, Any]) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        new = file.with_suffix(f".{os.getpid()}")
        new.write_text(json.dumps(speeds, indent=1), encoding="utf-8")
        new.replace(file)
    except OSError:
        pass
