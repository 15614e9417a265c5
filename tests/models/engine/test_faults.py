"""Whatever is thrown on the worker's thread reaches the caller that it belongs to."""

import asyncio
import threading

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thinkgraph.models.engine import engine as module
from thinkgraph.models.engine.kv_cache.kv_pool import KvPool
from thinkgraph.models.engine.kv_cache.memory import LlamaMemory
from thinkgraph.models.engine.llama.native import NativeModel
from thinkgraph.models.engine.runner import Runner
from thinkgraph.models.engine.sampling import pool
from thinkgraph.models.engine.sampling.confidence import TokenConfidence
from thinkgraph.models.engine.sampling.constraint import Constraint
from thinkgraph.models.engine.sampling.distribution import Distribution
from thinkgraph.models.engine.sampling.pool import SamplingPool
from thinkgraph.models.engine.sampling.sampler import Sampler
from thinkgraph.models.engine.scheduler import Scheduler
from thinkgraph.models.engine.sequence import Request
from thinkgraph.models.engine.stats import LatencyRecorder, Recorder
from thinkgraph.models.engine.text import TextStream
from thinkgraph.models.engine.waiting import WaitingQueue
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Budget, Message, ModelRequest, Sampling

OF_ONE_REQUEST = [
    (Sampler, "__init__"),
    (Sampler, "draw"),
    (Constraint, "__init__"),
    (Constraint, "allowed"),
    (Constraint, "accept"),
    (TextStream, "add"),
    (TextStream, "close"),
    (Request, "emit"),
    (Request, "notify"),
    (TokenConfidence, "add"),
    (Recorder, "add"),
    (Budget, "spend"),
    (Budget, "exhausted"),
    (module.Engine, "_cancel"),
    (module.Engine, "_reason_to_end"),
]
"""What is thrown there belongs to one request, and no other may fail."""
POINTS = [
    *OF_ONE_REQUEST,
    (module.Engine, "_account"),
    (module.Engine, "_queue"),
    *((Scheduler, name) for name in ("schedule", "admit_same_prompt", "split_diverged", "retire")),
    *((KvPool, name) for name in ("lease", "fork", "share", "grow", "commit", "release", "expire")),
    *((KvPool, name) for name in ("match", "branch", "evict")),
    *((LlamaMemory, name) for name in ("copy", "remove")),
    *((WaitingQueue, name) for name in ("append", "remove", "oldest", "same_prompt")),
    (NativeModel, "use"),
    (Runner, "run"),
    (Distribution, "__init__"),
    (Distribution, "check"),
    (SamplingPool, "run"),
    (Sampler, "close"),
    (LatencyRecorder, "add"),
    (module.Callers, "wait"),
    (module.Callers, "wait_idle"),
    (module.Callers, "forget"),
    (module.Callers, "expect"),
]
SAMPLING = Sampling(temperature=0, max_tokens=12, ignore_eos=True)


GRAMMAR = Sampling(temperature=0, max_tokens=12, grammar="root ::= [a-z]+")


def asked(text, n=2, sampling=SAMPLING):
    messages = [Message(role="user", content=text)]
    return ModelRequest(messages, sampling, range(n), budget=Budget(tokens=10_000))


async def texts(model):
    return [c.text for c in await model.generate(asked("the same")).completions()]


class Fault(Exception):
    """Thrown by the test."""


class Panic(BaseException):
    """What no ``except Exception`` catches, as a panic of a library in Rust."""


class Throwing:
    """Throws once, in the place of a method or property."""

    def __init__(self, owner, name, after, fault):
        self.owner, self.name, self.left, self.fault = owner, name, after, fault
        self.real = vars(owner)[name]
        self.thrown_in = None

    def __enter__(self):
        is_property = isinstance(self.real, property)
        work = self.real.fget if is_property else self.real

        def throws(*args, **kwargs):
            self.left -= 1
            if self.left == -1:
                self.thrown_in = threading.current_thread()
                raise self.fault("thrown by the test")
            return work(*args, **kwargs)

        setattr(self.owner, self.name, property(throws) if is_property else throws)
        return self

    def __exit__(self, *_):
        setattr(self.owner, self.name, self.real)


@pytest.mark.parametrize("place", POINTS, ids=lambda p: f"{p[0].__name__}.{p[1]}")
@settings(
    max_examples=5, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    after=st.integers(0, 30),
    fault=st.sampled_from([Panic, Fault]),
    worth_it=st.sampled_from([0, pool.WORTH_IT]),
)
def test_a_fault_at_any_point_of_a_step_fails_requests_and_never_the_worker(
    opened, place, after, fault, worth_it
):
    model = opened("llama", sequences=4, threads=2)

    async def ask(number):
        text = f"question {number % 2}"
        generation = model.generate(asked(text, sampling=GRAMMAR if number == 2 else SAMPLING))
        if number == 3:
            generation.cancel(0)
        return await asyncio.wait_for(generation.completions(), 30)

    async def run():
        expected = await texts(model)
        with Throwing(*place, after, fault) as throwing:
            found = await asyncio.gather(*map(ask, range(4)), return_exceptions=True)
        failed = [f for f in found if not isinstance(f, list)]
        if throwing.thrown_in is threading.current_thread():  # in the caller's own call
            assert [type(f) for f in failed] == [fault]
        else:
            assert all(isinstance(f, ModelError) for f in failed), failed
        if place in OF_ONE_REQUEST:
            assert len(failed) <= 1
        assert await texts(model) == expected
        stats = model.engine.stats
        assert (stats.running, stats.waiting) == (0, 0)
        assert stats.cells_used == stats.cells_idle

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pool, "WORTH_IT", worth_it)  # whether helper threads take part
        asyncio.run(run())


async def test_a_fault_in_a_question_of_another_thread_is_raised_there(opened):
    model = opened("llama")
    with pytest.raises(ZeroDivisionError):
        model.engine._on_worker(lambda: 1 / 0)
    assert await texts(model)


async def test_a_fault_of_a_cancellation_harms_nobody_else(opened, monkeypatch):
    model = opened("llama")
    generation = model.generate(asked("x"))
    monkeypatch.setattr(model.engine, "_cancel", lambda *_: 1 / 0)
    generation.cancel()
    assert len(await asyncio.wait_for(generation.completions(), 30)) == 2


async def test_an_engine_that_can_not_go_on_fails_its_requests_and_frees_its_memory(
    opened, monkeypatch
):
    model = opened("llama")
    engine = model.engine
    monkeypatch.setattr(engine.native.memory, "clear", lambda: 1 / 0, raising=False)
    monkeypatch.setattr(Runner, "run", lambda *_: 1 / 0)
    with pytest.raises(ModelError, match="dropped its requests"):
        await asyncio.wait_for(model.generate(asked("x")).completions(), 30)
    engine._worker.join(30)
    assert engine.closed
    assert engine.native.context is None
    with pytest.raises(ModelError, match="closed; open it again"):
        model.generate(asked("x"))
    model.close()
