"""Incremental detokenization: holds back partial UTF-8 and possible stop strings."""

from __future__ import annotations

import codecs
from collections.abc import Iterable

from thinkgraph.models.formats.format import PLAIN
from thinkgraph.models.formats.parser import ResponseParser, Said
from thinkgraph.models.formats.scan import held_back

_decoder = codecs.getincrementaldecoder("utf-8")


class TextStream:
    """Turns the bytes of tokens into what a model says: thoughts, calls of tools, an answer.

    Bytes that begin a character are held back until the rest is there, and text of the answer
    that may begin a stop string until it is clear that it doesn't. A character that the
    completion leaves unfinished is dropped.

    Args:
        stop: texts that end the answer; in a thought they are text, but for the thought's end.
        parser: tells thoughts, calls and the answer apart.
        after_text: a text of ``stop`` is one only behind visible text.
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
        """Show what was held back, once no more text will come."""
        self.parser.close()
        self._take(final=True)

    def take(self) -> Said:
        """What has become final since the last call."""
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
        """How many of the characters of a text come before anything visible, if it matters."""
        if not self._after_text or self.text.strip():
            return 0
        return len(text) - len(text.lstrip())


def first_stop(text: str, stop: Iterable[str], start: int = 0) -> int | None:
    """Where the first of the stop strings begins in a text, from ``start`` on."""
    return min((at for s in stop if (at := text.find(s, start)) >= 0), default=None)
