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
    """The models, strategies, API keys and running requests of a server.

    Args:
        models: the models that requests may name.
        strategies: the strategies that requests may name.
        keys: the API keys; by default none is needed.
        settings: the server's limits.
        hosted: the tools and verifiers that strategies name, as arguments of a run.

    Raises:
        ThinkgraphError: the settings name an unknown strategy for chores.

    Attributes:
        admission: limits the running and waiting requests.
        metrics: the Prometheus metrics.
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
        """Whether the server offers a strategy or a model with this name."""
        offered = self.strategies.graphs
        return name in offered or name in self.models.names or name == self.settings.chores_by

    async def open(self) -> None:
        """Open the default model, so that the first request doesn't wait for it."""
        async with self.models.lease([self.models.default]):
            self.is_ready = True

    def stop(self, reason: str = "the server is stopping") -> None:
        """Stop all requests, which return their best answers so far, and refuse new ones."""
        self.is_ready, self._stopping = False, reason
        for budget in self._budgets:
            budget.stop(reason)

    @asynccontextmanager
    async def admit(
        self, client: Client, tokens: int | None = None, seconds: float | None = None
    ) -> AsyncIterator[Budget]:
        """Wait until a request is admitted, and give its budget.

        Args:
            client: the client that sent the request.
            tokens: the request's token limit; None for none.
            seconds: the request's time limit, including the wait for admission; the server's own
                time limit applies in any case, from the admission on.

        Raises:
            RequestError: status 429 if too many requests wait, the request isn't admitted in
                time, or the key's budget is spent; 503 if the server is stopping.
        """
        self._check(client)
        asked = Budget(tokens, seconds, parent=client.budget)
        async with self.admission.admit(seconds):
            self._check(client)  # again, since the wait may have been long
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
