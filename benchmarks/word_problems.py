"""Is a vote right more often than one answer? One-step word problems on a local model.

    python benchmarks/word_problems.py [--problems 80] [--model smollm2] [--seed 0]

Prints a Markdown table with 95 % Wilson intervals. One sample, a vote of four and a vote of
sixteen are the first one, the first four and all of the same sixteen samples.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable

import thinkgraph as tg
from thinkgraph.evaluate.statistics import wilson
from thinkgraph.evaluate.word_problems import WordProblem, word_problems
from thinkgraph.graphs.result import Result
from thinkgraph.nodes.answers import equal, tally

AT_ONCE = 4
SAMPLES = 16
MAX_TOKENS = 200


class Row:
    """One line of the table."""

    def __init__(self, name: str) -> None:
        self.name, self.right, self.of, self.tokens = name, 0, 0, 0

    def add(self, answer: str | None, problem: WordProblem, tokens: int) -> None:
        self.right += answer is not None and equal(answer, problem.answer, problem.question)
        self.of += 1
        self.tokens += tokens

    def __str__(self) -> str:
        low, high = wilson(self.right, self.of)
        share = f"{self.right / self.of:.0%}"
        return (
            f"| {self.name} | {self.right} of {self.of} | {share} | "
            f"{low:.0%} to {high:.0%} | {self.tokens / self.of:.0f} |"
        )


async def measure(problems: list[WordProblem], model: str, seed: int) -> list[Row]:
    names = ["direct", "chain-of-thought", "one sample", "vote of 4", f"vote of {SAMPLES}"]
    rows = {name: Row(name) for name in names}
    gate = asyncio.Semaphore(AT_ONCE)
    asked = 0

    async def ask(graph: tg.Graph, problem: WordProblem, **params: int) -> Result:
        nonlocal asked
        async with gate:
            result = await graph.arun(
                problem.question, model=model, seed=seed, max_tokens=MAX_TOKENS, **params
            )
        asked += 1
        print(f"\r{asked} of {3 * len(problems)} runs", end="", file=sys.stderr, flush=True)
        return result

    async def once(name: str, problem: WordProblem) -> None:
        result = await ask(tg.load(name), problem)
        rows[name].add(result.answer.value, problem, result.usage.completion_tokens)

    async def vote(problem: WordProblem) -> None:
        result = await ask(tg.load("self-consistency"), problem, samples=SAMPLES)
        for name, n in [("one sample", 1), ("vote of 4", 4), (f"vote of {SAMPLES}", SAMPLES)]:
            first = list(result.candidates[:n])
            winner = tally([c.answer for c in first], question=problem.question).winner
            rows[name].add(
                winner and winner.value, problem, sum(candidate.tokens for candidate in first)
            )

    work: list[Callable[[WordProblem], Awaitable[None]]] = [
        lambda problem: once("direct", problem),
        lambda problem: once("chain-of-thought", problem),
        vote,
    ]
    await asyncio.gather(*(do(problem) for problem in problems for do in work))
    return list(rows.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=80)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    problems = word_problems(options.problems, options.seed)
    rows = asyncio.run(measure(problems, options.model, options.seed))
    print(file=sys.stderr)
    print("| strategy | right | share | 95 % interval | tokens a question |")
    print("| --- | --- | --- | --- | --- |")
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
