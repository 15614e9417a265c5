"""The roles of a record's fields, such as question and answer: given by name, or guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from string import ascii_lowercase
from typing import Any, NamedTuple

from thinkgraph.evaluate.tasks.text import DataError
from thinkgraph.graphs.language.problem import nearest, suggestion

GUESSES: dict[str, tuple[str, ...]] = {
    "question": (
        *("question", "problem", "prompt", "input", "query", "instruction", "stem", "goal", "ctx"),
        *("text", "sentence"),
    ),
    "context": ("body", "context", "passage", "paragraph", "article", "background", "premise"),
    "answer": (
        *("answer", "answers", "target", "label", "reference", "expected", "expected_answer"),
        *("reference_answer", "right_answer", "gold_answer", "expected_output", "correct_answer"),
        *("final_answer", "ground_truth", "gold", "answerkey", "answer_key", "correct", "output"),
        *("solution", "response", "completion", "price", "cop"),
    ),
    "id": ("id", "uid", "unique_id", "question_id", "qid", "idx", "index", "key"),
    "choices": ("choices", "options", "endings", "target_scores", "mc1_targets"),
    "messages": ("messages",),
    "group": (),
}
"""Common field names of each role, in order of preference, ignoring case. The context precedes
the question; the group breaks down results."""
SET = "--field"
"""The command line option that sets a role's field, for error messages."""

MISSING = object()
_COLUMN = re.compile(
    r"(?i)(?P<prefix>|option[ _]?|choice[ _]?|opt?|sol|ending[ _]?|ans(?:wer)?[ _]?)"
    r"(?P<label>[a-j]|\d)"
)


class Fields(NamedTuple):
    """The name of each role's field; None if there is none.

    ``choices`` may name several columns: `A,B,C,D`.
    """

    question: str | None = None
    context: str | None = None
    answer: str | None = None
    id: str | None = None
    choices: str | None = None
    messages: str | None = None
    group: str | None = None

    @property
    def columns(self) -> list[str]:
        """The columns of the choices, if these are in several."""
        return self.choices.split(",") if self.choices and "," in self.choices else []

    def unused(self, records: Iterable[Mapping[str, Any]]) -> list[str]:
        """The fields of the records that no role uses, including those in partly used objects."""
        used = {name for role in self for name in (role or "").split(",")}
        return list(dict.fromkeys(name for values in records for name in _unused(values, used)))


def known_names() -> set[str]:
    """All names in `GUESSES`, in lower case."""
    return {name for names in GUESSES.values() for name in names}


def find_fields(
    given: Mapping[str, str], values: Mapping[str, Any], where: str, *, answers: bool = True
) -> Fields:
    """Find the field of each role in the first record.

    Args:
        given: names by role: `{"question": "prompt", "answer": "label"}`; a dotted name reaches
            into objects, and an empty one means that there is no such field. Several columns of
            choices are separated by commas.
        values: the first record.
        where: the place of the record, for error messages.
        answers: if false, right answers are not required.

    Raises:
        DataError: an unknown role, a name that the record doesn't have, or no field that could
            be the question or the answer.
    """
    for role in given:
        if role not in GUESSES:
            raise DataError(f"{SET} {role}: {suggestion(role, GUESSES)}")
    for role, names in given.items():
        for name in names.split(",") if role == "choices" else [names]:
            if name and lookup(values, name) is MISSING:
                raise DataError(
                    f"{where}: no field {name!r} for the {role}; {_instead(name, values)}"
                )
    found = {role: given.get(role, _guess(role, values)) or None for role in GUESSES}
    found = _nested(found, given, values)
    if found["choices"] is None and "choices" not in given:
        found["choices"] = ",".join(_choice_columns(values, found)) or None
    if found["question"] and "messages" not in given:
        found["messages"] = None
    scored = _has_scores(found["choices"], values)
    needed = ("question",) if scored or not answers else ("question", "answer")
    missing = [role for role in needed if found[role] is None and found["messages"] is None]
    if missing:
        way_out = " ".join(f"{SET} {role}=NAME" for role in missing)
        raise DataError(
            f"{where}: no field looks like the {' or the '.join(missing)}; its fields are "
            f"{_listed(values)}: name {'it' if len(missing) == 1 else 'them'} by {way_out}"
        )
    return Fields(**found)


