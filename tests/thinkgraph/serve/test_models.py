"""The models of a server: opened once, within a memory limit, whoever waits for them."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest

from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.errors import ModelError, ThinkgraphError
from thinkgraph.models.model import Model
from thinkgraph.serve.errors import RequestError
from thinkgraph.serve.offer.models import Models


class Loader:
    """Opens models in threads, each when it is let."""

    def __init__(self, fault: ModelError | None = None) -> None:
        self.begun, self.go, self.fault = threading.Event(), threading.Event(), fault
        self.loads: list[str] = []

    def __call__(self, source: str, **settings: Any) -> ScriptedModel:
        self.loads.append(source)
        self.begun.set()
        assert self.go.wait(20)
        if self.fault:
            raise self.fault
        return ScriptedModel()


async def leased(models: Models, name: str) -> Model:
    async with models.lease([name]) as found:
        return found[name]


async def left(models: Models, load: Loader) -> None:
    """A client that goes away while its model is being opened."""
    first = asyncio.create_task(leased(models, "one"))
    assert await asyncio.to_thread(load.begun.wait, 20)
    first.cancel()
    await asyncio.wait({first})
    assert first.cancelled()


@pytest.mark.parametrize("memory", [None, 100])
async def test_what_is_opened_for_a_client_that_has_gone_is_the_next_ones(
    memory: int | None, tmp_path: Path
) -> None:
    file = tmp_path / "one.gguf"
    file.write_bytes(b"x" * 60)
    load = Loader()
    models = Models({"one": str(file)}, load=load, memory=memory)
    await left(models, load)
    again = [asyncio.create_task(leased(models, "one")) for _ in range(2)]
    await asyncio.sleep(0)
    load.go.set()
    found = await asyncio.gather(*again)
    assert load.loads == [str(file)]
    assert {id(model) for model in found} == {id(models.opened["one"])}


async def test_one_that_cant_be_opened_for_a_client_that_has_gone_is_tried_again() -> None:
    load = Loader(ModelError("it is broken"))
    models = Models({"one": "smollm2"}, load=load)
    await left(models, load)
    load.go.set()
    with pytest.raises(RequestError, match="'one' can't be opened: it is broken"):
        await leased(models, "one")
    load.fault = None
    assert await leased(models, "one") is models.opened["one"]


def two(tmp_path: Path) -> Models:
    """Two models of which one fits into the memory at a time."""
    for name in "ab":
        (tmp_path / f"{name}.gguf").write_bytes(b"x" * 60)
    sources = {name: str(tmp_path / f"{name}.gguf") for name in "ab"}
    return Models(sources, memory=100, load=lambda source, **settings: ScriptedModel())


async def test_a_wait_for_memory_ends_with_the_requests_time(tmp_path: Path) -> None:
    models = two(tmp_path)
    async with models.lease(["a"]):
        with pytest.raises(RequestError, match="before b had memory") as caught:
            async with models.lease(["b"], seconds=0.05):
                pytest.fail("there is no memory")
        assert caught.value.status == 429 and caught.value.retry_s
    async with models.lease(["b"], seconds=20):
        assert [*models.opened] == ["b"]


async def test_an_open_model_is_leased_while_another_one_waits_for_memory(tmp_path: Path) -> None:
    models = two(tmp_path)
    async with models.lease(["a"]):
        waiting = asyncio.create_task(leased(models, "b"))
        await asyncio.sleep(0.01)
        async with asyncio.timeout(5):
            await leased(models, "a")
        assert not waiting.done()
    assert await waiting is models.opened["b"]


@pytest.mark.parametrize("name", ["model[q4].gguf", "m[a]*?-00001-of-00002.gguf"])
async def test_a_file_counts_whatever_its_name(name: str, tmp_path: Path) -> None:
    for part in {name, name.replace("00001-of", "00002-of")}:
        (tmp_path / part).write_bytes(b"x" * 6_000_000)
    models = Models({"one": str(tmp_path / name)}, memory=5_000_000)
    with pytest.raises(RequestError, match=r"one need .* GB together, more than the server's "):
        await leased(models, "one")


def test_a_server_without_a_model_is_refused() -> None:
    with pytest.raises(ThinkgraphError, match="no model to serve; give --model NAME"):
        Models({})
