"""A cached property is computed once, and instances don't wait for each other."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from thinkgraph.models.cached_property import cached_property


@dataclass(frozen=True)
class Square:
    """A frozen dataclass, as most classes with such a property are."""

    side: int
    counted: list[int] = field(default_factory=list)
    wait: threading.Event | None = None

    @cached_property
    def area(self) -> int:
        """The area."""
        self.counted.append(self.side)
        if self.wait is not None:
            self.wait.wait(30)
        return self.side**2


def test_it_is_computed_once():
    square = Square(3)
    assert (square.area, square.area) == (9, 9) and square.counted == [3]
    assert Square.area.__doc__ == "The area."


def test_an_instance_does_not_wait_for_another():
    done = threading.Event()
    slow = Square(2, wait=done)
    thread = threading.Thread(target=lambda: slow.area)
    thread.start()
    other = threading.Thread(target=lambda: Square(3).area)
    other.start()
    other.join(10)
    was_alive = other.is_alive()
    done.set()
    thread.join()
    other.join()
    assert not was_alive and slow.area == 4
