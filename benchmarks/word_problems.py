"""Is a vote right more often than one answer? One-step word problems on a local model.

    python benchmarks/word_problems.py [--problems 64] [--model smollm2] [--seed 0]
        [--strategies direct,chain-of-thought,self-consistency,program-aided]

Prints a Markdown table with 95 % Wilson intervals. Of self-consistency, one sample, a vote of
four and a vote of sixteen are the first one, the first four and all of the same sixteen samples.
"""

from __future__ import annotations

import argparse
import asyncio
import sys

import thinkgraph as tg
from thinkgraph.evaluate.findings.statistics import wilson
from thinkgraph.evaluate.tasks.word_problems import WordProblem, word_problems
from thinkgraph.graphs.result import Result
from thinkgraph.nodes.answers import equal, tally

AT_ONCE = 4
SAMPLES = 16
MAX_TOKENS = 200
STRATEGIES = ("direct", "chain-of-thought", "self-consistency", "program-aided")


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
        return (
            f"| {self.name} | {self.right} of {self.of} | {self.right / self.of:.0%} | "
            f"{low:.0%} to {high:.0%} | {self.tokens / self.of:.0f} |"
        )


class Measurement:
    """The rows of a table, filled as the runs end."""

    def __init__(self, model: str, seed: int, runs: int) -> None:
        self.model, self.seed, self.runs, self.ended = model, seed, runs, 0
        self.rows: dict[str, Row] = {}
        self.gate = asyncio.Semaphore(AT_ONCE)

    async def run(self, strategy: str, problem: WordProblem) -> None:
        samples = SAMPLES if strategy == "self-consistency" else 1
        graph = tg.load(strategy)
        given = {"max_tokens": MAX_TOKENS, "samples": samples}
        params = {name: value for name, value in given.items() if name in graph.spec.params}
        async with self.gate:
            result = await graph.arun(problem.question, model=self.model, seed=self.seed, **params)
        self.ended += 1
        print(f"\r{self.ended} of {self.runs} runs", end="", file=sys.stderr, flush=True)
        if samples == 1:
            self.row(strategy).add(result.answer.value, problem, result.usage.completion_tokens)
        else:
            self.votes(strategy, result, problem)

    def votes(self, strategy: str, result: Result, problem: WordProblem) -> None:
        for n in (1, 4, SAMPLES):
            first = result.candidates[:n]
            winner = tally([c.answer for c in first], question=problem.question).winner
            name = f"{strategy}, a vote of {n}" if n > 1 else "one sample of those that vote"
            self.row(name).add(winner and winner.value, problem, sum(c.tokens for c in first))

    def row(self, name: str) -> Row:
        return self.rows.setdefault(name, Row(name))


async def measure(problems: list[WordProblem], strategies: list[str], options) -> list[Row]:
    made = Measurement(options.model, options.seed, len(problems) * len(strategies))
    await asyncio.gather(*(made.run(name, problem) for name in strategies for problem in problems))
    return list(made.rows.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--problems", type=int, default=64)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--strategies", default=",".join(STRATEGIES))
    options = parser.parse_args()
    problems = word_problems(options.problems, options.seed)
    rows = asyncio.run(measure(problems, options.strategies.split(","), options))
    print(file=sys.stderr)
    print("| strategy | right | share | 95 % interval | tokens a question |")
    print("| --- | --- | --- | --- | --- |")
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
