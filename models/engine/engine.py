"""The engine: one worker thread with one llama.cpp context; continuous batching of requests."""

from __future__ import annotations

import logging
import math
import os
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Literal, TypeVar

import numpy as np

from thinkgraph.models.engine import switch_interval
from thinkgraph.models.engine.callers import Callers
from thinkgraph.models.engine.kv_cache.kv_pool import KvPool
from thinkgraph.models.engine.llama.native import NativeModel, adapter_names
from thinkgraph.models.engine.runner import NO_ROOM, DecodeError, Row, Runner
from thinkgraph.models.engine.sampling.constraint import Constraint, DeadEnd, Grammars
from thinkgraph.models.engine.sampling.distribution import Logits, NotFinite
from thinkgraph.models.engine.sampling.dry import is_dry_made, make_dry, uses_dry
from thinkgraph.models.engine.sampling.pool import Draw, SamplingPool
from thinkgraph.models.engine.sampling.sampler import Sampler
from thinkgraph.models.engine.scheduler import Chunk, Scheduler
from thinkgraph.models.engine.sequence import Request, Sequence
from thinkgraph.models.engine.settings import MAX_SEQUENCES, EngineSettings
from thinkgraph.models.engine.stats import Counters, EngineStats
from thinkgraph.models.errors import ModelError, PromptTooLong
from thinkgraph.models.model import Completion, Delta, FinishReason, TokenLogprob

_log = logging.getLogger("thinkgraph.engine")
_log.addHandler(logging.NullHandler())

BUDGETS_CHECKED = 256
"""Number of requests whose budget a step checks in advance; sampling checks every budget."""

FLOAT_MAX = float(np.finfo(np.float32).max)

T = TypeVar("T")


class CacheFault(Exception):
    """An error that leaves the scheduler and the KV cache in an unknown state.

    It is not attributed to a request: the engine drops all requests and restarts with an empty
    cache.
    """


@contextmanager
def _changing_cache() -> Iterator[None]:
    """Turn any exception inside the block into a :class:`CacheFault`."""
    try:
        yield
    except BaseException as error:
        raise CacheFault(f"the KV cache could not be changed: {error}") from error


