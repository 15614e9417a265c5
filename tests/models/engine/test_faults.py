"""Whatever is thrown on the worker's thread reaches the caller that it belongs to."""

import asyncio

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from thinkgraph.models.engine import engine as module
from thinkgraph.models.engine.kv_cache.kv_pool import KvPool
from thinkgraph.models.engine.runner import Runner
from thinkgraph.models.engine.sampling.distribution import Distribution
from thinkgraph.models.engine.sampling.sampler import Sampler
from thinkgraph.models.engine.scheduler import Scheduler
from thinkgraph.models.engine.sequence import Request
from thinkgraph.models.engine.text import TextStream
from thinkgraph.models.engine.waiting import WaitingQueue
from thinkgraph.models.errors import ModelError
from thinkgraph.models.model import Message, ModelRequest, Sampling

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
    (module.Engine, "_account"),
    (module.Engine, "_reason_to_end"),
    (module.Engine, "_queue"),
]
"""What is thrown there belongs to one request, and no other may fail."""
POINTS = [
    *OF_ONE_REQUEST,
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


def asked(text, n=2):
    return ModelRequest([Message(role="user", content=text)], SAMPLING, range(n))


async def texts(model):
    return [c.text for c in await model.generate(asked("the same")).completions()]


class Fault(Exception):
    """Thrown by the test."""


@pytest.mark.parametrize("place", POINTS, ids=lambda p: f"{p[0].__name__}.{p[1]}")
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(after=st.integers(0, 30))
def test_a_fault_at_any_point_of_a_step_fails_requests_and_never_the_worker(opened, place, after):
    owner, name = place
    model = opened("llama", sequences=4)
    real, calls = getattr(owner, name), 0

    def faulty(*args, **kwargs):
        nonlocal calls
        calls += 1
        if calls == after + 1:
            raise Fault("thrown by the test")
        return real(*args, **kwargs)

    async def ask(number):
        generation = model.generate(asked(f"question {number % 2}"))
        if number == 3:
            generation.cancel(0)
        return await asyncio.wait_for(generation.completions(), 30)

    async def run():
        expected = await texts(model)
        setattr(owner, name, faulty)
        try:
            found = await asyncio.gather(*map(ask, range(4)), return_exceptions=True)
        finally:
            setattr(owner, name, real)
        assert all(isinstance(f, list | ModelError) for f in found), found
        assert await texts(model) == expected
        stats = model.engine.stats
        assert (stats.running, stats.waiting) == (0, 0)
        assert stats.cells_used == stats.cells_idle

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
