"""Incremental detokenization: holds back partial UTF-8 and possible stop strings."""

from __future__ import annotations

import codecs
from collections.abc import Iterable

from thinkgraph.models.formats.format import PLAIN
from thinkgraph.models.formats.parser import ResponseParser, Said
from thinkgraph.models.formats.scan import held_back

_decoder = codecs.getincrementaldecoder("utf-8")


class TextStream:
    """Turns the bytes of tokens into a model's output: thoughts, tool calls and the answer.

    Incomplete UTF-8 is held back until the rest arrives, and text of the answer that may begin a
    stop string until it is clear that it doesn't. A character that the completion leaves
    incomplete is dropped.

    Args:
        stop: texts that end the answer; within a thought only the thought's end delimiter counts.
        parser: separates thoughts, calls and the answer.
        after_text: whether stop strings count only after visible text.
    """

    def __init__(
        self,
        stop: tuple[str, ...] = (),
        parser: ResponseParser | None = None,
        *,
        after_text: bool = False,
    ) -> None:
        self._stop = tuple(s for s in stop if s)
        self._after_text = after_text
        self._decoder = _decoder("replace")
        self.parser = parser or ResponseParser(PLAIN)
        self._new = Said()
        self._stops_at_thoughts_end = self.parser.thought_end in self._stop
        self._held = ""
        self.text = ""
        self.stop_text = ""

    def add(self, piece: bytes) -> None:
        """Append a token's bytes; sets :attr:`stop_text` when a stop string is complete."""
        if text := self._decoder.decode(piece):
            self.parser.feed(text)
            self._take(final=False)

    @property
    def stopped(self) -> bool:
        """Whether a stop string has ended the answer."""
        return bool(self.stop_text)

    def close(self) -> None:
        """Release the text that was held back, once the completion has ended."""
        self.parser.close()
        self._take(final=True)

    def take(self) -> Said:
        """Return the output that has become final since the last call."""
        new, self._new = self._new, Said()
        return new

    def _take(self, *, final: bool) -> None:
        said = self.parser.take()
        self._new.add_calls(said)
        self._new.reasoning += said.reasoning
        if self.stopped:
            return
        if self._stops_at_thoughts_end and self.parser.thought_ended:
            self.stop_text = self.parser.thought_end
            return
        text, self._held = self._held + said.text, ""
        if (found := first_stop(text, self._stop, self._blank(text))) is not None:
            self.stop_text = next(s for s in self._stop if text.startswith(s, found))
            text = text[:found]
        elif self._stop and not final:
            end = len(text) - held_back(text, self._stop)
            text, self._held = text[:end], text[end:]
        self._new.text += text
        self.text += text

    def _blank(self, text: str) -> int:
        """Length of the leading blanks in which a stop string doesn't count, if any."""
        if not self._after_text or self.text.strip():
            return 0
        return len(text) - len(text.lstrip())


def first_stop(text: str, stop: Iterable[str], start: int = 0) -> int | None:
    """The position of the first stop string in a text, from ``start`` on; None without one."""
    return min((at for s in stop if (at := text.find(s, start)) >= 0), default=None)
