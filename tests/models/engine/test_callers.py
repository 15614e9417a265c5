"""The engine gives its callers a moment to send what follows, and never more than a moment."""

import asyncio
import threading
import time
from types import SimpleNamespace

import pytest

from thinkgraph.models.engine import callers as module
from thinkgraph.models.engine.callers import Callers, running_loop


async def beside(work):
    """Run ``work`` in a thread, as the engine's worker, while this loop turns."""
    return await asyncio.to_thread(work)


async def test_it_waits_for_what_follows_from_an_event(monkeypatch):
    monkeypatch.setattr(module, "LIMIT_S", 10)
    callers, said = Callers(), []

    async def speak(turns):
        for _ in range(turns):
            await asyncio.sleep(0)
        said.append(turns)

    tasks = [asyncio.create_task(speak(turns)) for turns in (1, 5, 40)]
    callers.expect(running_loop())
    waiting = threading.Thread(target=callers.wait)
    waiting.start()
    while waiting.is_alive():
        await asyncio.sleep(0.001)
    assert sorted(said) == [1, 5, 40]
    await asyncio.gather(*tasks)


async def test_an_idle_loop_is_not_waited_for_until_the_limit(monkeypatch):
    monkeypatch.setattr(module, "LIMIT_S", 10)
    callers = Callers()
    callers.expect(running_loop())
    await beside(callers.wait)
    assert 0 < callers.waited_s < 5


class Clock:
    """Time that passes only where somebody waits for a loop."""

    def __init__(self, monkeypatch):
        self.now = 0.0
        monkeypatch.setattr(module, "time", SimpleNamespace(perf_counter=lambda: self.now))

        def wait(probe, seconds):
            self.now += seconds
            return probe._loop.idle

        monkeypatch.setattr(module._IdleProbe, "wait", wait)


class Loop:
    """An event loop that does something else, unless it is idle."""

    idle = False

    def call_soon_threadsafe(self, callback):
        pass


def at_once(_):
    return True


def test_many_busy_loops_are_not_waited_for_longer_than_one(monkeypatch):
    Clock(monkeypatch)
    callers, loops = Callers(), [Loop() for _ in range(100)]
    for loop in loops:
        callers.expect(loop)
    callers.wait()
    assert callers.waited_s == pytest.approx(module.LIMIT_S)


def test_a_loop_that_does_not_become_idle_is_waited_for_half_as_long_the_next_time(monkeypatch):
    Clock(monkeypatch)
    callers, loop, waits = Callers(), Loop(), []

    def wait():
        before = callers.waited_s
        callers.expect(loop)
        callers.wait_idle(at_once)
        waits.append(callers.waited_s - before)

    for _ in range(8):
        wait()
    limit = module.IDLE_LIMIT_S
    assert waits[:3] == pytest.approx([limit, limit / 2, limit / 4])
    assert waits[-1] == pytest.approx(module.LIMIT_S)
    loop.idle = True
    wait()
    loop.idle = False
    wait()
    assert waits[-1] == pytest.approx(limit)


def test_an_idle_engine_stops_waiting_when_somebody_else_asks(monkeypatch):
    clock = Clock(monkeypatch)
    callers, loop = Callers(), Loop()
    for _ in range(2):  # it is not the loop's fault
        began = clock.now
        callers.expect(loop)
        callers.wait_idle(at_once, lambda began=began: clock.now - began >= 0.003)
        assert clock.now - began == pytest.approx(0.003)


async def test_a_loop_that_never_rests_is_waited_for_no_longer_than_the_limit():
    callers, over = Callers(), threading.Event()

    def wait():
        for _ in range(5):
            callers.expect(loop)
            callers.wait()
        over.set()

    loop = asyncio.get_running_loop()
    threading.Thread(target=wait).start()
    while not over.is_set():
        time.sleep(0.0005)  # the loop's own work, each turn
        await asyncio.sleep(0)
    assert callers.waited_s < 5 * 100 * 0.0005  # a hundred turns each would take longer


async def test_a_blocked_loop_is_not_waited_for():
    callers = Callers()
    callers.expect(asyncio.get_running_loop())
    waiting = threading.Thread(target=callers.wait)
    waiting.start()
    waiting.join(10)  # the loop can't turn meanwhile
    assert not waiting.is_alive()


async def test_an_abandoned_loop_is_left_in_peace():
    callers = Callers()
    callers.expect(asyncio.get_running_loop())
    thread = threading.Thread(target=callers.wait)
    thread.start()
    thread.join()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not asyncio.get_running_loop()._ready


def test_a_closed_loop_is_not_waited_for():
    callers, loop = Callers(), asyncio.new_event_loop()
    callers.expect(loop)
    loop.close()
    callers.wait()


def test_a_loop_that_ends_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(module, "LIMIT_S", 3600)
    callers = Callers()

    async def ask():
        callers.expect(asyncio.get_running_loop())
        waiting = threading.Thread(target=callers.wait, daemon=True)
        waiting.start()
        return waiting

    waiting = asyncio.run(ask())
    waiting.join(10)
    assert not waiting.is_alive()


def test_there_may_be_no_loop():
    callers = Callers()
    callers.expect(running_loop())
    callers.wait()
    assert callers.waited_s == 0


async def test_it_waits_once_for_each_event():
    callers = Callers()
    callers.expect(asyncio.get_running_loop())
    await beside(callers.wait)
    waited = callers.waited_s
    await beside(callers.wait)
    assert callers.waited_s == waited
