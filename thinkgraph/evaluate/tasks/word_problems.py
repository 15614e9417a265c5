"""One-step arithmetic word problems, generated from a seed: a task for very small models."""

from __future__ import annotations

import random
from typing import NamedTuple

NAMES = ("Tom", "Anna", "Ben", "Maria", "Sam", "Lucy", "Omar", "Nina", "Leo", "Ruth")
THINGS = ("apples", "books", "marbles", "pencils", "stamps", "shells", "coins", "cards")

COUNT = 200
"""Default number of questions of a built-in task."""
MOST = 4 * len(NAMES) * len(THINGS) * 8 * 11
"""Number of different problems: each operation has as many, and products have the fewest."""


class WordProblem(NamedTuple):
    """A question and its answer."""

    question: str
    answer: str


def word_problems(n: int, seed: int = 0) -> list[WordProblem]:
    """Generate ``n`` distinct problems, at most ``MOST``; the four operations take turns."""
    source = random.Random(seed)  # noqa: S311 (not for secrets)
    made: dict[str, WordProblem] = {}
    while len(made) < n:
        problem = _MAKERS[len(made) % len(_MAKERS)](source)
        made[problem.question] = problem
    return list(made.values())


def _gain(source: random.Random) -> WordProblem:
    name, thing = source.choice(NAMES), source.choice(THINGS)
    have, more = source.randint(2, 40), source.randint(2, 40)
    text = f"{name} has {have} {thing} and gets {more} more. How many {thing} does {name} have now?"
    return WordProblem(text, str(have + more))


def _loss(source: random.Random) -> WordProblem:
    name, thing = source.choice(NAMES), source.choice(THINGS)
    left, gone = source.randint(2, 40), source.randint(2, 30)
    text = (
        f"{name} has {left + gone} {thing} and gives away {gone}. "
        f"How many {thing} does {name} have left?"
    )
    return WordProblem(text, str(left))


def _groups(source: random.Random) -> WordProblem:
    name, thing = source.choice(NAMES), source.choice(THINGS)
    bags, each = source.randint(2, 9), source.randint(2, 12)
    text = (
        f"{name} has {bags} bags with {each} {thing} in each bag. "
        f"How many {thing} does {name} have in all?"
    )
    return WordProblem(text, str(bags * each))


def _shares(source: random.Random) -> WordProblem:
    name, thing = source.choice(NAMES), source.choice(THINGS)
    friends, each = source.randint(2, 9), source.randint(2, 12)
    text = (
        f"{name} shares {friends * each} {thing} equally among {friends} friends. "
        f"How many {thing} does each friend get?"
    )
    return WordProblem(text, str(each))


_MAKERS = (_gain, _loss, _groups, _shares)
