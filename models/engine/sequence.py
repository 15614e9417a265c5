"""Sequences and requests: the tokens of one sample, and the request it belongs to."""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from collections.abc import Sequence as Tokens
from concurrent.futures import Future
from typing import NamedTuple

from thinkgraph.models.engine.callers import running_loop
from thinkgraph.models.engine.kv_cache.kv_pool import Lease
from thinkgraph.models.engine.sampling.confidence import TokenConfidence
from thinkgraph.models.engine.sampling.constraint import Plan
from thinkgraph.models.engine.sampling.sampler import Sampler
from thinkgraph.models.engine.text import TextStream
from thinkgraph.models.formats.parser import ResponseParser
from thinkgraph.models.model import (
    Budget,
    Completion,
    Delta,
    FinishReason,
    Sampling,
    TokenLogprob,
    Usage,
)

Event = Delta | Completion


class Adapter(NamedTuple):
    """A LoRA adapter by its name in the settings, and how strongly it applies."""

    name: str
    scale: float = 1.0


class Sequence:
    """Tokens to compute: a prompt, then sampled tokens or, in scoring, the target text's.

    ``lease.length`` of ``tokens`` are in the KV cache; the others are yet to be computed.
    Samples of one prompt share a lease for as long as they have drawn the same tokens.
    """

    def __init__(
        self, request: Request, index: int, prompt: list[int], targets: Tokens[int], seed: int
    ) -> None:
        # A strong reference would be a cycle, which holds memory until garbage collection.
        self._request = weakref.ref(request)
        self.index = index
        self.prompt = prompt
        self.seed = seed
        self.tokens = prompt + list(targets)
        self.num_targets = len(targets)
        self.lease: Lease | None = None
        self.sampler: Sampler | None = None
        sampling = request.sampling
        self.stream = TextStream(
            sampling.stop, request.parser(), after_text=sampling.stop_after_text
        )
        self.confidence = TokenConfidence(full=request.sampling.confidence)
        self.logprobs: list[TokenLogprob] = []
        self.scores: list[float] = []
        self.admitted = False
        self.last_token = 0.0
        self.finish: FinishReason | None = None

    @property
    def request(self) -> Request:
        """The request that the sequence belongs to; the engine keeps it until it has ended."""
        if (request := self._request()) is None:
            raise ReferenceError("the request has ended")
        return request

    @property
    def is_sampled(self) -> bool:
        """Whether its tokens are drawn rather than given."""
        return not self.num_targets

    @property
    def computed(self) -> int:
        """Tokens whose keys and values are in the cache."""
        return self.lease.length if self.lease else 0

    @property
    def pending(self) -> int:
        """Tokens to compute before the next can be drawn, or before all are scored."""
        return len(self.tokens) - (self.num_targets > 0) - self.computed

    @property
    def is_decoding(self) -> bool:
        """Whether the sequence advances by one sampled token per step."""
        return self.is_sampled and len(self.tokens) - self.computed == 1 and self.drawn > 0

    @property
    def drawn(self) -> int:
        """Tokens sampled so far."""
        return len(self.tokens) - len(self.prompt) if self.is_sampled else 0

    @property
    def is_new(self) -> bool:
        """Whether nothing has been drawn or scored yet."""
        return not (self.drawn or self.scores)

    @property
    def next_output(self) -> int:
        """The first position whose next-token distribution is still needed."""
        return len(self.tokens if self.is_sampled else self.prompt) + len(self.scores) - 1


class Request:
    """Sequences that were requested together; any thread can wait for their results.

    Args:
        prompt: tokens that all the sequences begin with, at least one.
        sampling: how tokens are drawn.
        seeds: one for each sample; empty when texts are to be scored.
        targets: the texts to score after the prompt, each of at least one token.
        adapter: a LoRA adapter, or None.
        budget: what may be spent, or None.
        parser: creates the parser of a completion.
        spelled: control tokens that stay in the text, with their spellings.

    Attributes:
        prompt_hash: equal for requests of equal prompts.
        loop: the event loop in which the request was created, if there is one.
        plan: the constraint on its samples' text, which the engine derives from the sampling.
        number: its number in the order of submission to the engine.
    """

    def __init__(
        self,
        prompt: list[int],
        sampling: Sampling,
        seeds: Tokens[int] = (),
        targets: Tokens[Tokens[int]] = (),
        *,
        adapter: Adapter | None = None,
        budget: Budget | None = None,
        parser: Callable[[], ResponseParser | None] = lambda: None,
        spelled: Mapping[int, bytes] | None = None,
    ) -> None:
        self.prompt, self.sampling = prompt, sampling
        self.parser, self.spelled = parser, spelled or {}
        self.prompt_hash = hash(tuple(prompt))
        self.adapter, self.budget = adapter, budget
        self.loop = running_loop()
        self.plan: Plan | None = None
        self.number = 0
        self.sequences = [
            *(Sequence(self, i, prompt, (), seed) for i, seed in enumerate(seeds)),
            *(Sequence(self, i, prompt, text, 0) for i, text in enumerate(targets)),
        ]
        self.open = len(self.sequences)
        self.done: Future[None] = Future()
        self.done.set_running_or_notify_cancel()  # a waiter that leaves must not cancel it
        self.streams = False
        self.completions: dict[int, Completion] = {}
        self.prefilled = self.cached = self.cancelled_tokens = 0
        self.submitted = time.monotonic()
        self.admitted = self.first_token = self.ended = 0.0
        self._lock = threading.Lock()
        self._events: deque[Event] = deque()
        self._wake: Callable[[], None] | None = None

    @property
    def is_sampled(self) -> bool:
        """Whether samples are requested rather than scores of texts."""
        return self.sequences[0].is_sampled

    @property
    def usage(self) -> Usage:
        """Usage so far."""
        now = self.ended or time.monotonic()
        return Usage(
            prompt_tokens=len(self.prompt) + sum(s.num_targets for s in self.sequences),
            prefilled_tokens=self.prefilled,
            cached_tokens=self.cached,
            completion_tokens=sum(s.drawn for s in self.sequences),
            cancelled_tokens=self.cancelled_tokens,
            model_calls=1,
            queue_s=(self.admitted or now) - self.submitted,
            first_token_s=(self.first_token or now) - self.submitted,
            decode_s=now - self.first_token if self.first_token else 0.0,
        )

    def emit(self, event: Event) -> None:
        """Add an event to those that :meth:`drain` takes."""
        with self._lock:
            self._events.append(event)

    def drain(self, wake: Callable[[], None]) -> list[Event]:
        """Take the events so far; if there are none, ``wake`` is called once there is one."""
        with self._lock:
            events = list(self._events)
            self._events.clear()
            self._wake = None if events else wake
        self.notify()
        return events

    def notify(self) -> None:
        """Wake the waiter, if there is something new."""
        if not self._wake:
            return  # read without the lock: drain() sets it, and then calls this method
        with self._lock:
            wake = self._wake if self._events or self.done.done() else None
            self._wake = None if wake else self._wake
        if wake:
            wake()

    def end(self, error: Exception | None = None) -> None:
        """End the request, with an error if it has failed."""
        if self.done.done():
            return
        self.ended = time.monotonic()
        if error:
            self.done.set_exception(error)
        else:
            self.done.set_result(None)
