"""The pool's bookkeeping against a model of llama.cpp's cells, in whatever order things happen."""

from dataclasses import dataclass, field

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    multiple,
    precondition,
    rule,
)

from thinkgraph.models.engine.kv_cache.kv_pool import END, KvPool, Lease
from thinkgraph.models.engine.kv_cache.radix import common_prefix

CELLS, SEQUENCES, IDS = 40, 4, 9
Tokens = tuple[int, ...]


@dataclass
class Cell:
    """A cell's keys and values depend on all the tokens up to its own."""

    prefix: Tokens
    seen_by: set[int] = field(default_factory=set)


class Cells:
    """What llama.cpp's unified cache does with sequence ids, and no more."""

    def __init__(self) -> None:
        self.cells: list[Cell] = []

    def write(self, sequence: int, prefix: Tokens) -> None:
        assert len(self.cells) < CELLS, "a cell was written when none was free"
        self.cells.append(Cell(prefix, {sequence}))

    def copy(self, source: int, target: int, start: int, end: int) -> None:
        for cell in self._at(source, start, end):
            cell.seen_by.add(target)

    def remove(self, sequence: int, start: int, end: int) -> None:
        for cell in self._at(sequence, start, end):
            cell.seen_by.discard(sequence)
        self.cells = [cell for cell in self.cells if cell.seen_by]

    def first(self, sequence: int) -> int:
        return min((len(c.prefix) - 1 for c in self._at(sequence, 0, END)), default=-1)

    def seen(self, sequence: int) -> list[Tokens]:
        return sorted(cell.prefix for cell in self._at(sequence, 0, END))

    def _at(self, sequence: int, start: int, end: int) -> list[Cell]:
        return [
            cell
            for cell in self.cells
            if sequence in cell.seen_by
            and start <= len(cell.prefix) - 1
            and (end < 0 or len(cell.prefix) - 1 < end)
        ]


@dataclass(eq=False)
class Running:
    """Of one lease the holders have one list of tokens."""

    lease: Lease
    tokens: list[int]


class PoolMachine(RuleBasedStateMachine):
    can_share = True
    running = Bundle("running")

    def __init__(self) -> None:
        super().__init__()
        self.memory = Cells()
        self.pool = KvPool(self.memory, CELLS, SEQUENCES, IDS, can_share=self.can_share)
        self.held: list[Running] = []

    @precondition(lambda self: len(self.pool.leases) < SEQUENCES)
    @rule(
        target=running,
        tokens=st.lists(st.integers(0, 2), min_size=1, max_size=14),
        adapter=st.sampled_from([None, "left"]),
    )
    def admit(self, tokens: list[int], adapter: str | None) -> Running:
        one = Running(self.pool.lease(adapter, tokens, len(tokens) - 1), tokens)
        self.held.append(one)
        return one

    @rule(one=running, count=st.integers(1, 6))
    def compute(self, one: Running, count: int) -> None:
        count = min(count, len(one.tokens) - one.lease.length)
        self._write(one, count)

    @rule(one=running, token=st.integers(0, 2))
    def draw(self, one: Running, token: int) -> None:
        if one.lease.length == len(one.tokens) < CELLS:
            one.tokens.append(token)
            self._write(one, 1)

    @rule(one=running)
    def commit(self, one: Running) -> None:
        self.pool.commit(one.lease, one.tokens[: one.lease.length])

    @precondition(lambda self: len(self.pool.leases) < SEQUENCES)
    @rule(target=running, one=running, beginning=st.integers(0, 14))
    def fork(self, one: Running, beginning: int) -> object:
        length = min(beginning, one.lease.length)
        extra = one.lease.private if not self.can_share else 0
        if length == 0 or self.pool.free < extra + one.lease.private:
            return multiple()
        lease = self.pool.fork(one.lease, one.tokens[:length])
        if lease is None:
            return multiple()
        assert lease.length == length
        other = Running(lease, one.tokens[:length])
        self.held.append(other)
        return other

    @rule(target=running, one=running)
    def join(self, one: Running) -> Running:
        other = Running(self.pool.share(one.lease), one.tokens)
        self.held.append(other)
        return other

    @precondition(lambda self: len(self.pool.leases) < SEQUENCES)
    @rule(one=running)
    def part(self, one: Running) -> None:
        if one.lease.holders == 1 or one.lease.length < len(one.tokens):
            return
        if self.pool.free >= 2 * one.lease.private:
            one.tokens = list(one.tokens)
            one.lease = self.pool.branch(one.lease, one.tokens, 1)

    @rule(one=consumes(running), keep=st.booleans())
    def release(self, one: Running, keep: bool) -> None:
        if keep:
            self.pool.commit(one.lease, one.tokens[: one.lease.length])
        self.pool.release(one.lease)
        self.held.remove(one)

    @rule(one=consumes(running))
    def preempt(self, one: Running) -> None:
        self.pool.release(one.lease)
        self.held.remove(one)

    @rule(cells=st.integers(1, CELLS))
    def evict(self, cells: int) -> None:
        could = self.pool.free + self.pool.idle >= cells
        assert self.pool.evict(cells) == could == (self.pool.free >= cells)

    @precondition(lambda self: self.can_share)
    @rule()
    def clear(self) -> None:
        self.pool.clear()
        used = {tuple(o.tokens[: n + 1]) for o in self.held for n in range(o.lease.length)}
        assert {cell.prefix for cell in self.memory.cells} == used

    @rule(idle=st.integers(0, 20), steps=st.integers(1, 40))
    def expire(self, idle: int, steps: int) -> None:
        for _ in range(16):
            self.pool.expire(idle, steps)
        assert self.pool.idle <= idle

    def _write(self, one: Running, count: int) -> None:
        if count <= 0 or not self.pool.evict(count):
            return
        for position in range(one.lease.length, one.lease.length + count):
            self.memory.write(one.lease.sequence, tuple(one.tokens[: position + 1]))
        self.pool.grow(one.lease, count)

    @invariant()
    def no_cell_is_lost(self) -> None:
        taken = CELLS - self.pool.free
        if self.can_share:
            assert len(self.memory.cells) == taken
        else:  # forks are counted again: never less than is taken
            assert len(self.memory.cells) <= taken

    @invariant()
    def every_sequence_sees_its_own_tokens_once(self) -> None:
        for one in self.held:
            expected = [tuple(one.tokens[: i + 1]) for i in range(one.lease.length)]
            assert self.memory.seen(one.lease.sequence) == sorted(expected)

    @invariant()
    def every_node_holds_its_own_tokens(self) -> None:
        for node in self.pool.nodes():
            above = list(node.path())[::-1]
            tokens = [token for n in above for token in n.tokens]
            expected = [tuple(tokens[: i + 1]) for i in range(node.start, node.end)]
            assert self.memory.seen(node.sequence) == sorted(expected)
            assert node.length > 0

    @invariant()
    def users_are_those_whose_path_it_is(self) -> None:
        for node in self.pool.nodes():
            assert node.users == {o.lease for o in self.held if node in o.lease.node.path()}

    @invariant()
    def no_id_is_used_twice(self) -> None:
        leases = {o.lease for o in self.held}
        assert leases == self.pool.leases
        assert all(lease.holders == sum(o.lease is lease for o in self.held) for lease in leases)
        ids = [lease.sequence for lease in leases] + [n.sequence for n in self.pool.nodes()]
        assert len(ids) == len(set(ids))
        assert all(o.lease.sequence < SEQUENCES for o in self.held)


