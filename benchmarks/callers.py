"""Effect of a caller's busy event loop on the engine's throughput.

    python benchmarks/callers.py [--model smollm2] [--seconds 8] [--rounds 3] [--threads 1]

Eight requests are always in flight, from one event loop. In the slow rounds, that loop also works
for half a millisecond in every iteration, like an application with other work, and so occupies a
core. If the engine has as many threads as there are cores, it competes with the loop for a core;
with one thread less (``--threads``), any loss is due to waiting. Slow and quiet rounds take turns;
the table has the medians, and the median ratio of the pairs.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import time

from thinkgraph.models.catalogue import load
from thinkgraph.models.model import Message, ModelRequest, Sampling

IN_FLIGHT = 8
WORK_S = 0.0005  # work of the slow loop in each iteration
SAMPLING = Sampling(max_tokens=32, ignore_eos=True, temperature=1, top_k=0, top_p=1, min_p=0)


async def busy(until: float) -> None:
    """Work for `WORK_S` in every iteration of the event loop, until a point in time."""
    while time.perf_counter() < until:
        began = time.perf_counter()
        while time.perf_counter() - began < WORK_S:
            pass
        await asyncio.sleep(0)


async def load_for(model, seconds: float, *, slow: bool) -> dict[str, float]:
    """Keep `IN_FLIGHT` requests in flight for some seconds, and return the engine's rates."""
    before, until = model.engine.stats, time.perf_counter() + seconds

    async def asks(first: int) -> None:
        number = first
        while time.perf_counter() < until:
            text = f"Say something about the number {number * 7919 % 1000}."
            request = ModelRequest([Message(role="user", content=text)], SAMPLING, [number])
            await model.generate(request).completions()
            number += IN_FLIGHT

    asking = [asyncio.create_task(asks(number)) for number in range(IN_FLIGHT)]
    other = asyncio.create_task(busy(until)) if slow else None
    while time.perf_counter() < until:
        await asyncio.sleep(0 if slow else 0.002)
    after = await asyncio.to_thread(lambda: model.engine.stats)
    await asyncio.gather(*asking, *([other] if other else []))
    steps = max(after.steps - before.steps, 1)
    return {
        "tokens": (after.completion_tokens - before.completion_tokens) / seconds,
        "steps": steps / seconds,
        "wait_ms": 1000 * (after.callers_s - before.callers_s) / steps,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, help="of the engine; by default all cores")
    given = parser.parse_args()
    model = load(given.model, **({"threads": given.threads} if given.threads else {}))
    asyncio.run(load_for(model, 2, slow=False))  # warms up
    quiet, slow = [], []
    for _ in range(given.rounds):
        quiet.append(asyncio.run(load_for(model, given.seconds, slow=False)))
        slow.append(asyncio.run(load_for(model, given.seconds, slow=True)))
    print("| loop | tokens a second | steps a second | wait for callers, ms a step |")
    print("| --- | ---: | ---: | ---: |")
    for name, rounds in (("quiet", quiet), ("slow", slow)):
        cells = [
            statistics.median(r[key] for r in rounds) for key in ("tokens", "steps", "wait_ms")
        ]
        print(f"| {name} | {cells[0]:.0f} | {cells[1]:.1f} | {cells[2]:.2f} |")
    ratios = sorted(s["tokens"] / q["tokens"] for s, q in zip(slow, quiet, strict=True))
    print(f"\nslow ÷ quiet: {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
