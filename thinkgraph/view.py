"""The view of a run: live in a terminal, plain lines in a pipe.

Progress goes to standard error and the result to standard output, so that a pipe carries the
result only.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from thinkgraph.graphs.runtime.result import Result
from thinkgraph.graphs.runtime.routes import CONCLUDE
from thinkgraph.live import LiveView
from thinkgraph.nodes.answers import Tally
from thinkgraph.nodes.event import (
    AnswerReached,
    CandidateUpdated,
    CritiqueAdded,
    NodeEvent,
    NodeStarted,
    TextDelta,
    ToolCalled,
)
from thinkgraph.nodes.population import Answer, CallRecord, Candidate
from thinkgraph.nodes.request import RequestRecord
from thinkgraph.terminal import console as make_console

BAR = 30
ROWS = 24


class View(LiveView):
    """Shows a run as its events arrive.

    Args:
        title: the name of the graph.
        shown: whether to show anything; usage is counted in any case.
        console: where to show it; standard error by default.
    """

    def __init__(self, title: str, *, shown: bool = True, console: Console | None = None) -> None:
        super().__init__(shown=shown, console=console, rate=8)
        self._title = title
        self._began = time.perf_counter()
        self._rows: dict[str, Row] = {}
        self._told: dict[str, Candidate] = {}
        self._answer: Answer | None = None

    @property
    def spent(self) -> str:
        """The tokens and seconds so far, as text."""
        tokens = sum(row.tokens for row in self._rows.values())
        return f"{_count(tokens, 'token')} sampled in {time.perf_counter() - self._began:.1f} s"

    def show(self, event: NodeEvent) -> None:
        """Process and show one event."""
        self._take(event)
        if self.alive:
            self.redraw()
        elif self.shown and (line := self._line(event)):
            self.say(line)

    def _take(self, event: NodeEvent) -> None:
        if isinstance(event, TextDelta):
            row = self._rows.setdefault(event.id, Row())
            row.text += event.text
            row.thinks = bool(event.reasoning) or (row.thinks and not event.text)
            row.tokens = event.tokens
        elif isinstance(event, CandidateUpdated):
            found = event.candidate
            row = self._rows.setdefault(found.id, Row())
            row.text, row.tokens = found.text, found.tokens
            row.mark = "rejected" if found.rejected else found.answer or _unanswered(found)
            row.style = ("bold green" if found.answer else "yellow") if found.live else "dim strike"
        elif isinstance(event, CritiqueAdded):
            row = self._rows.setdefault(event.critique.id, Row())
            row.text, row.tokens = event.critique.text, event.critique.tokens
            row.mark = _verdict(event.critique.accepted)
            row.style = "green" if event.critique.accepted else "red"
            if not event.critique.accepted and event.critique.candidate in self._rows:
                self._rows[event.critique.candidate].style = "yellow"
        elif isinstance(event, ToolCalled):
            row = self._rows.setdefault(event.id, Row())
            row.text += f"\n{_call(event.call)}\n"
        elif isinstance(event, AnswerReached):
            self._answer = event.answer

    def _line(self, event: NodeEvent) -> str:
        """The line of an event for a pipe; empty for none."""
        if isinstance(event, NodeStarted) and event.node == CONCLUDE:
            return ""  # no node of the spec
        if isinstance(event, NodeStarted):
            return f"-- {event.node}" + (f", again ({event.round})" if event.round else "")
        if isinstance(event, CandidateUpdated):
            found = event.candidate
            before, self._told[found.id] = self._told.get(found.id), found
            return _told(found, before)
        if isinstance(event, ToolCalled):
            return f"{event.id}  {_call(event.call)}"
        if isinstance(event, CritiqueAdded):
            said = event.critique
            verdict = _verdict(said.accepted)
            return f"{said.id}  [{verdict}]  {' '.join(said.text.split())}"
        return ""

    def picture(self) -> RenderableType:
        """The candidates so far, the vote and the cost."""
        if not self._rows:
            return Text(f"{self._title}: loading the model …", style="dim")
        parts: list[RenderableType] = [self.candidates(ROWS)]
        if self._answer and self._answer.tally:
            parts += [Text(""), bars(self._answer.tally)]
        return Group(*parts, Text(self.spent, style="dim"))

    def ending(self) -> RenderableType:
        """All candidates; the report has the rest."""
        return self.candidates()

    def candidates(self, most: int = 0) -> Table:
        """The last ``most`` candidates and critiques, one per line; 0 for all."""
        table = Table.grid(padding=(0, 1), expand=True)
        table.add_column(no_wrap=True, style="dim")
        table.add_column(no_wrap=True, max_width=16, overflow="ellipsis")
        table.add_column(no_wrap=True, ratio=1, overflow="ellipsis")
        for name, row in list(self._rows.items())[-most:]:
            text = "thinking …" if row.thinks and not row.mark else " ".join(row.text.split())
            shown = text if row.mark else text[-self.console.width :]
            table.add_row(name, Text(row.mark or "…", style=row.style), Text(shown, style="dim"))
        return table


class Row:
    """One candidate or critique on the screen."""

    def __init__(self) -> None:
        self.text, self.tokens, self.mark, self.style = "", 0, "", ""
        self.thinks = False


def _verdict(accepted: bool) -> str:
    return "accepted" if accepted else "not accepted"


def _call(call: CallRecord) -> str:
    """A tool call and its result, in one line."""
    given = ", ".join(f"{name}={value!r}" for name, value in call.arguments.items())
    return f"[{call.tool}({_short(given)}) → {_short(call.result)}, {call.seconds:.1f} s]"


def _short(text: str, most: int = 120) -> str:
    line = " ".join(text.split())
    return line if len(line) <= most else f"{line[:most]}…"


def _told(candidate: Candidate, before: Candidate | None) -> str:
    """The line of a candidate for a pipe: the whole candidate first, and then changes only."""
    gone = "rejected" if candidate.rejected else "retired"
    if before is None or before.text != candidate.text:
        found = gone if not candidate.live else candidate.answer or _unanswered(candidate)
        return f"{candidate.id}  [{found}]  {' '.join(candidate.text.split())}"
    changes = []
    if candidate.score is not None and candidate.score != before.score:
        changes.append(f"score {candidate.score:.3g}")
    if candidate.answer != before.answer:
        changes.append(candidate.answer or _unanswered(candidate))
    if candidate.live != before.live:
        changes.append("live again" if candidate.live else gone)
    return f"{candidate.id}  [{', '.join(changes)}]" if changes else ""


def _unanswered(candidate: Candidate) -> str:
    """The mark of a candidate in which no answer was found that can be compared."""
    return "no short answer" if candidate.text.strip() else "no answer"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def bars(tally: Tally) -> Table:
    """A vote as a bar chart."""
    table = Table.grid(padding=(0, 1))
    table.add_column(justify="right", max_width=40, overflow="ellipsis", no_wrap=True)
    for i, found in enumerate(tally.classes):
        length = max(1, round(BAR * found.share))
        style = "bold green" if i == 0 and not tally.tie else ""
        table.add_row(Text(found.value, style=style), Text("█" * length, style), str(found.votes))
    if tally.abstentions:
        table.add_row(Text("no answer", style="dim"), "", str(tally.abstentions))
    return table


def show_requests(requests: Sequence[RequestRecord], console: Console | None = None) -> None:
    """Print the requests to the models: messages, settings, seeds and results."""
    console = console or make_console(soft_wrap=True)
    for number, request in enumerate(requests, 1):
        settings = request.sampling.model_dump(exclude_defaults=True, mode="json")
        asked = {"options": list(request.options)} if request.options else {"n": len(request.seeds)}
        told = " ".join(f"{key}={value}" for key, value in {**asked, **settings}.items())
        place = f"request {number}: {request.node} (round {request.round}) to {request.model}"
        console.print(Text(f"{place} {told}", style="bold"))
        for message in request.messages:
            console.print(Text(f"[{message.role}] ", style="dim") + Text(message.content))
        if request.rendered is not None:
            console.print(Text(f"[rendered, {len(request.tokens or ())} tokens]", style="dim"))
            console.print(Text(request.rendered))
            console.print(Text(" ".join(map(str, request.tokens or ())), style="dim"))
        for done in request.completions:
            why = f"[seed {done.seed}, {done.tokens} tokens, {done.finish_reason}] "
            console.print(Text(why, style="green") + Text(done.text))
        found = request.probabilities or request.scores
        for option, chance in zip(request.options, found, strict=False):
            console.print(Text(f"[{chance:.3f}] ", style="green") + Text(option))
        if request.error:
            console.print(Text(f"[failed] {request.error}", style="red"))
        console.print()


def report(result: Result, console: Console | None = None) -> None:
    """Print a result in readable form to standard output: the answer, the vote and the cost."""
    console = console or make_console(soft_wrap=True)
    wraps = not console.is_terminal  # in a terminal, lines break between words
    answer = result.answer
    style = "bold yellow" if result.accepted is False else "bold"
    console.print(Text(result.output_text.strip() or "no answer", style=style))
    if result.accepted is False and not result.rejected:
        console.print(Text("not accepted: the critics rejected this answer", style="yellow"))
    if answer.value is None and answer.of > 1:
        console.print("no comparable answer was found in any candidate; this is the first's text")
    if answer.of > 1 and answer.tally:
        console.print()
        console.print(bars(answer.tally))
        console.print(_sentence(answer, answer.tally), soft_wrap=wraps)
    if (
        answer.tally
        and not result.rejected
        and (more := answer.note.removeprefix(answer.tally.note).strip())
    ):
        console.print(more, soft_wrap=wraps)
    elif answer.of == 1 and any(c.live and c.finish_reason == "length" for c in result.candidates):
        console.print("the text was cut off at max_tokens; -p max_tokens=N sets another limit")
    if result.cut:
        console.print(f"cut short: {result.cut}")
    for key, failures in result.failures.items():
        for failure in failures:
            console.print(Text(f"failed in {key}: {failure}", style="yellow"))
    console.print(Text(cost(result), style="dim"), soft_wrap=wraps)


def _sentence(answer: Answer, tally: Tally) -> str:
    if not tally.classes:
        return f"none of {answer.of} candidates gave an answer that can be compared"
    words = f"{answer.votes} of {answer.of} votes"
    if answer.tie:
        *others, last = tally.tied
        tied = f"{', '.join(others)} and {last}" if others else last
        return f"{words}: a tie of {tied}; the one that came first was taken"
    sure = f"{tally.confidence:.0%} probability"
    return f"{words}; {sure} that this is the model's most frequent answer"


def cost(result: Result) -> str:
    """The tokens, calls and seconds of a run, in one line."""
    spent = result.usage
    parts: list[Any] = [
        f"{spent.prompt_tokens} prompt tokens ({spent.cached_tokens} from the cache)",
        f"{spent.completion_tokens} sampled",
        _count(spent.model_calls, "model call"),
        f"{spent.wall_s:.1f} s",
        f"seed {result.seed}",
    ]
    return " · ".join(parts)