def _nested(
    found: dict[str, str | None], given: Mapping[str, str], values: Mapping[str, Any]
) -> dict[str, str | None]:
    """The fields with the question and options in a nested object, as in CommonsenseQA's files."""
    outer = found["question"]
    inner = values.get(outer) if outer and "question" not in given else None
    if not isinstance(inner, Mapping):
        return found
    question = _guess("question", inner)
    choices = _guess("choices", inner)
    return found | {
        "question": f"{outer}.{question}" if question else outer,
        "choices": f"{outer}.{choices}" if choices and not found["choices"] else found["choices"],
    }


def _has_scores(choices: str | None, values: Mapping[str, Any]) -> bool:
    """Whether the options include scores that mark the right one."""
    match lookup(values, choices) if choices and "," not in choices else None:
        case {"labels": [*_]}:
            return True
        case {**scores} if scores:
            return all(isinstance(each, int | float) for each in scores.values())
    return False


def _choice_columns(values: Mapping[str, Any], found: Mapping[str, str | None]) -> list[str]:
    """Columns such as A, B, C, D or option1, option2 that hold the options."""
    taken = {name for name in found.values() if name}
    families: dict[str, list[tuple[str, str]]] = {}
    for name in values:
        column = _COLUMN.fullmatch(name.strip())
        if column and name not in taken and isinstance(values[name], str | int | float):
            families.setdefault(column["prefix"].lower(), []).append((column["label"], name))
    for prefix, family in families.items():
        labels = "".join(label.lower() for label, _ in family)
        letters = ascii_lowercase.startswith(labels)
        digits = prefix and ("0123456789".startswith(labels) or "123456789".startswith(labels))
        if len(family) > 1 and (letters or digits):
            return [name for _, name in family]
    return []


def lookup(values: Mapping[str, Any], name: str) -> Any:
    """A field's value, or MISSING; `a.b` is field b of object a, unless a field `a.b` exists."""
    if name in values:
        return values[name]
    head, _, rest = name.partition(".")
    inner = values.get(head) if rest else None
    return lookup(inner, rest) if isinstance(inner, Mapping) else MISSING


def _guess(role: str, values: Mapping[str, Any]) -> str | None:
    known = {_folded(name): name for name in reversed(list(values))}
    for name in GUESSES[role]:
        if name in known and (role != "context" or isinstance(values[known[name]], str)):
            return known[name]
    return _guess_by_word(role, values) if role in ("question", "answer") else None


def _guess_by_word(role: str, values: Mapping[str, Any]) -> str | None:
    """The only field whose name contains a common name as a word: `Customer question`."""
    other = _OF_NEITHER | (_OF_ANSWERS if role == "question" else {"question"})
    texts = {
        name: words
        for name, value in values.items()
        if isinstance(value, str | int | float)
        and not (words := set(_folded(name).split("_"))) & other
    }
    for word in GUESSES[role]:
        found = [name for name, words in texts.items() if word in words]
        if len(found) == 1:
            return found[0]
    return None


_OF_ANSWERS = {"answer", "answers", "reply", "target", "expected", "response", "solution"}
_OF_NEITHER = {"id", "type", "kind", "number", "count", "length", "score", "date", "time"}


def _folded(name: str) -> str:
    return re.sub(r"[\s-]+", "_", name.strip().casefold())


def _instead(name: str, values: Mapping[str, Any]) -> str:
    near = nearest(name, values)
    return f"did you mean {near!r}?" if near else f"its fields are {_listed(values)}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(names) or "none"


def _unused(values: Mapping[str, Any], used: set[str], within: str = "") -> Iterator[str]:
    for name, value in values.items():
        place = f"{within}{name}"
        if place in used:
            continue
        if isinstance(value, Mapping) and any(each.startswith(f"{place}.") for each in used):
            yield from _unused(value, used, f"{place}.")
        else:
            yield place
