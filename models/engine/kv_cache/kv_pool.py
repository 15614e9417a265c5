"""The block manager of the KV cache: which sequence or cached prefix owns which cells.

llama.cpp marks each cell with the set of sequences that see it. The pool gives every cell one
owner: a node of the prefix tree (whose own sequence id holds just the node's positions), or
one running sequence. A sequence sees the nodes of its prefix and owns what comes after. So
the cells in use are the nodes' lengths plus the sequences' private tails, and nothing else.
Samples with equal tokens so far are one sequence, with one lease, until they draw different tokens.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import Protocol

from thinkgraph.models.engine.kv_cache.radix import Node, common_prefix

END = -1  # llama.cpp's "to the end"


class Memory(Protocol):
    """The operations of llama.cpp's KV cache that the pool needs."""

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        """Let ``target`` see the cells of ``source`` at positions [start, end)."""
        ...

    def remove(self, sequence: int, start: int, end: int) -> None:
        """Remove ``sequence`` from its cells at [start, end); cells without a sequence are free."""
        ...

    def first(self, sequence: int) -> int:
        """The lowest position whose cell ``sequence`` still has, or -1."""
        ...

    def clear(self) -> None:
        """Free every cell, and fill all of them with zeros."""
        ...


class Lease:
    """A running sequence's hold on the cache: ``length`` cells, ``shared`` owned by the tree."""

    __slots__ = ("adapter", "cached", "holders", "length", "node", "sequence", "shared")

    def __init__(self, sequence: int, adapter: Hashable, node: Node, length: int) -> None:
        self.sequence = sequence
        self.adapter = adapter
        self.node = node
        """The deepest node whose cells the sequence sees; it uses that node and all above it."""
        self.length = self.shared = self.cached = length
        """``cached`` remains the number of cells that were found when the lease began."""
        self.holders = 1
        """Number of samples that share the sequence; the lease ends when the last releases it."""

    @property
    def private(self) -> int:
        """Number of cells that the sequence itself owns."""
        return self.length - self.shared


