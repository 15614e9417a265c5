"""Incremental detokenization: holds back partial UTF-8 and possible stop strings."""

from __future__ import annotations

import codecs

_decoder = codecs.getincrementaldecoder("utf-8")


class TextStream:
    """Turns the bytes of tokens into text that can be shown.

    Bytes that begin a character are held back until the rest is there, and text that may
    begin a stop string until it is clear that it doesn't. A character that the completion
    leaves unfinished is dropped.
    """

    def __init__(self, stop: tuple[str, ...] = ()) -> None:
        self._stop = tuple(s for s in stop if s)
        self._decoder = _decoder("replace")
        self._shown: list[str] = []
        self._held = ""
        self._taken = 0
        self.stopped = False

    def add(self, piece: bytes) -> None:
        """Append a token's bytes; sets :attr:`stopped` when a stop string is complete."""
        text = self._held + self._decoder.decode(piece)
        if not self._stop:
            if text:
                self._shown.append(text)
            return
        found = [at for s in self._stop if (at := text.find(s)) >= 0]
        if found:
            self.stopped = True
            self._show(text, min(found))
            self._held = ""
        else:
            self._show(text, len(text) - self._possible_stop(text))

    def close(self) -> None:
        """Show what was held back, once no more text will come."""
        self._show(self._held, len(self._held))

    def take(self) -> str:
        """The text that has become final since the last call."""
        new = "".join(self._shown[self._taken :])
        self._taken = len(self._shown)
        return new

    @property
    def text(self) -> str:
        """All of the text that is final."""
        return "".join(self._shown)

    def _show(self, text: str, end: int) -> None:
        if end:
            self._shown.append(text[:end])
        self._held = text[end:]

    def _possible_stop(self, text: str) -> int:
        """Length of the longest end of ``text`` that begins a stop string."""
        longest = max(map(len, self._stop)) - 1
        return next(
            (
                n
                for n in range(min(longest, len(text)), 0, -1)
                if any(s.startswith(text[-n:]) for s in self._stop)
            ),
            0,
        )
