"""A client that goes away ends its samples at the next step, whatever it asked by."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tests.thinkgraph.serve.conftest import Running, Serve
from thinkgraph.models.engine.stats import EngineStats

LONG = {"max_tokens": 1500, "messages": [{"role": "user", "content": "Tell a long story."}]}


@pytest.fixture
def running(serve: Serve, tiny: Any) -> Running:
    return serve({"tiny": str(tiny())})


def stats(running: Running) -> EngineStats:
    model: Any = running.service.models.opened["tiny"]
    found: EngineStats = model.engine.stats
    return found


def wait_until(running: Running, wanted: Callable[[EngineStats], bool]) -> EngineStats:
    """The statistics once they are so."""
    limit = time.monotonic() + 20
    while not wanted(found := stats(running)):
        assert time.monotonic() < limit, f"{found.running} run, {found.waiting} wait"
        time.sleep(0.002)
    return found


def is_busy(found: EngineStats) -> bool:
    """Whether several samples run; a random model may have ended some already."""
    return found.running >= 4


def is_idle(found: EngineStats) -> bool:
    return not found.running and not found.waiting


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["tiny", "self-consistency@8"])
def test_chat_completions(running: Running, model: str, stream: bool) -> None:
    n = 8 if model == "tiny" else 1
    body: dict[str, Any] = {**LONG, "model": model, "n": n, "stream": stream}
    leaves(running, "/v1/chat/completions", body)


@pytest.mark.parametrize("stream", [False, True])
def test_responses(running: Running, stream: bool) -> None:
    body = {"model": "self-consistency@8", "input": "Tell a long story.", "stream": stream}
    leaves(running, "/v1/responses", body)


def leaves(running: Running, path: str, body: dict[str, Any]) -> None:
    """Ask, wait until eight samples run, close the connection, and count what was spent."""
    before = stats(running)
    request = httpx.Request("POST", f"{running.url}{path}", json=body)
    head = "".join(f"{name}: {value}\r\n" for name, value in request.headers.items())
    host, port = running.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port))) as connection:
        connection.sendall(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + request.content)
        wait_until(running, is_busy)
    after = wait_until(running, is_idle)
    assert after.cancelled_tokens > before.cancelled_tokens
    assert after.completion_tokens - before.completion_tokens < 8 * 500
    assert after.cells_used == after.cells_idle, "no cell is kept by anybody"
    assert running.service.admission.running == 0


def test_one_that_waits_for_its_turn_leaves_the_queue(serve: Serve, tiny: Any) -> None:
    running = serve({"tiny": str(tiny())}, running=1)
    body = {**LONG, "model": "tiny", "n": 16}
    with httpx.stream("POST", f"{running.url}/v1/chat/completions", json={**body, "stream": True}):
        wait_until(running, lambda found: found.running > 0)
        with pytest.raises(httpx.ReadTimeout):
            httpx.post(f"{running.url}/v1/chat/completions", json=body, timeout=0.3)
        limit = time.monotonic() + 10
        while running.service.admission.waiting:
            assert time.monotonic() < limit
            time.sleep(0.005)
    wait_until(running, is_idle)
