"""The waiting queue: sequences that wait for admission, oldest first.

The cost of an operation doesn't depend on how many sequences wait: they are indexed by their
adapter and by their prompt.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator
from itertools import islice
from typing import TypeVar

from thinkgraph.models.engine.sequence import Adapter, Sequence

K = TypeVar("K")
Ordered = OrderedDict[Sequence, None]


class WaitingQueue:
    """Waiting sequences, in order of arrival; preempted ones come first."""

    def __init__(self) -> None:
        self._by_adapter: dict[Adapter | None, Ordered] = {}
        self._by_prompt: dict[tuple[Adapter | None, int], Ordered] = {}
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[Sequence]:
        for queue in self._by_adapter.values():
            yield from queue

    def __contains__(self, sequence: Sequence) -> bool:
        return sequence in self._by_adapter.get(sequence.request.adapter, ())

    @property
    def adapters(self) -> list[Adapter | None]:
        """The adapters of the waiting sequences."""
        return list(self._by_adapter)

    def append(self, sequence: Sequence, *, front: bool = False) -> None:
        """Add a sequence at the end, or in front of all others."""
        adapter = sequence.request.adapter
        for queue in (
            self._by_adapter.setdefault(adapter, OrderedDict()),
            self._by_prompt.setdefault((adapter, sequence.request.prompt_hash), OrderedDict()),
        ):
            queue[sequence] = None
            if front:
                queue.move_to_end(sequence, last=False)
        self._size += 1

    def remove(self, sequence: Sequence) -> None:
        """Remove a sequence.

        Raises:
            KeyError: the sequence is not waiting.
        """
        adapter = sequence.request.adapter
        _take(self._by_adapter, adapter, sequence)
        _take(self._by_prompt, (adapter, sequence.request.prompt_hash), sequence)
        self._size -= 1

    def oldest(self, adapter: Adapter | None, count: int) -> list[Sequence]:
        """The first ``count`` sequences that wait for an adapter."""
        return list(islice(self._by_adapter.get(adapter, ()), count))

    def same_prompt(self, leader: Sequence, count: int) -> list[Sequence]:
        """The first ``count`` new sequences with the leader's adapter and prompt."""
        key = (leader.request.adapter, leader.request.prompt_hash)
        found = (s for s in self._by_prompt.get(key, ()) if s.is_new and s.prompt == leader.prompt)
        return list(islice(found, count))


def _take(queues: dict[K, Ordered], key: K, sequence: Sequence) -> None:
    queue = queues[key]
    del queue[sequence]
    if not queue:
        del queues[key]
