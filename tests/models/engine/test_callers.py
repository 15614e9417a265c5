"""The engine waits for what its callers are about to ask, and for no more than that."""

import asyncio
import threading
import time

from thinkgraph.models.engine.callers import PATIENCE_S, Callers, running_loop


async def settled(callers):
    """Let another thread wait for this loop, as the engine's worker does."""
    await asyncio.to_thread(callers.settle)


async def test_it_waits_for_what_follows_from_an_event():
    callers, said = Callers(), []

    async def speak(turns):
        for _ in range(turns):
            await asyncio.sleep(0)
        said.append(turns)

    tasks = [asyncio.create_task(speak(turns)) for turns in (1, 5, 40)]
    callers.disturb(running_loop())
    waiting = threading.Thread(target=callers.settle)
    waiting.start()
    while waiting.is_alive():
        await asyncio.sleep(0)
    assert sorted(said) == [1, 5, 40]
    await asyncio.gather(*tasks)


async def test_a_busy_loop_is_not_waited_for_long():
    callers = Callers()
    callers.disturb(asyncio.get_running_loop())
    waiting = threading.Thread(target=callers.settle)
    waiting.start()
    time.sleep(PATIENCE_S * 5)  # the loop does something else meanwhile
    assert not waiting.is_alive()


def test_a_closed_loop_is_not_waited_for():
    callers, loop = Callers(), asyncio.new_event_loop()
    callers.disturb(loop)
    loop.close()
    callers.settle()


def test_a_loop_that_ends_is_not_waited_for(monkeypatch):
    monkeypatch.setattr("thinkgraph.models.engine.callers.PATIENCE_S", 3600)
    callers = Callers()

    async def ask():
        callers.disturb(asyncio.get_running_loop())
        waiting = threading.Thread(target=callers.settle, daemon=True)
        waiting.start()
        return waiting

    waiting = asyncio.run(ask())  # it ends long before it has turned so often
    waiting.join(10)
    assert not waiting.is_alive()


def test_there_may_be_no_loop():
    callers = Callers()
    callers.disturb(running_loop())
    callers.settle()


async def test_it_waits_once_for_each_event():
    callers = Callers()
    callers.disturb(asyncio.get_running_loop())
    await settled(callers)
    assert not callers._disturbed
