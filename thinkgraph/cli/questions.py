"""The questions of `compare`, `fit` and `distill`: their options, and how these are read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thinkgraph.cli.options import as_text

if TYPE_CHECKING:
    from thinkgraph.evaluate.tasks.task import Task

Fields = Annotated[
    list[str] | None,
    typer.Option(
        "--field",
        metavar="WHAT=NAME",
        help="Name of the data's field that holds WHAT: question=prompt",
    ),
]
Extract = Annotated[
    str | None,
    typer.Option(
        help="How answers are found in texts: auto, boxed, final, number, choice, yes-no, "
        "one-of:LABEL,LABEL, text, regex:PATTERN or json:PATH."
    ),
]


def read_fields(given: list[str] | None, by: str | None = None) -> dict[str, str]:
    """The names of the data's fields, by role.

    Args:
        given: each a ``ROLE=NAME``.
        by: the name of the field by which results are broken down.
    """
    fields = {}
    for item in given or []:
        role, _, name = as_text("--field", item).partition("=")
        fields[role] = name
    return fields | ({"group": by} if by else {})


def notes(task: Task, *, chosen: bool, extract: Any) -> Iterator[str]:
    """What the user should know, before the run, of how questions are read and answers judged.

    Args:
        task: the questions.
        chosen: whether the user chose the metric.
        extract: the extractor that the user chose, in short form; None for none.
    """
    from thinkgraph.evaluate.tasks.expected import TEXT, kinds, texts_for_numbers

    yield from task.notes
    if not chosen and task.metric not in ("exact", "choice"):
        yield f"the metric is {task.metric}, by the right answers; --metric sets another"
    if extract is None and any(each.extract for each in task.questions):
        yield (
            f"answers are looked for by the kind of the right ones: {kinds(task.questions)}; "
            "--extract sets one way for all"
        )
    if task.metric == "exact" and any(each.extract == TEXT for each in task.questions):
        yield (
            "the metric exact compares whole texts; --metric contains looks for the right answer "
            "in the text"
        )
    if warning := texts_for_numbers(task.questions, extract):
        yield warning