class Engine:
    """Runs requests on a model; thread-safe.

    An engine belongs to the process that opened it: a forked child has none of its threads.

    Raises:
        ModelError: the file can't be opened. Every method but :meth:`close` and :meth:`cancel`
            raises one once the engine is closed, and in a forked child.
    """

    def __init__(self, path: Path, settings: EngineSettings) -> None:
        self._process = os.getpid()
        self.native = NativeModel(path, settings)
        self.settings = resolved = self.native.settings
        self.context_length: int = resolved.context or 0
        self.vocabulary = self.native.vocabulary
        self._reset()
        self._runner = Runner(self.native.context, resolved.batch, self.vocabulary.size)
        self._sampling = SamplingPool(self.vocabulary.size, resolved.threads or 1)
        self._grammars = Grammars(self.vocabulary)
        self._builder = ThreadPoolExecutor(1, "thinkgraph-prepares")
        self._inbox: queue.SimpleQueue[Request | Callable[[], object]] = queue.SimpleQueue()
        self._numbers = count()
        self._preparing: set[Future[None]] = set()
        self._arrived: list[Request] = []
        self._requests: set[Request] = set()
        self._callers = Callers()
        self._counters = Counters()
        self._budgeted: deque[Request] = deque()
        self._closed = False
        self._closing = threading.Lock()
        self._worker = threading.Thread(target=self._work, name="thinkgraph-engine", daemon=True)
        switch_interval.lower()
        self._worker.start()

    def submit(self, request: Request) -> None:
        """Start a request.

        Raises:
            ModelError: the request can never run here, or the engine is closed.
        """
        self._check(request)
        # Samplers allocate memory for max_tokens tokens.
        most = max(1, self.context_length - len(request.prompt))
        if request.sampling.max_tokens > most:
            request.sampling = request.sampling.model_copy(update={"max_tokens": most})
        request.plan = self._grammars.plan(request.sampling)
        with self._open():
            if request.budget:
                request.budget.spend(calls=1)
            request.number = next(self._numbers)
            if self._is_prepared(request):
                self._inbox.put(request)
            else:
                preparing = self._builder.submit(self._prepare, request)
                self._preparing.add(preparing)
                preparing.add_done_callback(self._preparing.discard)

    def _is_prepared(self, request: Request) -> bool:
        """Whether a request needs no preparation that would block its caller or a step."""
        plan, sampling = request.plan, request.sampling
        return (plan is None or self._grammars.are_compiled(plan)) and (
            not uses_dry(sampling) or is_dry_made(self.vocabulary, sampling)
        )

    def _prepare(self, request: Request) -> None:
        """On the builder's thread: prepare a request, then start it.

        Compiling a grammar takes milliseconds, and the first grammar of a model seconds.
        """
        try:
            with self._open():
                pass  # raises an error at once if the engine is closed
            if request.plan:
                self._grammars.compile(request.plan)
            if uses_dry(request.sampling):
                make_dry(self.vocabulary, request.sampling)
            with self._open():
                self._inbox.put(request)
        except BaseException as error:  # a panic of llguidance is not an Exception
            message = f"the request could not be prepared: {error}"
            request.end(error if isinstance(error, ModelError) else ModelError(message))
            self._notify(request)

    def cancel(self, request: Request, index: int | None = None) -> None:
        """Stop one of the request's sequences, or all, at the next step."""
        if self.forked:
            return
        self._inbox.put(lambda: self._cancel(request, index))

    def add_adapter(self, name: str, path: Path) -> None:
        """Load a LoRA adapter between two steps; requests can name it from then on.

        Running requests continue. A name keeps its adapter for as long as the engine is open, so a
        file that has changed needs another name.

        Raises:
            ModelError: the file is not a LoRA of this model.
        """
        self._on_worker(lambda: self.native.add_adapter(name, path))

    def clear_cache(self) -> None:
        """Drop the cached prefixes that no request is using."""

        def clear() -> None:
            self._pool.clear()  # the current pool: a restart replaces it

        self._on_worker(clear)

    @property
    def stats(self) -> EngineStats:
        """Statistics of the engine, taken between two steps."""
        return self._on_worker(
            lambda: self._counters.stats(self._scheduler, self._callers.waited_s)
        )

    def close(self) -> None:
        """Fail the running requests, join the worker and free the model; may be called again."""
        if self.forked:
            return  # its memory is the parent's to free
        with self._closing:
            if not self._closed:
                self._closed = True
                self._inbox.put(int)
        self._worker.join()

    @property
    def closed(self) -> bool:
        """Whether the engine has been closed."""
        return self._closed

    @property
    def forked(self) -> bool:
        """Whether this process is a forked child of the one that opened the engine."""
        return self._process != os.getpid()

    @contextmanager
    def _open(self) -> Iterator[None]:
        """Keep the engine from being closed while the block runs; it must be open."""
        if self.forked:  # a lock may be held by a thread that doesn't exist here
            raise ModelError("the engine belongs to the parent process; open the model again")
        with self._closing:
            if self._closed:
                raise ModelError("the model has been closed; open it again")
            yield

    def _on_worker(self, ask: Callable[[], T]) -> T:
        answer: Future[T] = Future()

        def run() -> None:
            try:
                answer.set_result(ask())
            except BaseException as error:
                answer.set_exception(error)

        with self._open():
            self._inbox.put(run)  # the worker handles its whole inbox before it ends
        return answer.result()

    def _check(self, request: Request) -> None:
        if request.adapter and request.adapter.name not in self.native.adapters:
            raise ModelError(
                f"there is no adapter {request.adapter.name!r}; the model was opened with "
                f"{adapter_names(self.native.adapters)}"
            )
        if request.adapter and not abs(request.adapter.scale) <= FLOAT_MAX:
            raise ModelError(
                f"the scale of adapter {request.adapter.name!r} is {request.adapter.scale}; it "
                "must be a finite number"
            )
        for token, bias in request.sampling.logit_bias.items():
            if not bias < math.inf:
                raise ModelError(
                    f"the bias of token {token} is {bias}; it must be a number, or -inf to "
                    "exclude the token"
                )
        longest = max((s.num_targets for s in request.sequences), default=0)
        limit = self.context_length - max(1, longest)
        if len(request.prompt) > limit:
            raise PromptTooLong(len(request.prompt), limit, self.context_length)
        strange = [
            t
            for t in (*request.sampling.logit_bias, *request.sampling.stop_tokens)
            if not 0 <= t < self.vocabulary.size
        ]
        if strange:
            raise ModelError(
                f"there is no token {strange[0]}; this model's are 0 to {self.vocabulary.size - 1}"
            )

    # ---- on the worker's thread ----

    def _work(self) -> None:
        while not self._closed:
            try:
                self._receive()
                self.step()
            except BaseException as error:  # a panic of llguidance is not an Exception
                self._restart(error)
        self._drain()
        self._fail_all(ModelError("the model was closed before the request had ended"))
        self._builder.shutdown(wait=False)  # requests in preparation fail there
        self._sampling.close()
        self.native.close()
        switch_interval.restore()

    def _restart(self, error: BaseException) -> None:
        """After a failed step: fail all requests, and continue with an empty cache."""
        _log.error("a step failed", exc_info=error)
        self._fail_all(ModelError(f"the engine failed and dropped its requests: {error}"))
        try:
            self.native.memory.clear()  # whatever state it is in
            self._reset()
        except BaseException:
            _log.exception("the engine can't go on and closes")
            with self._closing:
                self._closed = True

    def _reset(self) -> None:
        """Start with an empty cache and an idle scheduler."""
        settings, native = self.settings, self.native
        self._pool = KvPool(
            native.memory,
            settings.kv_cells or 0,
            settings.sequences,
            MAX_SEQUENCES,
            can_share=not native.recurrent,
            windowed=native.windowed,
        )
        self._scheduler = Scheduler(self._pool, settings, native.outputs)

    def _receive(self) -> None:
        """Queue the requests that have arrived; an idle engine waits for the first."""
        if self._scheduler.running or self._scheduler.waiting or self._arrived or self._closed:
            self._callers.wait()
        else:
            self._callers.forget()
            self._handle(self._inbox.get())
            for request in self._arrived:  # further requests of the same run may follow
                self._callers.expect(request.loop)
            self._callers.wait_idle(self._prepared, self._others_wait)
        self._drain()
        # The order must not depend on which requests had to be prepared.
        for request in sorted(self._arrived, key=lambda request: request.number):
            self._queue(request)
        self._arrived.clear()

    def _prepared(self, seconds: float) -> bool:
        """Wait up to ``seconds`` for requests in preparation; True if none is left."""
        return not wait(list(self._preparing), seconds).not_done

    def _others_wait(self) -> bool:
        """Whether requests of several callers have arrived, or the engine is being closed."""
        self._drain()
        return self._closed or len({request.loop for request in self._arrived}) > 1

    def _drain(self) -> None:
        while not self._inbox.empty():
            self._handle(self._inbox.get())

    def _handle(self, item: Request | Callable[[], object]) -> None:
        """Collect a request that has arrived, or run another thread's function."""
        if isinstance(item, Request):
            self._arrived.append(item)
            return
        try:
            item()
        except CacheFault:
            raise
        except BaseException:
            _log.exception("what another thread asked for failed")

    def _queue(self, request: Request) -> None:
        """Add a request's sequences to the waiting queue."""
        if request.done.done():
            return  # ended before it arrived
        try:
            self._requests.add(request)
            self._counters.requests += 1
            if request.budget:
                self._budgeted.append(request)
            for sequence in request.sequences:
                if not sequence.finish:
                    self._scheduler.waiting.append(sequence)
        except BaseException as error:
            self._fail_by(error, request, "the request could not be queued")

    def _cancel(self, request: Request, index: int | None) -> None:
        for sequence in request.sequences:
            if index in (None, sequence.index):
                self._end_early(sequence, "cancelled")

    def _end_early(self, sequence: Sequence, reason: Literal["cancelled", "budget"]) -> None:
        """End a sequence that has not ended; an error fails only its own request."""
        try:
            if not sequence.finish:
                self._finish(sequence, reason)
        except BaseException as error:
            self._fail_by(error, sequence.request)

    def step(self) -> None:
        """Schedule, run, postprocess."""
        began = time.perf_counter()
        self._end_over_budget()
        if chunks := self._scheduler.schedule():
            rows, logits = self._run(chunks)
            self._postprocess(rows, logits)
            self._pool.expire(self.settings.idle_cells, self.settings.idle_steps)
        self._counters.step_s += time.perf_counter() - began

    def _end_over_budget(self) -> None:
        """End the sequences of requests whose budget is spent; a step checks a limited number."""
        for _ in range(min(BUDGETS_CHECKED, len(self._budgeted))):
            request = self._budgeted.popleft()
            if request.done.done():
                continue
            try:
                spent = request.budget and request.budget.exhausted
            except BaseException as error:
                self._fail_by(error, request)
                continue
            if not spent:
                self._budgeted.append(request)
                continue
            for sequence in request.sequences:
                self._end_early(sequence, "budget")

    def _run(self, chunks: list[Chunk]) -> tuple[list[Row], Logits]:
        self.native.use(self._scheduler.adapter)
        began = time.perf_counter()
        try:
            rows, logits = self._runner.run(chunks)
        except DecodeError as error:
            self._recover([s for chunk in chunks for s in chunk.sequences], error)
            return [], self._runner.no_logits
        self._counters.native_s += time.perf_counter() - began
        self._counters.steps += 1
        for chunk in chunks:
            try:
                self._account(chunk)
            except BaseException as error:
                for request in {sequence.request for sequence in chunk.sequences}:
                    self._fail_by(error, request)
        self._counters.peak = max(self._counters.peak, self._pool.cells - self._pool.free)
        return rows, logits

    def _account(self, chunk: Chunk) -> None:
        sequence, lease, count = chunk.sequences[0], chunk.lease, chunk.count
        request, counters, decoded = sequence.request, self._counters, sequence.is_decoding
        with _changing_cache():
            self._pool.grow(lease, count)
        if decoded:
            return
        if not request.admitted:
            request.admitted = time.monotonic()
            request.cached = lease.cached  # of further samples it is the same prompt
        if not sequence.admitted:
            sequence.admitted = True
            counters.cached_tokens += lease.cached
        request.prefilled += count
        counters.prefilled_tokens += count
        with _changing_cache():
            self._pool.commit(lease, sequence.tokens[: lease.length])

    def _postprocess(self, rows: list[Row], logits: Logits) -> None:
        """Sample or score a token for each row, and notify the waiting callers."""
        if not rows:
            return
        began = time.perf_counter()
        draws = [
            [draw for sequence in self._sequences(row) if (draw := self._draw(sequence, row))]
            for row in rows
        ]
        self._sampling.run(draws, logits)
        touched: set[Request] = set()
        spoiled: dict[Sequence, Draw] = {}
        for row, drawn in zip(rows, draws, strict=True):
            for draw in drawn:
                touched.add(draw.sequence.request)
                if isinstance(draw.error, NotFinite):
                    spoiled.setdefault(draw.sequence, draw)
                elif draw.sequence not in spoiled:  # a scored text has several rows
                    self._advance(draw)
            if len(drawn) > 1:
                sequences = [draw.sequence for draw in drawn]
                self._scheduler.split_diverged(row.chunk.lease, sequences)
        if spoiled:
            self._find_spoiler(list(spoiled.values()))
        for request in touched:
            self._notify(request)
        self._counters.rows += len(rows)
        self._counters.sampling_s += time.perf_counter() - began

    def _sequences(self, row: Row) -> list[Sequence]:
        """The sequences of a row; at the end of a prompt also waiting ones of the same prompt."""
        leader = row.chunk.sequences[0]
        if leader.finish:
            return []  # its request has failed
        if row.position != len(leader.prompt) - 1:
            return row.chunk.sequences
        admitted = self._scheduler.admit_same_prompt(leader)
        for request in {s.request for s in admitted} - {leader.request}:
            if not request.admitted:  # another request of the same prompt
                request.admitted = time.monotonic()
                request.cached += len(request.prompt)
                self._counters.cached_tokens += len(request.prompt)
        return [leader, *admitted]

    def _draw(self, sequence: Sequence, row: Row) -> Draw | None:
        """The draw of a row's sequence; None if the sequence has ended, or ends here."""
        if sequence.finish:
            return None
        if not sequence.is_sampled:
            return Draw(sequence, token=sequence.tokens[row.position + 1])
        request = sequence.request
        try:
            if request.budget and request.budget.exhausted:
                self._end_early(sequence, "budget")
                return None
            if request.budget:
                request.budget.spend(tokens=1)
            if sequence.sampler is None:
                constraint = Constraint(self._grammars, request.plan) if request.plan else None
                sequence.sampler = Sampler(
                    self.vocabulary, request.sampling, sequence.seed, constraint
                )
        except BaseException as error:
            return Draw(sequence, error=error)
        return Draw(sequence, sequence.sampler)

    def _advance(self, draw: Draw) -> None:
        """Append a drawn token to its sequence, which may end with it."""
        sequence = draw.sequence
        try:
            if sequence.finish:
                return  # its request has failed because of another sequence
            if draw.error:
                raise draw.error
            self._take(draw)
            self._scheduler.suspects.pop(sequence, None)
            if reason := self._reason_to_end(sequence, draw.token):
                self._finish(sequence, reason)
        except DeadEnd as error:
            if sequence.request.plan is None:
                self._fail(sequence.request, ModelError(f"{error}: logit_bias excludes all"))
                return
            message = f"the grammar allows no token of this model here; loosen it ({error})"
            self._fail(sequence.request, ModelError(message))
        except BaseException as error:
            self._fail_by(error, sequence.request, "a token could not be drawn")

    def _take(self, draw: Draw) -> None:
        sequence, request = draw.sequence, draw.sequence.request
        now = time.monotonic()
        if not request.first_token:
            request.first_token = now
        if sequence.last_token and sequence.is_sampled:
            self._counters.token_s.add(now - sequence.last_token)
        sequence.last_token = now
        sequence.confidence.add(draw.logprob)
        if draw.uncertainty:
            sequence.confidence.add_uncertainty(draw.uncertainty)
        if sequence.is_sampled:
            self._append(sequence, draw.token)
        else:
            sequence.scores.append(draw.logprob)
        if request.sampling.top_logprobs or not sequence.is_sampled:
            text = self.vocabulary.text([draw.token])
            entry = TokenLogprob(token=draw.token, text=text, logprob=draw.logprob, top=draw.top)
            sequence.logprobs.append(entry)

    def _append(self, sequence: Sequence, token: int) -> None:
        sequence.tokens.append(token)
        self._counters.completion_tokens += 1
        if token in self.vocabulary.ends or token in sequence.request.sampling.stop_tokens:
            return
        spelled = sequence.request.spelled.get(token)
        sequence.stream.add(self.vocabulary.piece(token) if spelled is None else spelled)
        self._tell(sequence)

    @staticmethod
    def _tell(sequence: Sequence) -> None:
        """Emit the new output of a sequence, if its request is streamed."""
        if sequence.request.streams and (said := sequence.stream.take()):
            delta = Delta.model_construct(
                sample=sequence.index,
                text=said.text,
                tokens=sequence.drawn,
                reasoning=said.reasoning,
                tool_calls=tuple(said.tool_calls),
                tool_call_pieces=tuple(said.pieces.values()),
            )
            sequence.request.emit(delta)

    def _reason_to_end(self, sequence: Sequence, token: int) -> FinishReason | None:
        sampling = sequence.request.sampling
        if not sequence.is_sampled:
            return "stop" if len(sequence.scores) == sequence.num_targets else None
        if token in self.vocabulary.ends and not sampling.ignore_eos:
            return "stop"
        if token in sampling.stop_tokens or sequence.stream.stopped:
            return "stop"
        if sequence.sampler and sequence.sampler.finished:
            return "stop"
        full = len(sequence.tokens) >= self.context_length
        return "length" if full or sequence.drawn >= sampling.max_tokens else None

    def _finish(self, sequence: Sequence, reason: FinishReason) -> None:
        """End one sequence; with the last, its request."""
        request = sequence.request
        self._release(sequence, keep=reason != "cancelled")
        sequence.finish = reason
        if reason == "cancelled":
            request.cancelled_tokens += sequence.drawn
            self._counters.cancelled_tokens += sequence.drawn
        sequence.stream.close()
        self._tell(sequence)
        parser = sequence.stream.parser
        completion = Completion(
            sample=sequence.index,
            seed=sequence.seed,
            text=sequence.stream.text,
            tokens=sequence.drawn,
            finish_reason=reason,
            stop_text=sequence.stream.stop_text,
            reasoning=parser.reasoning,
            tool_calls=tuple(parser.tool_calls),
            invalid_tool_calls=tuple(parser.invalid_tool_calls),
            confidence=sequence.confidence.result(),
            logprobs=tuple(sequence.logprobs),
        )
        request.completions[sequence.index] = completion
        request.emit(completion)
        self._callers.expect(request.loop)
        request.open -= 1
        if not request.open:
            self._end(request)
        else:
            self._notify(request)

    def _end(self, request: Request, error: ModelError | None = None) -> None:
        if request.done.done():
            return
        self._requests.discard(request)
        request.end(error)
        self._notify(request)
        kind: Literal["generate", "score"] = "generate" if request.is_sampled else "score"
        self._counters.latencies[kind].add(request)

    def _notify(self, request: Request) -> None:
        """Wake the waiter of a request; an exception of its callback affects no other request."""
        try:
            request.notify()
        except BaseException:
            _log.exception("the caller of a request could not be woken")

    def _release(self, sequence: Sequence, *, keep: bool) -> None:
        with _changing_cache():
            self._scheduler.retire(sequence, keep=keep and self.settings.idle_cells > 0)
        if sequence.sampler:
            sequence.sampler.close()
            sequence.sampler = None

    def _fail(self, request: Request, error: ModelError) -> None:
        """End a request with an error; the others continue."""
        for sequence in request.sequences:
            self._release(sequence, keep=False)
            sequence.finish = sequence.finish or "cancelled"
        self._end(request, error)

    def _fail_by(
        self, error: BaseException, request: Request, what: str = "the request failed"
    ) -> None:
        """Fail the request that caused an error; a :class:`CacheFault` is raised again."""
        if isinstance(error, CacheFault):
            raise error
        _log.error("a request failed", exc_info=error)
        self._fail(request, ModelError(f"{what}: {error}"))

    def _fail_all(self, error: ModelError) -> None:
        for request in [*self._requests, *self._arrived]:
            try:
                self._fail(request, error)
            except BaseException:  # no caller may be left waiting
                _log.exception("a request could not be taken down")
                self._requests.discard(request)
                request.end(error)
                self._notify(request)
        self._arrived.clear()

    def _find_spoiler(self, spoiled: list[Draw]) -> None:
        """After non-finite logits: run the suspects one by one, and fail only those at fault.

        NaN in one sequence's cells can corrupt the rows of all others, even after it has ended:
        where attention adds its mask (on a GPU, or without flash attention), NaN - inf is NaN.
        """
        _log.warning("%d rows of logits aren't finite", len(spoiled))
        scheduler = self._scheduler
        guilty = [draw for draw in spoiled if draw.sequence in scheduler.suspects]
        for draw in guilty:
            self._advance(draw)
        if not guilty:
            # A decoding sequence has already had a finite row over all its cells.
            scheduler.isolate([s for s in scheduler.running if not s.is_decoding])
        for draw in spoiled:
            request = draw.sequence.request
            try:
                if draw.sampler and request.budget:
                    request.budget.spend(tokens=-1)  # nothing was drawn
            except BaseException as error:
                self._fail_by(error, request)

    def _recover(self, sequences: list[Sequence], error: DecodeError) -> None:
        """After a failed decode: free cells, or run sequences alone to fail only the bad one."""
        _log.warning("%s with %d sequences", error, len(sequences))
        running = self._scheduler.running
        if error.code == NO_ROOM and len({s.lease for s in running}) > 1:
            self._scheduler.preempt_newest()  # cells that the pool counts as free were not
        elif len(sequences) > 1:
            self._scheduler.isolate(sequences)
        else:
            message = f"llama.cpp could not compute the request ({error})"
            self._fail(sequences[0].request, ModelError(message))
