"""The scheduler: admission, chunked prefill and preemption; what each step computes."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import dataclass

from thinkgraph.models.engine.kv_cache.kv_pool import KvPool, Lease
from thinkgraph.models.engine.kv_cache.radix import common_prefix
from thinkgraph.models.engine.sequence import Adapter, Sequence
from thinkgraph.models.engine.settings import EngineSettings
from thinkgraph.models.engine.waiting import WaitingQueue

HEADROOM = 16  # cells kept free for each running sample when another is admitted
ADAPTER_STEPS = 16  # steps an adapter has the batch to itself while others wait
LEAST_CHUNK = 32  # least share of a step for each prompt, in tokens


@dataclass(slots=True, frozen=True)
class Chunk:
    """The next ``count`` tokens of a lease and of its holders, to be computed in this step."""

    lease: Lease
    sequences: list[Sequence]
    count: int


class Scheduler:
    """Decides which sequences run. It depends on sequences and the pool, but on no model.

    Args:
        pool: the KV cache.
        settings: limits of a step.
        outputs: rows of logits that one step may request.
    """

    def __init__(self, pool: KvPool, settings: EngineSettings, outputs: int) -> None:
        self.pool, self.settings, self.outputs = pool, settings, outputs
        self.waiting = WaitingQueue()
        self.running: list[Sequence] = []
        self.adapter: Adapter | None = None
        self.suspects: dict[Sequence, None] = {}
        """Sequences that may have made a batch fail; each runs alone until it has a row."""
        self.preemptions = 0
        self._adapter_steps = 0

    def schedule(self) -> list[Chunk]:
        """Plan the chunks of the next step, all of one adapter; empty if there is nothing to do.

        Admits the sequences that fit. If cells run out, it evicts idle prefixes, then preempts the
        newest sequences, which wait at the front of the queue and resume where they were.
        """
        if self.suspects:
            self._admit_suspect()
        else:
            self._choose_adapter()
            self._admit()
        chunks = self._build_chunks()
        while not self.pool.evict(sum(chunk.count for chunk in chunks)):
            self.preempt_newest()
            chunks = self._build_chunks()
        return chunks

    def admit_same_prompt(self, leader: Sequence) -> list[Sequence]:
        """Admit waiting sequences of the leader's prompt, which share its cells of the prompt."""
        admitted: list[Sequence] = []
        if self.suspects:
            return admitted
        for sequence in self.waiting.same_prompt(leader, self.settings.sequences):
            if not (leader.lease and self._has_place and self._has_room(sequence.num_targets + 1)):
                break
            if leader.is_sampled and sequence.is_sampled:
                sequence.lease = self.pool.share(leader.lease)
            else:
                sequence.lease = self.pool.fork(leader.lease, leader.prompt)
            if sequence.lease is None:
                break
            sequence.admitted = True  # its prompt is accounted for by the leader
            self.waiting.remove(sequence)
            self.running.append(sequence)
            admitted.append(sequence)
        return admitted

    def split_diverged(self, lease: Lease, sequences: list[Sequence]) -> None:
        """Branch the lease for all sequences that drew another token than the first."""
        alike: dict[int, list[Sequence]] = {}
        for sequence in sequences:
            if sequence.lease is lease:
                alike.setdefault(sequence.tokens[-1], []).append(sequence)
        for group in list(alike.values())[1:]:
            branch = self.pool.branch(lease, group[0].tokens[:-1], len(group))
            for sequence in group:
                sequence.lease = branch

    def retire(self, sequence: Sequence, *, keep: bool) -> None:
        """Remove a sequence; with ``keep`` its cells become a cached prefix."""
        unproven = sequence in self.suspects and sequence.lease is not None
        self.suspects.pop(sequence, None)
        if sequence.lease:
            if keep:
                self.pool.commit(sequence.lease, sequence.tokens[: sequence.computed])
            self._take_cells(sequence)
        elif sequence in self.waiting:
            self.waiting.remove(sequence)
        if unproven:
            self.pool.zero()

    def isolate(self, sequences: list[Sequence]) -> None:
        """After a failed batch: zero the cells and restart all sequences, these first and alone."""
        # Newest first: a cleared suspect goes to the front of the queue, so the oldest end there.
        self.suspects = dict.fromkeys(reversed(sequences)) | self.suspects
        self._preempt_all_but(())
        self.pool.zero()

    def preempt_newest(self) -> None:
        """Preempt the newest sequence and all that share its lease; otherwise no cell is freed."""
        lease = self.running[-1].lease
        self.preemptions += sum(s.lease is lease for s in self.running)
        for sequence in [s for s in reversed(self.running) if s.lease is lease]:
            self.preempt(sequence)

    def preempt(self, sequence: Sequence) -> None:
        """Release a sequence's cells; it keeps its tokens and its sampler, and waits in front."""
        self._take_cells(sequence)
        self.waiting.append(sequence, front=True)

    def _preempt_all_but(self, kept: Container[Sequence]) -> None:
        for sequence in reversed(list(self.running)):
            if sequence not in kept:
                self.preempt(sequence)

    def _take_cells(self, sequence: Sequence) -> None:
        if sequence.lease:
            self.pool.release(sequence.lease)
        sequence.lease = None
        self.running.remove(sequence)

    @staticmethod
    def _adapter(sequence: Sequence) -> Adapter | None:
        return sequence.request.adapter

    def _choose_adapter(self) -> None:
        wanted = list(dict.fromkeys([*map(self._adapter, self.running), *self.waiting.adapters]))
        if not wanted or wanted == [self.adapter]:
            return
        self._adapter_steps += 1
        if self.adapter in wanted and self._adapter_steps <= ADAPTER_STEPS:
            return
        self._adapter_steps = 0
        at = wanted.index(self.adapter) if self.adapter in wanted else -1
        self.adapter = wanted[(at + 1) % len(wanted)]

    def _admit(self) -> None:
        for sequence in self.waiting.oldest(self.adapter, 2 * self.settings.sequences):
            if not self._has_place:
                return
            if self._prefix_being_computed(sequence):
                continue
            if not self._admit_one(sequence):
                return

    def _admit_suspect(self) -> None:
        """Admit one suspect, and no other sequence."""
        self._preempt_all_but(self.suspects)  # the last suspect, which has been cleared
        if not self.running:
            suspect = next(iter(self.suspects))
            self.adapter = self._adapter(suspect)
            self._admit_one(suspect)

    def _admit_one(self, sequence: Sequence) -> bool:
        lease = self.pool.lease(self.adapter, sequence.tokens, sequence.next_output)
        sequence.lease = lease
        if self.running and not self._has_room(sequence.pending):
            self.pool.release(lease)
            sequence.lease = None
            return False
        self.waiting.remove(sequence)
        self.running.append(sequence)
        return True

    @property
    def _has_place(self) -> bool:
        return len(self.running) < self.settings.sequences

    def _has_room(self, cells: int) -> bool:
        promised = sum(s.pending + HEADROOM for s in self.running)
        return self.pool.free + self.pool.idle >= cells + HEADROOM + promised

    def _prefix_being_computed(self, sequence: Sequence) -> bool:
        """Whether a running sequence is computing a prefix of it that the cache lacks."""
        limit = sequence.next_output
        found: int | None = None
        for other in self.running:
            if self._adapter(other) != self.adapter or other.computed >= len(other.prompt):
                continue
            common = common_prefix(other.prompt, sequence.tokens)
            if common == len(other.prompt) == len(sequence.prompt) and sequence.is_new:
                return True  # it will be admitted with the other's cells
            if not self.pool.can_share:
                continue
            if found is None:
                found = self.pool.match(self.adapter, sequence.tokens, limit)[1]
            if min(common, limit) > max(found, other.computed):
                return True
        return False

    def _by_lease(self) -> dict[Lease, list[Sequence]]:
        """The leases of the current adapter, with the sequences of each."""
        holders: dict[Lease, list[Sequence]] = {}
        for sequence in self.running:
            if sequence.lease and self._adapter(sequence) == self.adapter:
                holders.setdefault(sequence.lease, []).append(sequence)
        return holders

    def _build_chunks(self) -> list[Chunk]:
        holders = self._by_lease()
        decoding = {lease: s for lease, s in holders.items() if s[0].is_decoding}
        chunks = [Chunk(lease, alike, 1) for lease, alike in decoding.items()]
        prompts = [(lease, s) for lease, (s, *_) in holders.items() if not s.is_decoding]
        left = self.settings.batch - len(chunks)
        if chunks:
            left = min(left, self.settings.prefill)
        outputs = self.outputs - len(chunks)
        share = max(LEAST_CHUNK, left // max(1, len(prompts)))
        for lease, sequence in prompts:
            silent = max(0, sequence.next_output - lease.length)  # positions without logits
            count = min(sequence.pending, share, left, silent + outputs)
            if count > 0:
                chunks.append(Chunk(lease, [sequence], count))
                left -= count
                outputs -= max(0, count - silent)
        return chunks
