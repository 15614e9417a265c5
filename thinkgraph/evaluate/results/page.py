"""A comparison as a single HTML page without external resources.

Table, plots, sentences and examples of overthinking are plain HTML. A script renders the questions
with their candidates and votes from one block of JSON, so that a page with thousands of drafts
stays small and opens fast. Jinja escapes everything that users and models wrote, in HTML and in
JSON, so that it reaches the page as text only; the Content-Security-Policy allows only the script
with the right hash.
"""

from __future__ import annotations

import base64
import hashlib
import math
import re
from collections.abc import Hashable, Iterator, Mapping
from importlib.resources import files
from typing import Any, Generic, NamedTuple, TypeVar

from markupsafe import Markup, escape

from thinkgraph.evaluate.analysis.summary import Summary
from thinkgraph.evaluate.results import plot
from thinkgraph.evaluate.results.columns import accuracy, cost, lines
from thinkgraph.evaluate.results.table import LEGEND, group_rows
from thinkgraph.evaluate.runs.comparison import Comparison
from thinkgraph.evaluate.runs.row import Draft, Row
from thinkgraph.evaluate.tasks.question import Question
from thinkgraph.graphs.pictures.html import page_template
from thinkgraph.graphs.pictures.prose import formula, is_plain, prose

T = TypeVar("T", bound=Hashable)
Correct = Mapping[tuple[str, str], bool | None]
"""Whether each row is right, by question id and label; None or no entry if it isn't judged."""

THEME = {
    plot.INK: "var(--ink)",
    plot.MUTED: "var(--muted)",
    plot.LINE: "var(--line)",
    plot.PAPER: "var(--card)",
    plot.BLUE: "var(--blue)",
    plot.GREEN: "var(--green)",
    plot.VERMILION: "var(--vermilion)",
    plot.PURPLE: "var(--purple)",
}
EXAMPLES = 3


class Example(NamedTuple):
    """A question that a strategy got wrong by overthinking."""

    anchor: str
    question: Question
    row: Row


class Overthought(NamedTuple):
    """The questions that one strategy got wrong by overthinking."""

    label: str
    questions: int
    examples: list[Example]


class Shared(Generic[T]):
    """Deduplicated values in order of first use; other data refers to them by index."""

    def __init__(self) -> None:
        self._places: dict[T, int] = {}

    def place(self, value: T) -> int:
        """The index of a value, which is added if it is new."""
        return self._places.setdefault(value, len(self._places))

    def values(self) -> list[T]:
        """All values, each at its index."""
        return list(self._places)


def to_html(comparison: Comparison, summary: Summary, correct: Correct) -> str:
    """The HTML page: table, plots, conclusions, and every question with its candidates.

    Args:
        comparison: the questions, strategies and rows; rows may be missing.
        summary: the comparison's summary.
        correct: which answers are right.
    """
    script = files("thinkgraph.evaluate.results").joinpath("page.js").read_text(encoding="utf-8")
    return page_template("thinkgraph.evaluate.results", "page.html.jinja").render(
        comparison=comparison,
        summary=summary,
        columns=[*accuracy(summary), *cost(summary)],
        lines=list(lines(summary)),
        legend=LEGEND,
        plots=list(_plots(summary)),
        groups=group_rows(summary),
        overthought=list(_overthought(comparison, summary)),
        alone=sum(row.tokens for row in comparison.rows),
        data=to_data(comparison, summary, correct),
        script=Markup(script),  # noqa: S704 - our own file
        digest=_digest(script),
    )


def _plots(summary: Summary) -> Iterator[Markup]:
    """Both plots, with the same height, since the page shows them side by side if wide enough."""
    height = max(4.4, plot.forest_height(summary))
    drawings = {
        "Accuracy against tokens a question": plot.tradeoff,
        "Differences to the baseline": plot.differences,
    }
    for label, draw in drawings.items():
        yield _inline(plot.to_svg(draw(summary, plot.HALF, height)), label)


