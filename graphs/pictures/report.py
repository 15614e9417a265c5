"""The HTML report of a run: one page that loads nothing else, for debugging a strategy.

Text of users and models is always a value that Jinja escapes, and never a template. The page
has no script: candidates open as ``<details>``, and filters are radio buttons.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from markupsafe import Markup

from thinkgraph.graphs.catalogue import builtin_names
from thinkgraph.graphs.pictures.drawing import svg
from thinkgraph.graphs.pictures.html import page_template
from thinkgraph.graphs.record import RunRecord, RunUsage
from thinkgraph.nodes.population import Candidate, Criticism


class Bar(NamedTuple):
    """One class of answers in the vote."""

    value: str
    votes: int
    weight: float | None
    """Total weight of the votes; None if each weighs one."""
    share: float
    """Length relative to the longest bar, 0 to 1."""
    wins: bool
    abstains: bool = False


class Card(NamedTuple):
    """A candidate with its parents, children, critiques and vote."""

    anchor: str
    candidate: Candidate
    parents: list[tuple[str, str]]
    """Id and anchor of each candidate it was written from; the anchor of a missing one is empty."""
    children: list[tuple[str, str]]
    critiques: list[Criticism]
    bar: int | None
    """Index of the bar that counts it; None if it is not in the vote."""
    wins: bool


class Filter(NamedTuple):
    """A set of candidates that can be shown alone: those with the class ``name``."""

    name: str
    words: str
    size: int


class Row(NamedTuple):
    """The usage of one run of a node."""

    name: str
    usage: RunUsage
    share: float
    """Its sampled tokens relative to those of the run that sampled most, 0 to 1."""


def to_html(result: RunRecord, command: str | None = None) -> str:
    """The page: question, answer, vote, the path through the graph, every candidate, the cost.

    Args:
        result: a finished run; one without a spec has no drawing.
        command: the command that repeats the run; made by `reproduce` by default.
    """
    counted = _counted(result)
    bars = _bars(result, counted)
    return page_template("thinkgraph.graphs.pictures", "report.html.jinja").render(
        result=result,
        bars=bars,
        filters=_filters(result),
        cards=list(_cards(result, counted)),
        rows=list(_rows(result)),
        concludes="conclude" in result.counts,
        drawing=_drawing(result),
        command=command or reproduce(result),
    )


def reproduce(result: RunRecord) -> str:
    """The command that repeats a run, with the same models, seed, params and inputs."""
    known = result.graph in builtin_names()
    words = ["thinkgraph", "run", result.graph if known else f"{result.graph}.yaml"]
    options = ["--model", result.model, "--seed", str(result.seed)]
    roles = {each.role: each.model for each in result.requests if each.role}
    for role, model in roles.items():
        if model != result.model:
            options += ["--role", f"{role}={model}"]
    defaults: dict[str, Any] = {}
    if spec := result.spec:
        defaults |= {name: each.default for name, each in spec.params.items()}
        defaults |= {name: each.default for name, each in spec.inputs.items()}
    for name, value in {**result.params, **result.inputs}.items():
        if name not in defaults or defaults[name] != value:
            options += ["-p", f"{name}={_shown(value)}"]
    if result.question.startswith("-"):  # not an option
        return shlex.join([*words, *options, "--", result.question])
    return shlex.join([*words, result.question, *options])


def _shown(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _drawing(result: RunRecord) -> Markup:
    if result.spec is None:
        return Markup("")
    # The drawing escapes every name and condition itself.
    return Markup(svg(result.spec, result.counts, params=result.params))  # noqa: S704


def _bars(result: RunRecord, counted: Mapping[str, int]) -> list[Bar]:
    tally = result.answer.tally
    if tally is None:
        return []
    longest = max([found.share for found in tally.classes], default=1) or 1
    speaker = counted.get(result.answer.candidate or "")
    bars = [
        Bar(
            found.value,
            found.votes,
            None if found.weight == found.votes else found.weight,
            found.share / longest,
            wins=found.value in tally.tied if result.answer.tie else i == speaker,
        )
        for i, found in enumerate(tally.classes)
    ]
    if tally.abstentions:
        bars.append(Bar("no answer", tally.abstentions, None, 0, wins=False, abstains=True))
    return bars


def _counted(result: RunRecord) -> dict[str, int]:
    """Index of the bar of each voter; in a record without voters, found by the answer's text."""
    tally, voters = result.answer.tally, result.answer.voters
    if tally is None:
        return {}
    if not voters:
        bars = {found.value: i for i, found in enumerate(tally.classes)}
        return {c.id: bars[c.answer] for c in result.candidates if c.live and c.answer in bars}
    found = dict.fromkeys(voters, len(tally.classes))
    return found | {voters[i]: bar for bar, c in enumerate(tally.classes) for i in c.members}


def _cards(result: RunRecord, counted: Mapping[str, int]) -> Iterator[Card]:
    anchors = {candidate.id: f"c{i}" for i, candidate in enumerate(result.candidates)}
    children: dict[str, list[tuple[str, str]]] = {}
    for candidate in result.candidates:
        for parent in candidate.parents:
            children.setdefault(parent, []).append((candidate.id, anchors[candidate.id]))
    critiques: dict[str, list[Criticism]] = {}
    for criticism in result.critiques:
        critiques.setdefault(criticism.candidate, []).append(criticism)
    for candidate in result.candidates:
        yield Card(
            anchor=anchors[candidate.id],
            candidate=candidate,
            parents=[(parent, anchors.get(parent, "")) for parent in candidate.parents],
            children=children.get(candidate.id, []),
            critiques=critiques.get(candidate.id, []),
            bar=counted.get(candidate.id),
            wins=candidate.id == result.answer.candidate,
        )


def _filters(result: RunRecord) -> list[Filter]:
    found = result.candidates
    filters = [
        Filter("all", "all", len(found)),
        Filter("live", "live", sum(c.live for c in found)),
        Filter("retired", "retired", sum(not c.live for c in found)),
        Filter("mute", "no answer", sum(c.answer is None for c in found)),
        Filter("short", "cut off", sum(c.finish_reason != "stop" for c in found)),
    ]
    return [shown for shown in filters if shown.name == "all" or 0 < shown.size < len(found)]


def _rows(result: RunRecord) -> Iterator[Row]:
    most = max((usage.completion_tokens for usage in result.nodes.values()), default=0) or 1
    for name, usage in result.nodes.items():
        yield Row(name, usage, usage.completion_tokens / most)