class WithoutSharing(PoolMachine):
    can_share = False


PoolMachine.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
WithoutSharing.TestCase.settings = settings(max_examples=40, stateful_step_count=30, deadline=None)
TestPool = pytest.mark.slow(PoolMachine.TestCase)
TestPoolWithoutSharing = pytest.mark.slow(WithoutSharing.TestCase)


@pytest.fixture
def pool() -> KvPool:
    return KvPool(Cells(), CELLS, SEQUENCES, IDS)


def run(pool: KvPool, tokens: list[int], adapter: str | None = None) -> Lease:
    lease = pool.lease(adapter, tokens, len(tokens) - 1)
    for position in range(lease.length, len(tokens)):
        pool.memory.write(lease.sequence, tuple(tokens[: position + 1]))
    pool.grow(lease, len(tokens) - lease.length)
    pool.commit(lease, tokens)
    return lease


def test_a_released_prefix_is_found_again_by_the_same_adapter_only(pool):
    pool.release(run(pool, [1, 2, 3, 4]))
    assert pool.match(None, [1, 2, 3, 9], 3)[1] == 3
    assert pool.match("left", [1, 2, 3, 9], 3)[1] == 0


def test_two_prompts_with_one_beginning_take_its_cells_once(pool):
    first, second = run(pool, [1, 2, 3, 4]), run(pool, [1, 2, 3, 7, 8])
    assert second.cached == 3
    assert CELLS - pool.free == 6
    pool.release(first)
    assert pool.match(None, [1, 2, 3, 7, 8, 9], 5)[1] == 5


def test_the_prefix_unused_for_longest_goes_first(pool):
    for tokens in ([1, 1, 1], [2, 2, 2], [3, 3, 3]):
        pool.release(run(pool, tokens))
        pool.expire(CELLS, 1000)
    pool.release(pool.lease(None, [1, 1, 1, 1], 3))
    pool.evict(pool.free + 1)
    assert [pool.match(None, [n] * 4, 3)[1] for n in (1, 2, 3)] == [3, 0, 3]


def test_a_prefix_in_use_is_never_evicted(pool):
    lease = run(pool, [1, 2, 3])
    assert not pool.evict(CELLS)
    assert pool.match(None, [1, 2, 3, 4], 3)[1] == 3
    pool.release(lease)
    assert pool.evict(CELLS)


def test_of_a_prefix_in_use_what_comes_after_is_evicted(pool):
    pool.release(run(pool, [1, 2, 3, 4, 5, 6]))
    lease = pool.lease(None, [1, 2, 9], 2)
    assert pool.idle == 4
    assert pool.evict(CELLS - 2)
    assert pool.match(None, [1, 2, 3, 4], 4)[1] == 2
    pool.release(lease)
    assert pool.evict(CELLS)


def test_an_old_prefix_expires(pool):
    pool.release(run(pool, [1, 2, 3]))
    for _ in range(200):
        pool.expire(CELLS, 100)
    assert pool.idle == 0


@pytest.mark.parametrize(("size", "start"), [(0, 0), (1, 0), (63, 5), (64, 0), (200, 3)])
def test_common_prefix_counts_to_the_first_difference(size, start):
    tokens = list(range(size))
    assert common_prefix(tokens, [*range(1000, 1000 + start), *tokens], start) == size
    for at in range(0, size, 7):
        other = [*tokens[:at], -1, *tokens[at + 1 :]]
        assert common_prefix(tokens, other) == at