def to_data(comparison: Comparison, summary: Summary, correct: Correct) -> dict[str, Any]:
    """The data for the page's script: JSON with deduplicated drafts and texts.

    ``questions[i].rows[j]`` is the row of strategy ``j``, null if it wasn't run; empty fields are
    left out. ``set`` is the HTML of texts with Markdown or mathematics, by their index, and
    ``formulas`` the MathML of answers in LaTeX. ``rows[j].drafts`` are indices into ``drafts``,
    whose texts are indices into ``texts``.
    """
    texts, drafts = Shared[str](), Shared[tuple[Any, ...]]()
    rows = {(row.question, row.strategy): row for row in comparison.rows}
    labels = [variant.label for variant in comparison.variants]
    lost = {question for found in summary.overthought.values() for question in found}

    def row(question: str, label: str) -> dict[str, Any] | None:
        found = rows.get((question, label))
        mark = correct.get((question, label))
        return _row(found, mark, texts, drafts) if found else None

    questions = [
        _kept(
            id=question.id,
            text=question.text,
            reference=question.reference,
            choices=question.choices,
            messages=[(said.role, said.content) for said in question.messages],
            lost=question.id in lost,
            rows=[row(question.id, label) for label in labels],
        )
        for question in comparison.questions
    ]
    return {
        "strategies": labels,
        "questions": questions,
        "drafts": drafts.values(),
        "texts": texts.values(),
        "set": {
            str(i): str(prose(text)) for i, text in enumerate(texts.values()) if not is_plain(text)
        },
        "formulas": dict(_formulas(comparison)),
    }


def _formulas(comparison: Comparison) -> Iterator[tuple[str, str]]:
    """The answers that are mathematics, each with its MathML."""
    found: set[str | None] = {question.reference for question in comparison.questions}
    for row in comparison.rows:
        found |= {row.answer, *row.votes, *(draft.answer for draft in row.drafts)}
    for answer in sorted(filter(None, found)):
        if (mathematics := formula(answer)) != escape(answer):
            yield answer, str(mathematics)


def _row(
    row: Row, right: bool | None, texts: Shared[str], drafts: Shared[tuple[Any, ...]]
) -> dict[str, Any]:
    return _kept(
        answer=row.answer,
        text=texts.place(row.text),
        tokens=row.tokens,
        prompt=row.prompt_tokens,
        calls=row.calls,
        votes=list(row.votes.items()),
        tie=row.tie,
        cut=row.cut,
        failure=row.failure,
        drafts=[drafts.place(_draft(draft, texts)) for draft in row.drafts],
        remarks=[(said.draft, texts.place(said.text), said.accepted) for said in row.remarks],
    ) | {"right": right}


def _draft(draft: Draft, texts: Shared[str]) -> tuple[Any, ...]:
    """A draft as a tuple rather than a mapping, to keep the JSON small."""
    score = draft.score
    return (
        draft.id,
        texts.place(draft.text),
        draft.answer,
        draft.tokens,
        draft.live,
        draft.finish_reason,
        float(f"{score:.4g}") if score is not None and math.isfinite(score) else None,
    )


def _kept(**fields: Any) -> dict[str, Any]:
    """The fields that carry information: without False, None and empty values, but with 0."""
    return {
        name: value
        for name, value in fields.items()
        if value or (value == 0 and value is not False)
    }


def _overthought(comparison: Comparison, summary: Summary) -> Iterator[Overthought]:
    rows = {(row.question, row.strategy): row for row in comparison.rows}
    places = {question.id: i for i, question in enumerate(comparison.questions)}
    for label, lost in summary.overthought.items():
        known = [i for i in lost if i in places and (i, label) in rows]
        if known:
            examples = [
                Example(f"q-{places[i]}", comparison.questions[places[i]], rows[i, label])
                for i in known[:EXAMPLES]
            ]
            yield Overthought(label, len(known), examples)


def _inline(drawn: str, label: str) -> Markup:
    """A plot as inline SVG, with the colours of the page's light or dark theme and a label."""
    drawn = re.sub(r'<g id="[^"]*">', "<g>", drawn)  # ids would be duplicated between two plots
    for colour, name in THEME.items():
        drawn = drawn.replace(colour, name)
    # Safe: Matplotlib draws every label as shapes, and `to_svg` removes its comments.
    return Markup(drawn.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1))  # noqa: S704


def _digest(script: str) -> str:
    """The hash of a script, in the form of a Content-Security-Policy."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
