"""How many rows of logits do samples of one prompt share?

    python benchmarks/agreement.py ../shared/data/gsm8k_test.jsonl --output benchmarks/agreement.md

Draws sixteen samples of each question, up to the end-of-sequence token, with prompts as strategies
use them: reasoning, a short answer, JSON. The seeds are the same each time. A sample needs a row of
logits for each of its tokens; the first row, the prompt's, is shared by all samples anyway.
Samples that have drawn the same tokens share further rows. The table has the number of rows that
were computed.
"""

import argparse
import asyncio
import json
import random
import sys
from pathlib import Path

from thinkgraph.models.backends.local import LocalModel, open_model
from thinkgraph.models.catalogue import find
from thinkgraph.models.model import Message, ModelRequest, Sampling

SAMPLES = 16
STEPS = "\nThink step by step, then give the answer."
SHORT = "\nGive only the number."
SCHEMA = {
    "type": "object",
    "properties": {
        "working": {"type": "string", "maxLength": 100},
        "answer": {"type": "integer"},
    },
    "required": ["working", "answer"],
}
WAYS = [
    ("reasoning, temperature 1", STEPS, {"temperature": 1, "max_tokens": 120}),
    ("reasoning, temperature 0.7", STEPS, {"temperature": 0.7, "max_tokens": 120}),
    ("reasoning, temperature 0.3", STEPS, {"temperature": 0.3, "max_tokens": 120}),
    ("short answer, temperature 0.7", SHORT, {"temperature": 0.7, "max_tokens": 16}),
    ("JSON, temperature 0.7", "", {"temperature": 0.7, "max_tokens": 60, "json_schema": SCHEMA}),
]


async def draw(model: LocalModel, asked: list[str], sampling: Sampling) -> tuple[int, int]:
    """The numbers of sampled tokens and of computed rows of logits, for all questions."""
    before = model.engine.stats
    for question in asked:
        messages = [Message(role="user", content=question)]
        await model.generate(ModelRequest(messages, sampling, range(SAMPLES))).completions()
    after = model.engine.stats
    return after.completion_tokens - before.completion_tokens, after.rows - before.rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("questions", type=Path, help="JSON lines with a field `question`")
    parser.add_argument("--model", default="smollm2", help="a short name, or a GGUF file")
    parser.add_argument("--count", type=int, default=12, help="questions, chosen by chance")
    parser.add_argument("--output", type=Path, help="where to write the table")
    arguments = parser.parse_args()
    every = [json.loads(line)["question"] for line in arguments.questions.open(encoding="utf-8")]
    chosen = random.Random(1).sample(every, arguments.count)
    file = find(arguments.model).path
    model = open_model(file)
    lines = [
        "# What samples share that begin alike",
        "",
        f"`python benchmarks/agreement.py {arguments.questions}`: {arguments.count} questions, "
        f"{SAMPLES} samples of each, {file.name}.",
        "",
        "| samples | rows of all samples | computed | times |",
        "| --- | --- | --- | --- |",
    ]
    for name, request, options in WAYS:
        sampling = Sampling(**options)
        tokens, computed = asyncio.run(draw(model, [q + request for q in chosen], sampling))
        rows = tokens - len(chosen) * (SAMPLES - 1)
        lines.append(f"| {name} | {rows:,} | {computed:,} | {rows / computed:.2f} |")
        print(lines[-1], file=sys.stderr)
    model.close()
    table = "\n".join(lines) + "\n"
    print(table)
    if arguments.output:
        arguments.output.write_text(table, encoding="utf-8")


if __name__ == "__main__":
    main()
