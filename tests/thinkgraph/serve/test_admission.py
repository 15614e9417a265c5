"""Whose turn it is, and what has changed by then."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.model import Budget
from thinkgraph.serve.access.keys import Client
from thinkgraph.serve.errors import RequestError
from thinkgraph.serve.offer.models import Models
from thinkgraph.serve.offer.strategies import Strategies
from thinkgraph.serve.service import Service
from thinkgraph.serve.settings import ServeSettings


@asynccontextmanager
async def waiting(service: Service, client: Client) -> AsyncIterator[asyncio.Task[Budget]]:
    """One request that runs until the block ends, and one that waits for it."""

    async def admitted() -> Budget:
        async with service.admit(client) as budget:
            return budget

    async with service.admit(Client()):
        second = asyncio.create_task(admitted())
        while not service.admission.waiting:
            await asyncio.sleep(0)
        yield second
    await asyncio.wait({second})


def service() -> Service:
    models = Models({"scripted": ScriptedModel()})
    return Service(models, Strategies({}), None, ServeSettings(running=1))


async def test_one_that_waits_when_the_server_stops_is_refused() -> None:
    stopped = service()
    async with waiting(stopped, Client()) as second:
        stopped.stop()
    with pytest.raises(RequestError, match="stopping") as caught:
        second.result()
    assert caught.value.status == 503


async def test_one_whose_key_has_nothing_left_at_its_turn_is_refused() -> None:
    client = Client("me", tokens_per_hour=5)
    async with waiting(service(), client) as second:
        client.budget.spend(tokens=5)
    with pytest.raises(RequestError, match="for the key 'me' in this hour") as caught:
        second.result()
    assert caught.value.status == 429


async def test_a_wait_for_a_turn_counts_toward_the_time_limit_of_a_request() -> None:
    busy = service()
    async with busy.admit(Client()):
        with pytest.raises(RequestError, match=r"waited 0\.01 seconds for its turn") as caught:
            async with busy.admit(Client(), seconds=0.01):
                pytest.fail("it can't be its turn")
    assert caught.value.status == 429
    assert (busy.admission.running, busy.admission.waiting) == (0, 0)
    async with busy.admit(Client()) as budget:
        assert budget.exhausted is None
