"""Savings of a comparison in one engine with shared samples, against sequential runs.

    python benchmarks/comparison.py [--questions 24] [--max-tokens 64]

Eight strategies answer word problems. Together: all questions and strategies run concurrently in
one engine and share samples (``thinkgraph compare``). One by one: strategies and questions run in
sequence, as in a simple script. The two ways take turns, block by block of questions, each time
with an empty cache; every block has its ratio.
"""

import argparse
import asyncio
import json
import sys
import time

from thinkgraph.evaluate.runs.runner import Runner
from thinkgraph.evaluate.runs.store import Store
from thinkgraph.evaluate.runs.variant import parse_variants
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.evaluate.tasks.word_problems import word_problems
from thinkgraph.models.catalogue import load
from thinkgraph.models.seed import derive_seed

GRAPHS = (
    "direct,chain-of-thought,arithmetic,self-consistency@4,8,self-certainty@8,best-of-n@8,"
    "adaptive-consistency@8"
)


async def one_by_one(model, questions, variants, seed):
    """Run strategies and questions in sequence, and return the number of sampled tokens."""
    tokens = 0
    for variant in variants:
        graph = variant.load()
        for question in questions:
            each = derive_seed(seed, question.id)
            result = await graph.arun(question.text, model=model, seed=each, **variant.params)
            tokens += result.usage.completion_tokens
    return tokens


async def together(model, questions, variants, seed):
    """Run a comparison with an in-memory database, and return the number of sampled tokens."""
    with Store(":memory:") as store:
        await Runner(model, store, seed).run(questions, variants)
        return store.spent()[0].completion_tokens


def timed(model, work, *given):
    model.engine.clear_cache()
    began = time.perf_counter()
    tokens = asyncio.run(work(model, *given))
    return time.perf_counter() - began, tokens


def ratio(rounds, what):
    """The ratio of the total seconds (0) or tokens (1): one by one divided by together."""
    return round(sum(slow[what] for _, slow in rounds) / sum(fast[what] for fast, _ in rounds), 2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--questions", type=int, default=24)
    parser.add_argument("--block", type=int, default=8, help="questions between two turns")
    parser.add_argument("--max-tokens", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    model = load(args.model)
    variants = parse_variants(GRAPHS, {"max_tokens": args.max_tokens}, {})
    questions = [
        Question(id=str(place), text=problem.question, reference=problem.answer)
        for place, problem in enumerate(word_problems(args.questions, args.seed))
    ]
    timed(model, together, questions[:1], variants, args.seed)  # warm up
    rounds = []
    for first in range(0, len(questions), args.block):
        block = questions[first : first + args.block]
        both = [timed(model, work, block, variants, args.seed) for work in (together, one_by_one)]
        rounds.append(both)
        print(f"{first + len(block)} of {len(questions)}: {both}", file=sys.stderr)
    found = {
        "strategies": len(variants),
        "questions": len(questions),
        "time_ratio": ratio(rounds, 0),
        "time_ratios": [ratio([both], 0) for both in rounds],
        "token_ratio": ratio(rounds, 1),
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
