"""Synchronous calls and the event loop that serves them."""

import asyncio
import contextvars
import os
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from thinkgraph.models.event_loop import iterate, wait_for

NAME: contextvars.ContextVar[str] = contextvars.ContextVar("name", default="nobody")


async def here() -> asyncio.AbstractEventLoop:
    await asyncio.sleep(0)
    return asyncio.get_running_loop()


async def failing(error: BaseException) -> None:
    raise error


def test_all_calls_share_one_loop():
    with ThreadPoolExecutor(4) as threads:
        loops = set(threads.map(lambda _: wait_for(here()), range(20)))
    assert loops == {wait_for(here())}


def test_a_call_from_a_running_loop_is_served():
    async def within() -> bool:
        return wait_for(here()) is not asyncio.get_running_loop()

    assert asyncio.run(within())


def test_a_call_from_within_the_loop_is_served_at_any_depth():
    async def nested(depth: int) -> int:
        return 1 + wait_for(nested(depth - 1)) if depth else 0

    assert wait_for(nested(3)) == 3


def test_a_call_from_a_thread_of_a_blocked_loop_is_served():
    """The inner call is made in a thread, whose own loop waits for the outer one."""

    async def inner() -> int:
        return await asyncio.to_thread(wait_for, asyncio.sleep(0, 7))

    async def outer() -> int:
        return wait_for(inner())

    assert wait_for(outer()) == 7


def test_a_blocked_loop_does_not_hold_up_other_callers():
    entered, leave = threading.Event(), threading.Event()

    async def blocking() -> None:
        entered.set()
        wait_for(asyncio.to_thread(leave.wait, 10))

    with ThreadPoolExecutor(1) as thread:
        blocked = thread.submit(wait_for, blocking())
        entered.wait()
        assert wait_for(asyncio.sleep(0, 3)) == 3
        assert not blocked.done()
        leave.set()


def test_the_callers_context_variables_are_carried():
    async def name() -> str:
        return NAME.get()

    token = NAME.set("somebody")
    try:
        assert wait_for(name()) == "somebody"
    finally:
        NAME.reset(token)
    assert wait_for(name()) == "nobody"


@pytest.mark.parametrize(
    "error", [ValueError("no"), SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError()]
)
def test_any_failure_reaches_the_caller_and_not_the_loop(error):
    loop = wait_for(here())
    with pytest.raises(type(error)):
        wait_for(failing(error))
    assert wait_for(here()) is loop


def test_an_interrupted_caller_cancels_its_coroutine():
    code = """
import asyncio, os, signal, threading
from thinkgraph.models.event_loop import wait_for
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background ignore it
async def work():
    threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
    try:
        await asyncio.sleep(60)
    except asyncio.CancelledError:
        print("cancelled", flush=True)
        raise
try:
    wait_for(work())
except KeyboardInterrupt:
    print("interrupted", flush=True)
"""
    command = [sys.executable, "-c", code]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=30, check=True)
    assert (ran.stdout.split(), ran.stderr) == (["cancelled", "interrupted"], "")


def test_items_come_as_they_are_made_and_leaving_early_closes_the_source():
    closed = []

    async def counting():
        try:
            for number in range(1000):
                await asyncio.sleep(0.001)
                yield number
        finally:
            closed.append(True)

    items = iterate(counting)
    assert [next(items), next(items)] == [0, 1]
    items.close()
    assert closed == [True]


def test_a_failing_source_raises_after_its_items():
    async def source():
        yield 1
        raise ValueError("no more")

    items = iterate(source)
    assert next(items) == 1
    with pytest.raises(ValueError, match="no more"):
        next(items)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_a_loop_of_its_own():
    assert wait_for(asyncio.sleep(0, 5)) == 5
    if (child := os.fork()) == 0:
        try:
            os._exit(wait_for(asyncio.sleep(0, 7)))
        finally:
            os._exit(1)
    assert _exit_code(child) == 7


def _exit_code(child: int, seconds: float = 20.0) -> int:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.kill(child, 9)
    os.waitpid(child, 0)
    raise TimeoutError("the child hangs")
