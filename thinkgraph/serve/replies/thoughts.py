"""The thoughts of a run as one readable text: drafts, critiques and votes as they arrive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from thinkgraph.nodes.event import (
    AnswerReached,
    CandidateUpdated,
    CritiqueAdded,
    NodeEvent,
    NodeStarted,
    TextDelta,
)
from thinkgraph.nodes.population import Answer, Candidate, Criticism


@dataclass
class Block:
    """The text of one candidate or critique.

    Attributes:
        waiting: text that hasn't been shown yet.
        written: whether any of the text has been shown.
        thinks: whether the last text was reasoning.
        end: the remark after the text; None while the text is being written.
    """

    waiting: str = ""
    written: bool = False
    thinks: bool = False
    end: str | None = None

    def add(self, delta: TextDelta) -> None:
        """Add new text, with a blank line between reasoning and what follows it."""
        if delta.text and self.thinks:
            self.waiting += "\n\n"
        self.thinks = (self.thinks or bool(delta.reasoning)) and not delta.text
        self.waiting += delta.reasoning + delta.text


class Thoughts:
    """Converts a run's events to text.

    Samples grow concurrently, but a text is read sequentially. So one sample is shown as it grows,
    and the others after it has ended.

    Args:
        writer: the node whose text is the answer rather than a thought.
    """

    def __init__(self, writer: str | None = None) -> None:
        self._writer = writer
        self._blocks: dict[str, Block] = {}
        self._told: dict[str, Candidate] = {}
        self._shown: str | None = None

    def take(self, event: NodeEvent) -> str:
        """The text that an event adds."""
        return "".join(self._take(event))

    def close(self) -> str:
        """The text that hasn't been shown yet, at the end of a run."""
        return "".join(self._flush())

    def _take(self, event: NodeEvent) -> Iterator[str]:
        match event:
            case NodeStarted():
                yield from self._flush()
            case TextDelta() if event.node == self._writer:
                yield event.reasoning
            case TextDelta():
                self._blocks.setdefault(event.id, Block()).add(event)
                yield from self._show()
            case CandidateUpdated(candidate=candidate) if candidate.node != self._writer:
                yield from self._candidate(candidate)
            case CritiqueAdded(critique=critique):
                verdict = "accepted" if critique.accepted else "not accepted"
                yield from self._end(critique, f"{critique.candidate} is {verdict}")
            case AnswerReached(answer=answer):
                yield from self._flush()
                yield votes(answer)

    def _candidate(self, candidate: Candidate) -> Iterator[str]:
        before = self._told.get(candidate.id)
        self._told[candidate.id] = candidate
        if before is None or before.text != candidate.text:
            cancelled = candidate.finish_reason == "cancelled"
            end = "cancelled" if cancelled else candidate.answer or "no answer"
            yield from self._end(candidate, end)
        elif candidate.score is not None and candidate.score != before.score:
            yield f"{candidate.id}: score {candidate.score:.3g}\n"

    def _end(self, item: Candidate | Criticism, end: str) -> Iterator[str]:
        """Complete an item's text, which is taken whole if it wasn't streamed."""
        block = self._blocks.setdefault(item.id, Block())
        if not block.written and not block.waiting:
            block.waiting = item.text
        block.end = end
        yield from self._show()

    def _show(self) -> Iterator[str]:
        """Show new text of the current block, and the next blocks once it has ended."""
        while self._blocks:
            name = self._shown = self._shown or next(iter(self._blocks))
            block = self._blocks[name]
            if block.waiting and not block.written:
                yield f"**{name}** "
                block.written = True
            yield block.waiting
            block.waiting = ""
            if block.end is None:
                return
            yield f"\n→ {block.end}\n\n" if block.written else f"**{name}** → {block.end}\n\n"
            del self._blocks[name]
            self._shown = None

    def _flush(self) -> Iterator[str]:
        """Show all blocks, including those whose end was never reported."""
        for block in self._blocks.values():
            block.end = "" if block.end is None else block.end
        for piece in self._show():
            yield piece.replace("\n→ \n\n", "\n\n")


def votes(answer: Answer) -> str:
    """A vote in one line; empty if there was none."""
    if answer.of <= 1 or answer.tally is None:
        return ""
    counts = [f"{found.value} × {found.votes}" for found in answer.tally.classes]
    if answer.tally.abstentions:
        counts.append(f"no answer × {answer.tally.abstentions}")
    return f"Votes: {', '.join(counts)}\n"
