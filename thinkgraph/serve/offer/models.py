"""The models of a server: by name and by role, opened on demand within a memory limit."""

from __future__ import annotations

import asyncio
import glob
import re
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from thinkgraph.models.catalogue import SERVER, find
from thinkgraph.models.catalogue import load as load_model
from thinkgraph.models.errors import ModelError, ThinkgraphError, did_you_mean
from thinkgraph.models.model import Model
from thinkgraph.serve.errors import RequestError

RETRY_S = 5.0
"""Seconds after which to retry a request whose model had no memory in time."""
Source = str | Model
"""A model name of the catalogue, or an open model."""


class Models:
    """The models that requests may name, opened at first use and closed to free memory.

    Args:
        sources: the models by name; the first is the default. Requests can't name others.
        roles: names of models, by the role of a strategy's nodes.
        memory: maximum total size in bytes of the open model files; None for no limit.
        settings: engine settings of all local models.
        load: opens a model.
    """

    def __init__(
        self,
        sources: Mapping[str, Source],
        *,
        roles: Mapping[str, str] | None = None,
        memory: int | None = None,
        settings: Mapping[str, Any] | None = None,
        load: Callable[..., Model] = load_model,
    ) -> None:
        if not sources:
            raise ThinkgraphError("no model to serve; give --model NAME")
        self._sources, self.roles, self._memory = dict(sources), dict(roles or {}), memory
        self._settings, self._load = dict(settings or {}), load
        self._open = {n: m for n, m in sources.items() if not isinstance(m, str)}
        self._sizes = {n: _size(m) if memory else 0 for n, m in sources.items()}
        self._users: Counter[str] = Counter()
        self._opening, self._freed = asyncio.Lock(), asyncio.Event()
        self._work: asyncio.Task[None] | None = None
        for role, name in self.roles.items():
            if name not in self._sources:
                raise ThinkgraphError(f"--role {role}={name}: {self._unknown(name)}")

    @property
    def names(self) -> list[str]:
        """All names, the default first."""
        return list(self._sources)

    @property
    def default(self) -> str:
        """The name of the model for requests that name none."""
        return next(iter(self._sources))

    def file(self, name: str) -> str | None:
        """The catalogue name or path of a model; None if it is at an endpoint or was given open."""
        source = self._sources.get(name)
        return source if isinstance(source, str) and not source.startswith(SERVER) else None

    @property
    def opened(self) -> dict[str, Model]:
        """The models that are open now."""
        return dict(self._open)

    def check(self, name: str, param: str = "model") -> str:
        """Check that a model exists, and return its name.

        Raises:
            RequestError: status 404: there is no such model.
        """
        if name not in self._sources:
            raise RequestError(self._unknown(name), status=404, param=param, code="model_not_found")
        return name

    def _unknown(self, name: str) -> str:
        hint = did_you_mean(name, self._sources) or f"there are {', '.join(self._sources)}"
        return f"there is no model {name!r}; {hint}"

    @asynccontextmanager
    async def lease(
        self, names: Iterable[str], seconds: float | None = None
    ) -> AsyncIterator[dict[str, Model]]:
        """Lease the models with these names, which stay open until the block ends.

        Unused models are closed to free memory, the least recently used first; if models in use
        take too much, the lease waits.

        Args:
            names: the models.
            seconds: maximum time until they are open; None for no limit.

        Raises:
            RequestError: the models don't fit into the memory limit together, or one can't be
                opened; status 429 if they aren't open in time.
        """
        wanted = list(dict.fromkeys(names))
        for name in wanted:
            self.check(name)
        if self._memory is not None and self._weight(wanted) > self._memory:
            raise RequestError(
                f"{', '.join(wanted)} need {self._weight(wanted) / 1e9:.3g} GB together, more than "
                f"the server's --memory {self._memory / 1e9:.3g}; raise it or use smaller models",
                status=503,
            )
        try:
            async with asyncio.timeout(seconds):
                await self._acquire(wanted)
        except TimeoutError:
            raise RequestError(
                f"the request's time ended before {', '.join(wanted)} had memory and was open",
                status=429,
                code="server_busy",
                retry_s=RETRY_S,
            ) from None
        try:
            yield {name: self._open[name] for name in wanted}
        finally:
            self._release(wanted)

    async def _acquire(self, wanted: list[str]) -> None:
        while not self._fits(wanted):
            self._freed.clear()
            await self._freed.wait()
        self._users.update(wanted)  # from here on nobody closes them, or takes their memory
        if all(name in self._open for name in wanted):
            return
        work: asyncio.Task[None] | None = None
        try:
            await self._opening.acquire()
            self._work = work = asyncio.create_task(self._open_all(wanted))
            work.add_done_callback(self._opened_all)
            await asyncio.wait({work})
            work.result()
        except BaseException:
            # The opening thread can't be cancelled. If the request is gone by then, the model stays
            # open, and the lock and the memory are held until the thread is done.
            if work is None or work.done():
                self._release(wanted)
            else:
                work.add_done_callback(lambda _: self._release(wanted))
            raise

    async def _open_all(self, wanted: list[str]) -> None:
        for name in wanted:
            await self._ensure(name)

    def _opened_all(self, work: asyncio.Task[None]) -> None:
        self._opening.release()
        if not work.cancelled():
            work.exception()  # marks it as retrieved, if no request waits for it any more

    def _release(self, names: list[str]) -> None:
        self._users.subtract(names)
        self._freed.set()

    def _fits(self, wanted: list[str]) -> bool:
        used = [name for name, count in self._users.items() if count > 0]
        return self._memory is None or self._weight({*used, *wanted}) <= self._memory

    def _weight(self, names: Iterable[str]) -> int:
        return sum(self._sizes[name] for name in names)

    async def _ensure(self, name: str) -> None:
        """Open a model, closing others if needed; the dict is ordered by last use."""
        if name not in self._open:
            for other in list(self._open):
                if self._memory is None or self._weight({*self._open, name}) <= self._memory:
                    break
                if not self._users[other]:
                    close = getattr(self._open.pop(other), "close", lambda: None)
                    await asyncio.to_thread(close)
            source = str(self._sources[name])
            settings = {} if source.startswith(SERVER) else self._settings
            try:
                self._open[name] = await asyncio.to_thread(self._load, source, **settings)
            except ModelError as error:
                raise RequestError(
                    f"the model {name!r} can't be opened: {error}", status=503
                ) from error
        self._open[name] = self._open.pop(name)


def _size(source: Source) -> int:
    """The size in bytes of a model's files; 0 for a model at an endpoint, or given open."""
    if not isinstance(source, str) or source.startswith(SERVER):
        return 0
    path = find(source).path
    first = re.sub(r"-00001-of-(\d{5})\.gguf$", r"-*-of-\1.gguf", glob.escape(path.name))
    return sum(part.stat().st_size for part in path.parent.glob(first))


def named(given: str) -> tuple[str, str]:
    """Parse ``[NAME=]MODEL`` into the model's name on the server, and its source.

    The default name is the catalogue name, the file's stem, or the endpoint's model name.
    """
    name, equals, source = given.partition("=")
    if equals and not name.startswith(SERVER) and "/" not in name:
        return name, source
    if given.startswith(SERVER):
        return given.removeprefix(SERVER).rpartition("@")[0].rpartition("/")[2], given
    return Path(given).stem if given.lower().endswith(".gguf") else given, given
