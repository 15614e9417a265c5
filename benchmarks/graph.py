"""Overhead of the graph layer: a strategy compared with a hand-written LangGraph.

Three strategies run in four ways on one model and one event loop:

- bare: only the strategy's model calls, one after the other;
- by hand: a plain LangGraph ``StateGraph`` with the same calls, prompts as f-strings, and the
  same functions that extract and count answers;
- compiled: ``load(NAME).compile(model=…)`` once, then ``ainvoke``, as for the hand-written graph;
- run: ``Graph.arun``, which caches the compiled graph and returns a whole result.

The ways take turns within a round, so that other load on the machine affects all. The report has
medians of the rounds, and the median of the ratios within a round. A model that answers instantly
shows the layer alone, in CPU time, which other load doesn't affect; the real model, with few
tokens, shows the overhead relative to a model, in wall time.

    python benchmarks/graph.py --rounds 30 --output benchmarks/graph.md
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import operator
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph

import thinkgraph
from thinkgraph import Critique, Generate, Graph, Revise, Score, Select, Vote
from thinkgraph.graphs.catalogue import builtin_names
from thinkgraph.models.catalogue import load as load_model
from thinkgraph.models.model import (
    Completion,
    Confidence,
    Delta,
    Message,
    ModelRequest,
    Sampling,
    Usage,
    continued,
)
from thinkgraph.nodes.answers import extract, parse_extractor, tally

QUESTION = "Tom has 8 apples. He buys 5 more apples. How many apples does Tom have now?"
AUTO = parse_extractor("auto")
WAYS = ("bare", "by hand", "compiled", "run")
LIMIT = 1.2


# ---- a model that answers instantly, and one that records its calls ----


class InstantGeneration:
    def __init__(self, seeds: Sequence[int]) -> None:
        self._seeds = seeds
        self.usage = Usage(model_calls=1, prompt_tokens=40, completion_tokens=8 * len(seeds))

    async def __aiter__(self) -> AsyncIterator[Delta | Completion]:
        for index, seed in enumerate(self._seeds):
            yield Delta(sample=index, text="The answer is 13.", tokens=8)
            yield Completion(
                sample=index,
                seed=seed,
                text=f"8 + 5 = 13 apples ({index}).\nThe answer is 13.",
                tokens=8,
                finish_reason="stop",
                confidence=Confidence(mean_logprob=-0.5, min_logprob=-1.0),
            )

    def cancel(self, sample: int | None = None) -> None:
        pass


class InstantModel:
    name, context_length = "instant", 4096

    def count_tokens(self, messages: Sequence[Message]) -> int:
        return 40

    def generate(self, request: ModelRequest) -> Any:
        return InstantGeneration(request.seeds)

    async def choose(self, request: ModelRequest, options: Any) -> Any:
        return [0.25, 0.75], Usage(model_calls=1, prompt_tokens=50)


class Recorder:
    """A model that records its calls, so that they can be replayed without a graph."""

    def __init__(self, model: Any) -> None:
        self._model = model
        self.name, self.context_length = model.name, model.context_length
        self.count_tokens = model.count_tokens
        self.calls: list[tuple[str, ModelRequest, tuple[Any, ...]]] = []

    def generate(self, request: ModelRequest) -> Any:
        self.calls.append(("generate", replace(request, budget=None), ()))
        return self._model.generate(request)

    def choose(self, request: ModelRequest, options: Any) -> Any:
        self.calls.append(("choose", replace(request, budget=None), (options,)))
        return self._model.choose(request, options)


async def sampled(generation: Any) -> list[Completion]:
    done = []
    async with aclosing(aiter(generation)) as pieces:
        async for piece in pieces:
            if isinstance(piece, Completion):
                done.append(piece)
    return sorted(done, key=lambda completion: completion.sample)


async def replay(model: Any, calls: Sequence[Any]) -> None:
    for name, request, options in calls:
        if name == "generate":
            await sampled(model.generate(request))
        else:
            await model.choose(request, *options)


# ---- the same strategies by hand ----


class Votes(TypedDict, total=False):
    question: str
    candidates: Annotated[list[dict[str, Any]], operator.add]
    scores: list[float]
    best: dict[str, Any]
    answer: dict[str, Any]


def user(text: str) -> list[Message]:
    return [Message(role="user", content=text)]


def written(completions: Sequence[Completion]) -> list[dict[str, Any]]:
    return [
        {
            "text": c.text,
            "answer": extract(c.text, AUTO),
            "tokens": c.tokens,
            "logprob": c.confidence.mean_logprob if c.confidence else None,
        }
        for c in completions
    ]


def self_consistency(model: Any, samples: int, max_tokens: int) -> Any:
    sampling = Sampling(temperature=0.7, top_p=0.95, max_tokens=max_tokens, ignore_eos=True)

    async def sample(state: Votes) -> Any:
        made = await sampled(
            model.generate(ModelRequest(user(state["question"]), sampling, range(samples)))
        )
        return {"candidates": written(made)}

    async def vote(state: Votes) -> Any:
        return {"answer": elected(state["question"], state["candidates"])}

    return chained(sample, vote)


def elected(question: str, candidates: Sequence[dict[str, Any]]) -> dict[str, Any]:
    votes = tally([c["answer"] for c in candidates], question=question)
    winner = votes.winner
    return {"value": winner and winner.value, "votes": winner.votes if winner else 0}


def best_of_n(model: Any, samples: int, max_tokens: int) -> Any:
    sampling = Sampling(temperature=0.7, max_tokens=max_tokens, confidence=True, ignore_eos=True)

    async def sample(state: Votes) -> Any:
        made = await sampled(
            model.generate(ModelRequest(user(state["question"]), sampling, range(samples)))
        )
        return {"candidates": written(made)}

    async def score(state: Votes) -> Any:
        return {"scores": [c["logprob"] for c in state["candidates"]]}

    async def best(state: Votes) -> Any:
        scores = state["scores"]
        return {"best": state["candidates"][scores.index(max(scores))]}

    async def vote(state: Votes) -> Any:
        return {"answer": elected(state["question"], [state["best"]])}

    return chained(sample, score, best, vote)


def chained(*nodes: Callable[..., Any]) -> Any:
    graph = StateGraph(Votes)
    for node in nodes:
        graph.add_node(f"do-{node.__name__}", node)
    names = [START, *(f"do-{node.__name__}" for node in nodes), END]
    for pair in itertools.pairwise(names):
        graph.add_edge(*pair)
    return graph.compile()


class Draft(TypedDict, total=False):
    question: str
    draft: str
    answers: Annotated[list[str | None], operator.add]
    critique: str
    accepted: bool
    rounds: int
    answer: dict[str, Any]


def self_refine(model: Any, samples: int, max_tokens: int) -> Any:
    sampling, rounds = Sampling(temperature=0.3, max_tokens=max_tokens, ignore_eos=True), samples

    async def one(messages: list[Message]) -> str:
        (made,) = await sampled(model.generate(ModelRequest(messages, sampling, [1])))
        return made.text

    async def draft(state: Draft) -> Any:
        text = await one(user(state["question"]))
        return {"draft": text, "answers": [extract(text, AUTO)], "rounds": 0}

    async def critic(state: Draft) -> Any:
        messages = user(
            f"Question: {state['question']}\n\nProposed answer:\n{state['draft']}\n\nCheck the "
            "proposed answer. Work the question out again, and say in two or three sentences "
            "whether every step and the final answer are right."
        )
        said = await one(messages)
        review = continued(messages, said + "\n\nVerdict:")
        chances, _ = await model.choose(ModelRequest(review), [" correct", " wrong"])
        return {"critique": said, "accepted": chances[0] >= 1.0}

    async def revise(state: Draft) -> Any:
        text = await one(
            user(
                f"Question: {state['question']}\n\nA first answer:\n{state['draft']}\n\nA critic "
                f"says:\n{state['critique']}\n\nWrite a better answer. Think step by step, then "
                'write the final answer on its own line as "The answer is ...".'
            )
        )
        rounds = state["rounds"] + 1
        return {"draft": text, "answers": [extract(text, AUTO)], "rounds": rounds}

    def on(state: Draft) -> str:
        return "done" if state["accepted"] or state["rounds"] >= rounds else "revise"

    async def done(state: Draft) -> Any:
        last = [{"answer": state["answers"][-1]}]
        return {"answer": elected(state["question"], last)}

    graph = StateGraph(Draft)
    for node in (draft, critic, revise, done):
        graph.add_node(node.__name__, node)
    graph.add_edge(START, "draft")
    graph.add_edge("draft", "critic")
    graph.add_conditional_edges("critic", on, ["revise", "done"])
    graph.add_edge("revise", "critic")
    graph.add_edge("done", END)
    return graph.compile()


# ---- the same strategies as graphs ----


def graphs() -> list[tuple[Graph, Callable[..., Any], int]]:
    """Each graph with its hand-written version and size; every text has the maximum length."""
    size = {"max_tokens": "$max_tokens", "ignore_eos": True}
    votes = Graph("self-consistency", params={"samples": 8, "max_tokens": 8})
    votes.add(sample=Generate(samples="$samples", temperature=0.7, **size), vote=Vote())
    votes.edge(thinkgraph.START, "sample", "vote", thinkgraph.END)
    best = Graph("best-of-n", params={"samples": 8, "max_tokens": 8})
    best.add(
        sample=Generate(samples="$samples", temperature=0.7, confidence=True, **size),
        score=Score(by="logprob"),
        best=Select(best=1),
        vote=Vote(),
    )
    best.edge(thinkgraph.START, "sample", "score", "best", "vote", thinkgraph.END)
    refine = Graph("self-refine", params={"samples": 2, "max_tokens": 8})
    refine.add(
        draft=Generate(temperature=0.3, **size),
        critic=Critique(temperature=0.3, threshold=1.0, **size),
        revise=Revise(temperature=0.3, **size),
        done=Vote(),
    )
    refine.edge(thinkgraph.START, "draft", "critic")
    refine.edge("critic", "revise", when="!accepted", at_most="$samples")
    refine.edge("critic", "done").edge("revise", "critic").edge("done", thinkgraph.END)
    return [(votes, self_consistency, 8), (best, best_of_n, 8), (refine, self_refine, 2)]


# ---- the measurement ----


async def timed(job: Callable[[], Awaitable[Any]], clock: Callable[[], float]) -> float:
    began = clock()
    await job()
    return 1000 * (clock() - began)


async def compare(
    model: Any, rounds: int, max_tokens: int, clock: Callable[[], float]
) -> list[dict[str, Any]]:
    """Measure the milliseconds of every way, strategy by strategy."""
    rows = []
    for graph, by_hand, samples in graphs():
        params = {"samples": samples, "max_tokens": max_tokens}
        recorder = Recorder(model)
        result = await graph.arun(QUESTION, model=recorder, seed=1, **params)
        mine, calls = list(recorder.calls), len(recorder.calls)
        hand = by_hand(recorder, samples, max_tokens)
        await hand.ainvoke({"question": QUESTION})
        theirs = recorder.calls[calls:]
        if isinstance(model, InstantModel) and [c[1].messages for c in mine] != [
            c[1].messages for c in theirs
        ]:
            raise SystemExit(f"{graph.name}: the prompts differ")
        if len(theirs) != calls:
            raise SystemExit(f"{graph.name}: {calls} calls, and {len(theirs)} by hand")
        hand = by_hand(model, samples, max_tokens)
        compiled = graph.compile(model=model, seed=1, **params)
        jobs: dict[str, Callable[[], Awaitable[Any]]] = {
            "bare": lambda mine=mine: replay(model, mine),
            "by hand": lambda hand=hand: hand.ainvoke({"question": QUESTION}),
            "compiled": lambda app=compiled: app.ainvoke({"question": QUESTION}),
            "run": lambda graph=graph, params=params: graph.arun(
                QUESTION, model=model, seed=1, **params
            ),
        }
        times: dict[str, list[float]] = {way: [] for way in WAYS}
        for number in range(rounds + 1):
            order = WAYS[number % 4 :] + WAYS[: number % 4]
            for way in order:
                spent = await timed(jobs[way], clock)
                if number:  # the first round warms up
                    times[way].append(spent)
        runs = sum(result.counts.get(name, 0) for name in result.spec.nodes)
        rows.append({"graph": graph.name, "calls": calls, "runs": runs, "times": times})
    return rows


def table(rows: Sequence[dict[str, Any]]) -> list[str]:
    lines = [
        "| strategy | calls | node runs | bare, ms | by hand, ms | compiled, ms | run, ms | "
        "layer per node run, ms | compiled / by hand | run / by hand |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for row in rows:
        times = row["times"]
        median = {way: statistics.median(times[way]) for way in WAYS}
        layer = ratio(times["compiled"], times["bare"], operator.sub) / row["runs"]
        lines.append(
            f"| {row['graph']} | {row['calls']} | {row['runs']} | "
            + " | ".join(f"{median[way]:.2f}" for way in WAYS)
            + f" | {layer:.2f} | {ratio(times['compiled'], times['by hand']):.2f} | "
            f"{ratio(times['run'], times['by hand']):.2f} |"
        )
    return lines


def ratio(
    mine: Sequence[float],
    theirs: Sequence[float],
    by: Callable[[float, float], float] = operator.truediv,
) -> float:
    """The median over the rounds of the ratio (or ``by``) of two ways within a round."""
    return statistics.median(by(a, b) for a, b in zip(mine, theirs, strict=True))


STARTS = {
    "python -c pass": ["-c", "pass"],
    "import thinkgraph": ["-c", "import thinkgraph"],
    "thinkgraph list": ["-m", "thinkgraph", "list"],
    "thinkgraph check self-refine": ["-m", "thinkgraph", "check", "self-refine"],
    "thinkgraph check (all built-in)": ["-m", "thinkgraph", "check", "ALL"],
}


def starts(rounds: int) -> dict[str, float]:
    """The median seconds of whole processes, which take turns."""
    spent: dict[str, list[float]] = {name: [] for name in STARTS}
    for _ in range(rounds + 1):
        for name, command in STARTS.items():
            words = [w for c in command for w in (builtin_names() if c == "ALL" else [c])]
            began = time.perf_counter()
            subprocess.run([sys.executable, *words], check=True, stdout=subprocess.DEVNULL)
            spent[name].append(time.perf_counter() - began)
    return {name: statistics.median(times[1:]) for name, times in spent.items()}


def report(
    instant: Sequence[dict[str, Any]],
    real: Sequence[dict[str, Any]],
    begun: dict[str, float],
    arguments: argparse.Namespace,
) -> str:
    lines = [
        "# What the graph layer costs",
        "",
        f"Made on {date.today()} by `python benchmarks/graph.py --rounds {arguments.rounds}`, on "
        f"{os.cpu_count()} cores ({platform.machine()}), Python {platform.python_version()}, load "
        f"average {os.getloadavg()[0]:.1f} at the end. Medians of {arguments.rounds} rounds, in "
        "which the ways took turns; the ratios are medians of those within a round. The layer per "
        "node run is what compiled takes beyond the bare calls.",
        "",
        "## A model that answers at once: processor time",
        "",
        *table(instant),
        "",
        f"## {arguments.model}, {arguments.tokens} tokens a text: time by the clock",
        "",
        *table(real),
        "",
        "## Starting",
        "",
        "| process | seconds |",
        "| --- | ---: |",
        *(f"| `{name}` | {spent:.2f} |" for name, spent in begun.items()),
        "",
    ]
    worst = max(ratio(r["times"]["compiled"], r["times"]["by hand"]) for r in real)
    verdict = "within" if worst <= LIMIT else "over"
    lines.append(
        f"Beside a model, the compiled graph takes at most {worst:.2f} × the hand-written one: "
        f"{verdict} the {LIMIT} that is asked of it."
    )
    return "\n".join(lines) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--tokens", type=int, default=8)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    instant = asyncio.run(compare(InstantModel(), 4 * arguments.rounds, 8, time.process_time))
    print("\n".join(table(instant)), flush=True)
    real_model = load_model(arguments.model)
    real = asyncio.run(compare(real_model, arguments.rounds, arguments.tokens, time.perf_counter))
    real_model.close()
    text = report(instant, real, starts(max(3, arguments.rounds // 5)), arguments)
    print(text)
    if arguments.output:
        arguments.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
