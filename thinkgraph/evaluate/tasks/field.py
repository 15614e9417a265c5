"""Which field of a record is the question, which the answer: given by name, or guessed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from thinkgraph.evaluate.tasks.record import DataError
from thinkgraph.graphs.language.problem import nearest, suggestion

GUESSES: dict[str, tuple[str, ...]] = {
    "question": ("question", "problem", "prompt", "input", "query", "instruction", "text"),
    "answer": (
        *("answer", "answers", "target", "label", "reference", "expected", "expected_answer"),
        *("expected_output", "correct_answer", "final_answer", "ground_truth", "gold"),
        *("answerkey", "answer_key", "output", "solution", "response", "completion", "price"),
    ),
    "id": ("id", "uid", "unique_id", "question_id", "qid", "idx", "index", "key"),
    "choices": ("choices", "options"),
    "messages": ("messages",),
}
"""The usual names of each role, the surest first; capitals don't matter."""
SET = "--field"
"""The option by which a user names them; errors point to it."""

MISSING = object()


class Fields(NamedTuple):
    """The name of the field for each role; None where there is none."""

    question: str | None = None
    answer: str | None = None
    id: str | None = None
    choices: str | None = None
    messages: str | None = None


def find_fields(given: Mapping[str, str], values: Mapping[str, Any], where: str) -> Fields:
    """Find the fields by the first record.

    Args:
        given: names by role: `{"question": "prompt", "answer": "label"}`; a dotted name reaches
            into objects, and an empty one says that there is no such field.
        values: the first record.
        where: what an error names.

    Raises:
        DataError: an unknown role, a name that the record doesn't have, or no field that could
            be the question or the answer.
    """
    for role in given:
        if role not in GUESSES:
            raise DataError(f"{SET} {role}: {suggestion(role, GUESSES)}")
    for role, name in given.items():
        if name and lookup(values, name) is MISSING:
            raise DataError(f"{where}: no field {name!r} for the {role}; {_instead(name, values)}")
    found = {role: given.get(role, _guess(role, values)) or None for role in GUESSES}
    if found["question"] and "messages" not in given:
        found["messages"] = None
    for role in ("question", "answer"):
        if found[role] is None and found["messages"] is None:
            raise DataError(
                f"{where}: no field looks like the {role}; its fields are {_listed(values)}: "
                f"name it by {SET} {role}=NAME"
            )
    return Fields(**found)


def lookup(values: Mapping[str, Any], name: str) -> Any:
    """A field's value, or MISSING; `a.b` is the field b of the object a, if there is no `a.b`."""
    if name in values:
        return values[name]
    head, _, rest = name.partition(".")
    inner = values.get(head) if rest else None
    return lookup(inner, rest) if isinstance(inner, Mapping) else MISSING


def _guess(role: str, values: Mapping[str, Any]) -> str | None:
    known = {name.casefold(): name for name in reversed(list(values))}
    return next((known[name] for name in GUESSES[role] if name in known), None)


def _instead(name: str, values: Mapping[str, Any]) -> str:
    near = nearest(name, values)
    return f"did you mean {near!r}?" if near else f"its fields are {_listed(values)}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"
