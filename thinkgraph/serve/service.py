"""`Service`: everything that the routes of a server share."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Budget
from thinkgraph.serve.access.admission import Admission
from thinkgraph.serve.access.keys import Client, Keys
from thinkgraph.serve.errors import RequestError
from thinkgraph.serve.metrics import Metrics
from thinkgraph.serve.offer.models import Models
from thinkgraph.serve.offer.strategies import Strategies
from thinkgraph.serve.settings import ServeSettings


class Service:
    """The models, the strategies, who may ask, and what runs.

    Args:
        models: those that requests may name.
        strategies: those that they may name.
        keys: who may ask; by default everybody who reaches the server.
        settings: limits.
        hosted: the tools and verifiers that strategies name, as arguments of a run.

    Raises:
        ThinkgraphError: there is no strategy for chores of the name in the settings.

    Attributes:
        admission: how many requests run and wait.
        metrics: what is counted, for Prometheus.
        is_ready: whether the default model is open and the server isn't stopping.
    """

    def __init__(
        self,
        models: Models,
        strategies: Strategies,
        keys: Keys | None = None,
        settings: ServeSettings | None = None,
        hosted: Mapping[str, Any] | None = None,
    ) -> None:
        self.models, self.strategies, self.keys = models, strategies, keys or Keys()
        self.settings, self.hosted = settings or ServeSettings(), dict(hosted or {})
        if self.settings.chores:
            self._check_chores()
        self.admission = Admission(self.settings.running, self.settings.waiting)
        self.metrics = Metrics(self.models, self.admission)
        self.is_ready = False
        self._stopping: str | None = None
        self._budgets: set[Budget] = set()

    def _check_chores(self) -> None:
        name = self.settings.chores_by
        try:
            self.strategies.chores(name)
        except ThinkgraphError as error:
            raise ThinkgraphError(f"--chores-by {name}: {error}") from None

    def knows(self, name: str) -> bool:
        """Whether it offers a strategy or a model of this name."""
        offered = self.strategies.graphs
        return name in offered or name in self.models.names or name == self.settings.chores_by

    async def open(self) -> None:
        """Open the default model, so that the first request doesn't wait for it."""
        async with self.models.lease([self.models.default]):
            self.is_ready = True

    def stop(self, reason: str = "the server is stopping") -> None:
        """Let every request give its best answer so far, and take no others."""
        self.is_ready, self._stopping = False, reason
        for budget in self._budgets:
            budget.stop(reason)

    @asynccontextmanager
    async def admit(
        self, client: Client, tokens: int | None = None, seconds: float | None = None
    ) -> AsyncIterator[Budget]:
        """The turn of a request, and what it may spend.

        Args:
            client: who asks.
            tokens: the limit that the request sets; None is none.
            seconds: the same, the wait for its turn included; the server's own limit holds in any
                case, from then on.

        Raises:
            RequestError: status 429 if too many wait, its turn doesn't come in time or the key's
                budget is spent, and 503 if the server is stopping.
        """
        self._check(client)
        asked = Budget(tokens, seconds, parent=client.budget)
        async with self.admission.admit(seconds):
            self._check(client)  # again: a wait may be long
            budget = Budget(seconds=self.settings.seconds, parent=asked)
            self._budgets.add(budget)
            try:
                yield budget
            finally:
                self._budgets.discard(budget)

    def _check(self, client: Client) -> None:
        client.check()
        if self._stopping:
            raise RequestError(self._stopping, status=503, retry_s=self.settings.grace_s)
