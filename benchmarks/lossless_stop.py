"""Does the lossless stop ever change a vote, and what does it save? By a comparison's results.

    thinkgraph compare --data word-problems:200 \\
        --graphs self-consistency@8,self-consistency@8:stop=decided --out stop
    python benchmarks/lossless_stop.py stop/results.json

Both strategies vote on the same samples of each question. With the stop, unfinished samples are
cancelled once none of their possible answers can change the winner, or whether it is a tie.
"""

import argparse
import json
from pathlib import Path

from thinkgraph.evaluate.results.export import Results
from thinkgraph.nodes.answers import equal

STOP = ":stop=decided"


def pairs(results):
    """For each question: the row of the full vote, and the row with the stop."""
    rows = {(row.strategy, row.question): row for row in results.comparison.rows}
    for (strategy, question), stopped in rows.items():
        full = rows.get((strategy.removesuffix(STOP), question))
        if strategy.endswith(STOP) and full and not (full.failure or stopped.failure):
            yield full, stopped


def alike(full, stopped, question):
    """Whether two votes have the same winner, by value, and agree on whether it is a tie."""
    answers = (full.answer, stopped.answer)
    same = answers[0] == answers[1] or (None not in answers and equal(*answers, question))
    return same and full.tie == stopped.tie


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("results", type=Path)
    results = Results.model_validate_json(parser.parse_args().results.read_text("utf-8"))
    texts = {question.id: question.text for question in results.comparison.questions}
    both = list(pairs(results))
    if not both:
        parser.error(f"no strategy there ends with {STOP} beside the same one without it")
    tokens = [sum(row.tokens for row in rows) for rows in zip(*both, strict=True)]
    cancelled = [
        sum(draft.finish_reason == "cancelled" for draft in stopped.drafts) for _, stopped in both
    ]
    found = {
        "votes": len(both),
        "alike": sum(alike(full, stopped, texts[full.question]) for full, stopped in both),
        "ties": sum(full.tie for full, _ in both),
        "stopped_early": sum(map(bool, cancelled)),
        "samples_cancelled": sum(cancelled),
        "tokens": tokens[0],
        "saved": round(1 - tokens[1] / tokens[0], 4),
    }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
