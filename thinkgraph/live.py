"""The live display that the views of runs and comparisons share, on standard error."""

from __future__ import annotations

from abc import ABC, abstractmethod
from types import TracebackType
from typing import Self

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from thinkgraph import terminal


class LiveView(ABC):
    """A picture that is redrawn in a terminal, and lines in a pipe.

    Args:
        shown: whether to show anything.
        console: where; standard error, unless given.
        rate: redraws a second.
    """

    def __init__(self, *, shown: bool, console: Console | None, rate: float) -> None:
        self.console = console or terminal.console(stderr=True)
        self.shown = shown
        alive = shown and self.console.is_terminal
        self._live = Live(console=self.console, refresh_per_second=rate) if alive else None

    @abstractmethod
    def picture(self) -> RenderableType:
        """What the terminal shows now."""

    def ending(self) -> RenderableType:
        """What stays in the terminal when it is over."""
        return self.picture()

    def close(self) -> None:  # noqa: B027 (nothing, unless a view has something to say)
        """Say what a pipe gets at the end."""

    def say(self, line: str) -> None:
        """Print a line, if anybody reads it."""
        try:
            self.console.print(Text(line), soft_wrap=True)
        except BrokenPipeError:
            self.shown = False

    @property
    def alive(self) -> bool:
        """Whether there is a terminal to draw in."""
        return self._live is not None

    def redraw(self) -> None:
        """Bring the terminal up to date."""
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
