"""Perplexity, speed and memory of the KV cache's types, each compared with f16.

    python benchmarks/kv_types.py [MODEL] [--tokens 2000] [--rounds 3]

The text is the documentation of this project. Perplexity is measured on one sequence; speed on the
prefill of a prompt with the given number of tokens, and on decoding 16 samples after it. The types
take turns, and ratios are medians of the rounds.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

from thinkgraph.models.catalogue import find
from thinkgraph.models.engine.engine import Engine
from thinkgraph.models.engine.sequence import Request
from thinkgraph.models.engine.settings import EngineSettings
from thinkgraph.models.model import Sampling
from thinkgraph.models.tuning.measure import perplexity

TYPES = [("f16", "f16"), ("q8_0", "f16"), ("q8_0", "q8_0"), ("q4_0", "q4_0")]
SAMPLES, DECODED = 16, 16
TEXT = "\n\n".join(
    file.read_text("utf-8")
    for file in sorted((Path(__file__).parents[1] / "docs").glob("*.md"))
    if file.name in ("decisions.md", "engine.md", "tutorial.md")
)


def times(engine: Engine, tokens: int) -> tuple[float, float]:
    """The seconds of a prompt's prefill, and of one decoding step of the samples after it."""
    engine.clear_cache()
    prompt = engine.vocabulary.tokenize(TEXT, bos=True)[:tokens]
    hot = Sampling(max_tokens=DECODED, ignore_eos=True, temperature=5, top_p=1, min_p=0)
    request = Request(prompt, hot, range(SAMPLES))
    began = time.perf_counter()
    engine.submit(request)
    request.done.result()
    took = time.perf_counter() - began
    first = request.usage.first_token_s
    return first, (took - first) / (DECODED - 1)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("model", nargs="?", default="smollm2")
    parser.add_argument("--tokens", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    path = find(arguments.model).path
    rows: dict[tuple[str, str], list[tuple[float, float]]] = {kinds: [] for kinds in TYPES}
    quality, cells = {}, {}
    for _ in range(arguments.rounds):
        for kinds in TYPES:
            settings = EngineSettings(
                type_k=kinds[0], type_v=kinds[1], context=arguments.tokens + 64, kv_cells=4096
            )
            engine = Engine(path, settings)
            try:
                quality.setdefault(kinds, perplexity(engine, TEXT))
                cells[kinds] = sum(engine.native.placement.cache) / engine.native.placement.cells
                rows[kinds].append(times(engine, arguments.tokens))
                print(*kinds, quality[kinds], *rows[kinds][-1], file=sys.stderr, flush=True)
            finally:
                engine.close()
    print("| type_k | type_v | bytes a token | perplexity | prefill | step of 16 samples |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    for kinds, found in rows.items():
        ratios = [
            statistics.median(
                new[at] / old[at] for new, old in zip(found, rows[TYPES[0]], strict=True)
            )
            for at in (0, 1)
        ]
        print(
            f"| {kinds[0]} | {kinds[1]} | {cells[kinds]:,.0f} | {quality[kinds]:.3f} "
            f"| {ratios[0]:.2f} × | {ratios[1]:.2f} × |"
        )


if __name__ == "__main__":
    main()