class KvPool:
    """Allocates sequence ids and accounts for cells.

    Args:
        memory: the KV cache.
        cells: number of its cells.
        sequences: ids below this are for running sequences; those from it up to ``ids`` hold the
            tree's nodes.
        ids: total number of sequence ids.
        can_share: whether parts of a sequence can be shared and removed; without it (recurrent
            models) nothing is cached and a fork counts all its cells again.
        windowed: whether old cells may vanish (sliding windows), so that a prefix must be
            checked before it is reused.
    """

    def __init__(
        self,
        memory: Memory,
        cells: int,
        sequences: int,
        ids: int,
        *,
        can_share: bool = True,
        windowed: bool = False,
    ) -> None:
        self.memory, self.cells, self.can_share, self.windowed = memory, cells, can_share, windowed
        self._sequence_ids = list(range(sequences))[::-1]
        self._node_ids = list(range(sequences, ids))[::-1] if can_share else []
        self.roots: dict[Hashable, Node] = {}
        self.leases: set[Lease] = set()
        self.private = 0
        self.cached_cells = 0
        self.clock = 0
        self.evictions = 0

    @property
    def free(self) -> int:
        """Number of free cells."""
        return self.cells - self.cached_cells - self.private

    @property
    def idle(self) -> int:
        """Number of cells of prefixes that no lease uses."""
        return sum(node.evictable for node in self.nodes())

    def nodes(self) -> Iterator[Node]:
        """All nodes of all trees, parents first."""
        for root in self.roots.values():
            yield from root.descendants()

    def match(self, adapter: Hashable, tokens: Sequence[int], limit: int) -> tuple[Node, int]:
        """The longest cached prefix of ``tokens``, of at most ``limit``: its node and length."""
        node = self.roots.setdefault(adapter, Node())
        while node.end < limit and (child := node.children.get(tokens[node.end])):
            if self._slid_out(child):
                break
            length = child.start + common_prefix(child.tokens, tokens, child.start)
            if length < child.end or length >= limit:
                return child, min(length, limit)
            node = child
        return node, min(node.end, limit)

    def lease(self, adapter: Hashable, tokens: Sequence[int], limit: int) -> Lease:
        """Start a sequence that sees the longest cached prefix of ``tokens``, up to ``limit``."""
        node, length = self.match(adapter, tokens, limit)
        lease = Lease(self._sequence_ids.pop(), adapter, node, length)
        for above in node.path():
            above.users.add(lease)
            self._map_cells(above, lease.sequence, length)
        self.leases.add(lease)
        self._touch(node)
        return lease

    def fork(self, lease: Lease, tokens: Sequence[int]) -> Lease | None:
        """Start a sequence that sees the lease's first cells, those of ``tokens``.

        None if the tree can't own these cells and the lease already extends beyond them.
        """
        size = len(tokens)
        if self.commit(lease, tokens) and self.match(lease.adapter, tokens, size)[1] == size:
            return self.lease(lease.adapter, tokens, size)
        if lease.length != len(tokens):
            return None
        other = Lease(self._sequence_ids.pop(), lease.adapter, lease.node, lease.shared)
        for above in other.node.path():
            above.users.add(other)
        self.memory.copy(lease.sequence, other.sequence, 0, END)
        self.leases.add(other)
        self.grow(other, lease.private)  # counted twice: an upper bound
        return other

    def share(self, lease: Lease) -> Lease:
        """Add a holder to a lease, and return it."""
        lease.holders += 1
        return lease

    def branch(self, lease: Lease, tokens: Sequence[int], holders: int) -> Lease | None:
        """Fork a lease, and move some of its holders to the new one."""
        other = self.fork(lease, tokens)
        if other:
            lease.holders -= holders
            other.holders = holders
        return other

    def grow(self, lease: Lease, count: int) -> None:
        """Account for cells that the lease's sequence has taken."""
        lease.length += count
        self.private += count

    def commit(self, lease: Lease, tokens: Sequence[int]) -> bool:
        """Give the lease's first cells, those of ``tokens``, to the tree; True if it has all."""
        if not self.can_share or (self.windowed and self.memory.first(lease.sequence) > 0):
            return False
        if len(tokens) <= lease.shared:
            return True
        node = self._descend(lease, tokens)
        return node.end >= len(tokens) or self._append(node, lease, tokens)

    def release(self, lease: Lease) -> None:
        """Release one holder; with the last, free the cells that the lease itself owns."""
        lease.holders -= 1
        if lease.holders:
            return
        self.memory.remove(lease.sequence, 0, END)
        self.private -= lease.private
        for node in lease.node.path():
            node.users.discard(lease)
        self._touch(lease.node)
        self.leases.discard(lease)
        self._sequence_ids.append(lease.sequence)

    def evict(self, cells: int) -> bool:
        """Drop the least recently used prefixes until ``cells`` are free; False if impossible."""
        while self.free < cells:
            if not self._evict_one():
                return False
        return True

    def expire(self, idle_cells: int, idle_steps: int) -> None:
        """Drop idle prefixes beyond ``idle_cells``, and those unused for ``idle_steps`` steps."""
        self.clock += 1
        if self.clock % 16:
            return
        while (leaf := self._oldest_leaf()) and (
            leaf.last_used < self.clock - idle_steps or self.idle > idle_cells
        ):
            self._drop(leaf)

    def clear(self) -> None:
        """Drop every prefix that no lease uses."""
        while self._evict_one():
            pass

    def zero(self) -> None:
        """Drop all prefixes and fill the cells with zeros; no lease may be in use."""
        self.clear()
        self.memory.clear()

    def _slid_out(self, node: Node) -> bool:
        """Whether cells of the node have slid out of a window; if so, an unused leaf is dropped."""
        if not self.windowed or self.memory.first(node.sequence) == node.start:
            return False
        if not node.users and not node.children:
            self._drop(node)
        return True

    def _evict_one(self, *, whole: bool = False) -> bool:
        leaf = self._oldest_leaf(whole=whole)
        if leaf:
            self.evictions += 1
            self._drop(leaf)
        return leaf is not None

    def _oldest_leaf(self, *, whole: bool = False) -> Node | None:
        """The least recently used leaf with evictable cells (all of its cells, if ``whole``)."""
        leaves = (
            n for n in self.nodes() if not n.children and (not n.users if whole else n.evictable)
        )
        return min(leaves, key=lambda n: n.last_used, default=None)

    def _drop(self, leaf: Node) -> None:
        """Free the unused cells of a leaf, and remove the leaf if those are all."""
        evictable = leaf.evictable
        self.cached_cells -= evictable
        self.memory.remove(leaf.sequence, leaf.end - evictable, END)
        if evictable < leaf.length:
            del leaf.tokens[-evictable:]
        else:
            self._node_ids.append(leaf.sequence)
            leaf.detach()

    def _touch(self, node: Node) -> None:
        for above in node.path():
            above.last_used = self.clock

    def _map_cells(self, node: Node, sequence: int, end: int) -> None:
        self.memory.copy(node.sequence, sequence, node.start, min(node.end, end))

    def _new_node_id(self) -> int | None:
        if not self._node_ids:
            self._evict_one(whole=True)
        return self._node_ids.pop() if self._node_ids else None

    def _descend(self, lease: Lease, tokens: Sequence[int]) -> Node:
        """Follow ``tokens`` down the tree beyond the lease's shared part, and share its nodes."""
        node = lease.node
        if lease.shared < node.end:  # the lease uses only the beginning of its last node
            if common_prefix(node.tokens, tokens, node.start) < node.length:
                return self._split_for(node, lease, tokens)
            self._replace_with_shared(lease, node, min(node.end, len(tokens)))
        while node.end < len(tokens) and (child := node.children.get(tokens[node.end])):
            if self._slid_out(child):
                break
            length = common_prefix(child.tokens, tokens, child.start)
            child.users.add(lease)
            lease.node = child
            self._replace_with_shared(lease, child, child.start + length)
            if length < child.length:
                return self._split_for(child, lease, tokens)
            node = child
        return node

    def _replace_with_shared(self, lease: Lease, node: Node, end: int) -> None:
        """Replace the lease's own cells at [shared, end) by the node's equal ones."""
        start = lease.shared
        if end > start:
            self.memory.remove(lease.sequence, start, end)
            self.memory.copy(node.sequence, lease.sequence, start, end)
            lease.shared = end
            self.private -= end - start

    def _split_for(self, node: Node, lease: Lease, tokens: Sequence[int]) -> Node:
        """Split ``node`` where ``tokens`` leave it, if an id is free; returns the upper part."""
        length = common_prefix(node.tokens, tokens, node.start)
        self._replace_with_shared(lease, node, node.start + length)
        if node.start + length == len(tokens):
            return node  # the tokens end inside it: nothing will be added below
        if (node_id := self._new_node_id()) is None:
            return node
        lower = node.split(length, node_id)
        self.memory.copy(node.sequence, node_id, lower.start, lower.end)
        self.memory.remove(node.sequence, lower.start, lower.end)
        for user in [u for u in node.users if u.shared > lower.start]:
            lower.users.add(user)
            if user.node is node:
                user.node = lower
        return node

    def _append(self, node: Node, lease: Lease, tokens: Sequence[int]) -> bool:
        """Add the rest of ``tokens`` below ``node``, from the lease's own cells, if possible."""
        start = lease.shared
        if start != node.end or tokens[start] in node.children:
            return False  # the node could not be split, or its child has lost cells
        only = not node.children and node.users == {lease} and node.sequence >= 0
        if not only:
            node_id = self._new_node_id()
            if node_id is None:
                return False
            node = node.add_child(list(tokens[start:]), node_id)
            node.users.add(lease)
            lease.node = node
        else:
            node.tokens.extend(tokens[start:])
        self.memory.copy(lease.sequence, node.sequence, start, len(tokens))
        moved = len(tokens) - start
        lease.shared += moved
        self.private -= moved
        self.cached_cells += moved
        self._touch(node)
        return True
