"""The base class of live displays on standard error, for runs, comparisons and trainings."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from thinkgraph import terminal


class LiveView(ABC):
    """A live picture in a terminal, or plain lines in a pipe.

    Args:
        shown: whether to show anything.
        console: where to show it; standard error if None.
        rate: redraws per second.
    """

    def __init__(self, *, shown: bool, console: Console | None, rate: float) -> None:
        self.console = console or terminal.console(stderr=True)
        self.shown = shown
        alive = shown and self.console.is_terminal
        self._live = Live(console=self.console, refresh_per_second=rate) if alive else None

    @abstractmethod
    def picture(self) -> RenderableType:
        """The current content of the terminal."""

    def ending(self) -> RenderableType:
        """The content that stays in the terminal at the end."""
        return self.picture()

    def close(self) -> None:  # noqa: B027 (optional for subclasses)
        """Print the last lines if there is no terminal."""

    def say(self, line: str) -> None:
        """Print a line; if the reader has closed the pipe, print nothing from then on."""
        try:
            self.console.print(Text(line), soft_wrap=True)
        except BrokenPipeError:
            self.shown = False

    @property
    def alive(self) -> bool:
        """Whether there is a terminal to draw in."""
        return self._live is not None

    def redraw(self) -> None:
        """Update the terminal."""
        if self._live:
            self._live.update(self.picture())

    def __enter__(self) -> Self:
        if self._live:
            self._live.start()
            self.redraw()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._live:
            self._live.update(self.ending())
            self._live.stop()
        elif self.shown:
            self.close()
