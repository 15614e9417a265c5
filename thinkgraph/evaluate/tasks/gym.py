"""The tasks of reasoning-gym: questions from its generators, judged by its own scorers.

Generator, seed and index identify a question and suffice to generate it again with all data that
its scorer needs. So only its text has to be stored.
"""

from __future__ import annotations

import importlib
from functools import lru_cache
from typing import Any

from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.graphs.language.problem import suggestion
from thinkgraph.models.errors import ThinkgraphError

PREFIX = "reasoning-gym"
"""The prefix of task names and question ids, and the name of the metric."""
_FULL = 0.99
_SIZE = 500  # the package's default; some generators depend on the size


def gym_questions(name: str, count: int, seed: int) -> list[Question]:
    """The first ``count`` questions of a generator; the same for the same seed.

    Raises:
        ThinkgraphError: the package isn't installed, or has no such generator.
    """
    dataset = _dataset(name, max(count, _SIZE), seed)
    entries = (dataset[place] for place in range(count))
    return [
        Question(
            id=f"{PREFIX}/{name}/{seed}/{place}",
            text=entry["question"],
            # Some generators have many right answers and name none.
            reference=str(entry["answer"] if entry["answer"] is not None else ""),
        )
        for place, entry in enumerate(entries)
    ]


def gym_score(answer: str, reference: str, question: Question) -> bool:
    """Whether an answer equals the right one, or the generator's own scorer gives the full score.

    Partial scores are ignored: several scorers give one for any answer at all.

    Raises:
        ThinkgraphError: the question isn't from reasoning-gym, or can't be generated again.
    """
    match question.id.split("/"):
        case [prefix, name, seed, place] if prefix == PREFIX and (seed + place).isdigit():
            dataset = _dataset(name, max(int(place) + 1, _SIZE), int(seed))
            entry = dataset[int(place)]
            if entry["question"] != question.text:
                raise ThinkgraphError(
                    f"{PREFIX} doesn't make question {question.id!r} again as it was: its version "
                    "has changed, or this generator isn't repeatable; take the metric exact"
                )
            # Extracted labels are in lower case, but several scorers are case-sensitive.
            same = answer.casefold() == reference.casefold() != ""
            return same or bool(dataset.score_answer(answer, entry) >= _FULL)
    raise ThinkgraphError(
        f"the metric {PREFIX} judges only questions that {PREFIX} made, and {question.id!r} "
        f"is none; take --data {PREFIX}:NAME, or another metric"
    )


@lru_cache(maxsize=8)
def _dataset(name: str, size: int, seed: int) -> Any:
    try:
        factory = importlib.import_module("reasoning_gym.factory")
    except ImportError as error:
        raise ThinkgraphError(
            f"{PREFIX}:{name} needs the package reasoning-gym ({error}): pip install reasoning-gym"
        ) from None
    if name not in factory.DATASETS:
        hint = suggestion(name, factory.DATASETS) or f"there are {len(factory.DATASETS)}"
        raise ThinkgraphError(f"{PREFIX} has no generator {name!r}; {hint}")
    try:
        return factory.create_dataset(name, size=size, seed=seed)
    except (AssertionError, ValueError) as error:
        raise ThinkgraphError(f"{PREFIX} can't make {name}: {error}") from None
