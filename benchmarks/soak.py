"""Soak test: 2,000 requests of mixed length, with random cancellations and a tiny KV cache.

All must end, or be refused with a reason, and the memory at the end must be within five per cent of
that after the first hundred. Exits with 1 if either fails.

    python benchmarks/soak.py [--requests 2000] [--model PATH] [--shorter 4] [--slow-caller]

With ``--slow-caller``, the callers' event loop works for half a millisecond in each iteration.
"""

from __future__ import annotations

import argparse
import asyncio
import math
import random
import sys
import time
from collections import Counter
from pathlib import Path

from callers import busy

from thinkgraph.models.backends.local import LocalModel, open_model
from thinkgraph.models.catalogue import find
from thinkgraph.models.engine.settings import EngineSettings
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Budget, Message, ModelRequest, Sampling

AT_ONCE = 24
FIRST = 100
WORDS = [
    "the",
    "cat",
    "sat",
    "on",
    "a",
    "mat",
    "and",
    "thought",
    "of",
    "seven",
    "trains",
    "at noon",
]


def memory() -> int:
    """Resident memory of this process, in bytes."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * 4096


def messages(dice: random.Random, shorter: int) -> list[Message]:
    beginning = "You know everything about " + " ".join(WORDS[: dice.randrange(1, 4)])
    text = " ".join(dice.choices(WORDS, k=dice.choice([3, 10, 40, 120, 600]) // shorter))
    return [Message(role="system", content=beginning), Message(role="user", content=text)]


async def one(model: LocalModel, dice: random.Random, shorter: int) -> str:
    """Make one request of a random kind, and return how it ended."""
    asked, kind = messages(dice, shorter), dice.random()
    try:
        if kind < 0.1:
            await model.score(
                ModelRequest(asked), " ".join(dice.choices(WORDS, k=dice.randrange(1, 40)))
            )
            return "scored"
        if kind < 0.2:
            await model.choose(ModelRequest(asked), ["yes", "no", "perhaps not"])
            return "chosen"
        sampling = Sampling(
            max_tokens=max(1, dice.choice([1, 5, 20, 60]) // shorter),
            ignore_eos=dice.random() < 0.5,
            confidence=dice.random() < 0.2,
            stop=("train",) if dice.random() < 0.3 else (),
        )
        budget = Budget(tokens=dice.randrange(60)) if dice.random() < 0.1 else None
        seeds = range(dice.choice([1, 1, 2, 4, 8]))
        generation = model.generate(ModelRequest(asked, sampling, seeds, budget))
        fate = dice.random()
        if fate < 0.15:
            async for _ in generation:
                break  # the caller leaves after the first event
            return "left"
        if fate < 0.3:
            await asyncio.sleep(dice.random() / 2)
            generation.cancel(dice.choice([None, 0]))
        reasons = {c.finish_reason for c in await generation.completions()}
        return "+".join(sorted(reasons))
    except ModelError as error:
        return f"refused ({type(error).__name__})"


async def soak(
    model: LocalModel, count: int, shorter: int, slow: bool
) -> tuple[Counter[str], int, int]:
    """Run the requests; return how they ended, and the memory after `FIRST` and at the end."""
    other = asyncio.create_task(busy(math.inf)) if slow else None
    dice, ended = random.Random(1), Counter[str]()
    early = 0
    began = time.perf_counter()
    for start in range(0, count, FIRST):
        gate = asyncio.Semaphore(AT_ONCE)

        async def guarded(seed: int, gate: asyncio.Semaphore = gate) -> str:
            async with gate:
                return await one(model, random.Random(seed), shorter)

        seeds = [dice.getrandbits(32) for _ in range(min(FIRST, count - start))]
        ended.update(await asyncio.gather(*map(guarded, seeds)))
        early = early or memory()
        print(
            f"{sum(ended.values())} requests, {memory() >> 20} MiB, "
            f"{time.perf_counter() - began:.0f} s",
            file=sys.stderr,
        )
    if other:
        other.cancel()
    return ended, early, memory()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2", help="a short name, or a GGUF file")
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument(
        "--shorter", type=int, default=1, help="divides every length, for a slow model"
    )
    parser.add_argument("--slow-caller", action="store_true", help="keeps the event loop busy")
    arguments = parser.parse_args()
    shorter = arguments.shorter
    settings = EngineSettings(
        context=512 // shorter, kv_cells=768 // shorter, sequences=16, idle_cells=512 // shorter
    )
    model = open_model(find(arguments.model).path, settings=settings)
    ended, early, late = asyncio.run(
        soak(model, arguments.requests, shorter, arguments.slow_caller)
    )
    stats = model.engine.stats
    model.close()
    print(f"ended: {dict(ended.most_common())}")
    print(f"memory: {early / 2**20:.0f} MiB after {FIRST}, {late / 2**20:.0f} MiB at the end")
    print(stats)
    grown = late / early - 1
    leaked = stats.running + stats.waiting + stats.cells_used - stats.cells_idle
    if sum(ended.values()) != arguments.requests or abs(grown) > 0.05 or leaked:
        sys.exit(f"failed: memory changed by {grown:.1%}, {leaked} cells or sequences left over")


if __name__ == "__main__":
    main()
