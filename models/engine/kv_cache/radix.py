"""The prefix cache: a radix tree over token prefixes, whose nodes own KV cells."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

_BLOCK = 64


def common_prefix(tokens: Sequence[int], others: Sequence[int], start: int = 0) -> int:
    """Length of the common prefix of ``tokens`` and of ``others`` from ``start`` on."""
    most = min(len(tokens), len(others) - start)
    at = 0
    while at < most and tokens[at : at + _BLOCK] == others[start + at : start + at + _BLOCK]:
        at += _BLOCK
    while at < most and tokens[at] == others[start + at]:
        at += 1
    return min(at, max(most, 0))


class Node:
    """A run of tokens that follows its parent's; a root has no tokens and no cells.

    ``sequence`` is the llama.cpp sequence that holds the node's cells, ``users`` are the leases
    that see them, and ``last_used`` is the pool's clock at the last use.
    """

    __slots__ = ("children", "last_used", "parent", "sequence", "start", "tokens", "users")

    def __init__(
        self, tokens: list[int] | None = None, parent: Node | None = None, sequence: int = -1
    ) -> None:
        self.tokens = tokens or []
        self.parent = parent
        self.sequence = sequence
        self.start: int = parent.end if parent else 0
        self.children: dict[int, Node] = {}
        self.users: set[Any] = set()
        self.last_used = 0

    @property
    def length(self) -> int:
        """Number of tokens of this node alone."""
        return len(self.tokens)

    @property
    def end(self) -> int:
        """Number of tokens from the root to this node's end."""
        return self.start + len(self.tokens)

    @property
    def evictable(self) -> int:
        """Number of cells at the node's end that no lease uses."""
        used = max((lease.shared for lease in self.users), default=self.start)
        return max(0, self.end - used)

    def path(self) -> Iterator[Node]:
        """This node and those above it, without the root."""
        node = self
        while node.parent:
            yield node
            node = node.parent

    def descendants(self) -> Iterator[Node]:
        """All nodes below, parents first."""
        for child in self.children.values():
            yield child
            yield from child.descendants()

    def add_child(self, tokens: list[int], sequence: int) -> Node:
        """Add a child with ``tokens`` to this node."""
        child = Node(tokens, self, sequence)
        self.children[tokens[0]] = child
        return child

    def split(self, length: int, sequence: int) -> Node:
        """Keep the first ``length`` tokens and move the rest to a new child, which is returned."""
        rest, children = self.tokens[length:], self.children
        self.tokens, self.children = self.tokens[:length], {}
        lower = self.add_child(rest, sequence)
        lower.children, lower.last_used = children, self.last_used
        for child in children.values():
            child.parent = lower
        return lower

    def detach(self) -> None:
        """Remove this leaf from the tree."""
        if self.parent:
            del self.parent.children[self.tokens[0]]
            self.parent = None
