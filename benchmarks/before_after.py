"""Ratio of the engine's throughput in two checkouts of this repository.

    python benchmarks/before_after.py OLD NEW [--rounds 3] [--model smollm2]

OLD and NEW are folders, each with its own `.venv` in which thinkgraph is installed. The workers of
their `benchmarks/engine.py` run in separate processes and take turns (old, new, new, old), so that
other load on the machine affects both. The ratios are medians of the rounds.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from pathlib import Path
from statistics import harmonic_mean, median

from engine import CELLS, QUESTION, TOKENS, WIDTHS

from thinkgraph.models.catalogue import find


class Worker:
    """The engine of a checkout, in a separate process."""

    def __init__(self, checkout: Path, options: dict[str, object]) -> None:
        command = [checkout / ".venv/bin/python", checkout / "benchmarks/engine.py"]
        self._process = subprocess.Popen(
            [*map(str, command), "--worker", "engine", json.dumps(options)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=checkout,
        )
        if self._process.stdout.readline().strip() != "ready":
            raise SystemExit(f"the engine of {checkout} did not start")

    def rate(self, samples: int) -> float:
        """Tokens per second for a number of samples of one question."""
        self._process.stdin.write(json.dumps({"questions": [QUESTION], "samples": samples}) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())["rate"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    options = {
        "model": str(find(given.model).path),
        "threads": given.threads,
        "tokens": TOKENS,
        "gpu_layers": 0,
        "widths": WIDTHS,
        "cells": CELLS,
    }
    old, new = (Worker(folder.resolve(), options) for folder in (given.old, given.new))
    for worker in (old, new):  # warm up
        worker.rate(1)
        worker.rate(16)
    print("| samples | new ÷ old |\n| --- | ---: |")
    for samples in WIDTHS:
        ratios = []
        for _ in range(given.rounds):
            rates = [worker.rate(samples) for worker in (old, new, new, old)]
            ratios.append(harmonic_mean(rates[1:3]) / harmonic_mean([rates[0], rates[3]]))
        print(f"| {samples} | {median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f}) |")


if __name__ == "__main__":
    main()
