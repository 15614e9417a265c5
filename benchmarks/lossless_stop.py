"""How many tokens the lossless stop saves, and that it never changes a vote.

Every question is voted on in full by the real model. The stop is then replayed on the recorded
samples: they decode side by side, a token each step, so they end in the order of their lengths.
The first ``--live`` questions are voted on again, without and with the stop in the engine itself.

    python benchmarks/lossless_stop.py --questions 200 --samples 8 --max-tokens 160
"""

import argparse
import asyncio
import json
import time

from thinkgraph.evaluate.tasks.word_problems import word_problems
from thinkgraph.graphs.graph import load
from thinkgraph.models.catalogue import load as load_model
from thinkgraph.nodes.answers import decided, tally
from thinkgraph.nodes.answers.vote import group


def replayed(candidates, question):
    """The vote with the stop on recorded samples: the tally, and the tokens it takes."""
    ended = []
    for candidate in sorted(candidates, key=lambda c: c.tokens):
        ended.append(candidate)
        votes = [len(members) for members in group([c.answer for c in ended], question=question)]
        if decided(votes, len(candidates) - len(ended)):
            break
    ended.sort(key=candidates.index)
    steps = max(c.tokens for c in ended)
    return tally([c.answer for c in ended], question=question), sum(
        min(c.tokens, steps) for c in candidates
    )


def alike(one, other, question):
    """Whether two votes have the same winner, by value, and the same ties."""
    winners = [vote.winner.value if vote.winner else None for vote in (one, other)]
    same = winners[0] == winners[1] or len(group(winners, question=question)) == 1
    return same and one.tie == other.tie and len(one.tied) == len(other.tied)


async def measure(args):
    model, graph = load_model(args.model), load("self-consistency")
    problems = word_problems(args.questions, seed=args.seed)
    at_once = asyncio.Semaphore(args.at_once)
    settings = {"seed": args.seed, "samples": args.samples, "max_tokens": args.max_tokens}
    began = time.perf_counter()

    async def vote(problem, stop):
        async with at_once:
            return await graph.arun(problem.question, model=model, stop=stop, **settings)

    async def alone(problem, stop):
        model.engine.clear_cache()  # the same batches in both votes, and so the same samples
        return await vote(problem, stop)

    full = await asyncio.gather(*(vote(problem, "never") for problem in problems))
    stopped = [replayed(result.candidates, result.question) for result in full]
    spent = sum(result.usage.completion_tokens for result in full)
    live = [
        (await alone(problem, "never"), await alone(problem, "decided"))
        for problem in problems[: args.live]
    ]
    return {
        "model": model.name,
        "questions": len(full),
        "samples": args.samples,
        "max_tokens": args.max_tokens,
        "tokens": spent,
        "saved": round(1 - sum(tokens for _, tokens in stopped) / spent, 4),
        "votes_alike": sum(
            alike(result.answer.tally, vote, result.question)
            for result, (vote, _) in zip(full, stopped, strict=True)
        ),
        "ties": sum(result.answer.tie for result in full),
        "live_questions": len(live),
        "live_votes_alike": sum(
            alike(one.answer.tally, other.answer.tally, one.question) for one, other in live
        ),
        "live_saved": round(1 - tokens(live, 1) / max(1, tokens(live, 0)), 4),
        "seconds": round(time.perf_counter() - began, 1),
    }


def tokens(pairs, which):
    return sum(pair[which].usage.completion_tokens for pair in pairs)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="smollm2")
    parser.add_argument("--questions", type=int, default=200)
    parser.add_argument("--samples", type=int, default=8)
    parser.add_argument("--max-tokens", type=int, default=160)
    parser.add_argument("--at-once", type=int, default=4, help="questions side by side")
    parser.add_argument("--live", type=int, default=10, help="voted on again with the stop")
    parser.add_argument("--seed", type=int, default=1)
    print(json.dumps(asyncio.run(measure(parser.parse_args())), indent=2))


if __name__ == "__main__":
    main()
