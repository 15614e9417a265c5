"""Tokens per second of one engine, and where the time of its steps goes.

    python benchmarks/phases.py MODEL QUESTIONS.jsonl --samples 8,32,96 [--gpu-layers -1]

Four samples of each question are drawn at temperature 0.4 without ending early. The phases are the
engine's own statistics: decoding in llama.cpp, sampling, and the whole step.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from pathlib import Path

from thinkgraph.evaluate.tasks.data import read_questions
from thinkgraph.models.backends.local import LocalModel, open_model
from thinkgraph.models.engine.settings import EngineSettings
from thinkgraph.models.model import Message, ModelRequest, Sampling

EACH = 4  # samples of a question


async def measure(model: LocalModel, questions: list[str], sampling: Sampling) -> str:
    """One row of the table: all samples of all questions at once."""
    before, began = model.engine.stats, time.perf_counter()
    running = [
        model.generate(ModelRequest([Message(role="user", content=each)], sampling, range(EACH)))
        for each in questions
    ]
    drawn = sum([each.tokens for one in running for each in await one.completions()])
    rate, after = drawn / (time.perf_counter() - began), model.engine.stats
    steps = after.steps - before.steps
    step, decoding, sampled = (
        1000 * (getattr(after, name) - getattr(before, name)) / steps
        for name in ("step_s", "native_s", "sampling_s")
    )
    count = EACH * len(questions)
    return f"| {count} | {rate:,.0f} | {step:.1f} | {decoding:.1f} | {sampled:.1f} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("model")
    parser.add_argument("questions", type=Path)
    parser.add_argument("--samples", default="8,32,96", help="numbers of samples, multiples of 4")
    parser.add_argument("--tokens", type=int, default=120, help="of each sample")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--gpu-layers", type=int, default=0)
    parser.add_argument("--confidence", action="store_true")
    given = parser.parse_args()
    counts = [int(each) for each in given.samples.split(",")]
    settings = EngineSettings(
        threads=given.threads,
        sequences=max(counts),
        kv_cells=512 * max(counts),
        context=4096,
        gpu_layers=given.gpu_layers,
    )
    task = read_questions(given.questions, limit=max(counts) // EACH, answers=False)
    texts = [each.text for each in task.questions]
    sampling = Sampling(
        temperature=0.4, max_tokens=given.tokens, ignore_eos=True, confidence=given.confidence
    )
    model = open_model(given.model, settings=settings)
    print("| samples | tokens per second | ms a step | decoding | sampling |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    asyncio.run(measure(model, texts[:1], sampling))  # warms up
    for count in counts:
        print(asyncio.run(measure(model, texts[: count // EACH], sampling)))
    model.close()


if __name__ == "__main__":
    main()
