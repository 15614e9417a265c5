"""The models of a server: by name and by role, opened on demand within a memory limit."""

from __future__ import annotations

import asyncio
import logging
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

_log = logging.getLogger("thinkgraph.serve")

Source = str | Model
"""A name of the catalogue, or an open model."""


class Models:
    """The models that requests may name, each opened at its first use and closed when it must be.

    Args:
        sources: by name; the first is the default. A request can't name anything else.
        roles: the name of a model by the role of a strategy's nodes.
        memory: bytes of model files that may be open at once; None is no limit.
        settings: of the engine, for every model of a file.
        load: opens one.
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
            raise ThinkgraphError("a server needs a model")
        self._sources, self.roles, self._memory = dict(sources), dict(roles or {}), memory
        self._settings, self._load = dict(settings or {}), load
        self._open = {n: m for n, m in sources.items() if not isinstance(m, str)}
        self._sizes = {n: _size(m) if memory else 0 for n, m in sources.items()}
        self._users: Counter[str] = Counter()
        self._opening, self._freed = asyncio.Lock(), asyncio.Event()
        for role, name in self.roles.items():
            if name not in self._sources:
                raise ThinkgraphError(f"--role {role}={name}: {self._unknown(name)}")

    @property
    def names(self) -> list[str]:
        """All names, the default first."""
        return list(self._sources)

    @property
    def default(self) -> str:
        """The name of the model that answers where a request names none."""
        return next(iter(self._sources))

    def file(self, name: str) -> str | None:
        """The catalogue name or path of a model; None of one at an endpoint, or given open."""
        source = self._sources.get(name)
        return source if isinstance(source, str) and not source.startswith(SERVER) else None

    @property
    def opened(self) -> dict[str, Model]:
        """Those that are open now."""
        return dict(self._open)

    def check(self, name: str, param: str = "model") -> str:
        """A name that there is.

        Raises:
            RequestError: status 404.
        """
        if name not in self._sources:
            raise RequestError(self._unknown(name), status=404, param=param, code="model_not_found")
        return name

    def _unknown(self, name: str) -> str:
        hint = did_you_mean(name, self._sources) or f"there are {', '.join(self._sources)}"
        return f"there is no model {name!r}; {hint}"

    @asynccontextmanager
    async def lease(self, names: Iterable[str]) -> AsyncIterator[dict[str, Model]]:
        """The models of these names, open until the block ends.

        What nobody uses is closed to make room, the longest unused first; while others use too
        much, it waits.

        Raises:
                RequestError: they don't fit in the memory limit together, or one can't be opened.
        """
        wanted = list(dict.fromkeys(names))
        for name in wanted:
            self.check(name)
        if self._memory is not None and self._weight(wanted) > self._memory:
            raise RequestError(
                f"{', '.join(wanted)} need {self._weight(wanted)} bytes together, and the "
                f"server's memory limit is {self._memory}",
                status=503,
            )
        await self._acquire(wanted)
        try:
            yield {name: self._open[name] for name in wanted}
        finally:
            self._release(wanted)

    async def _acquire(self, wanted: list[str]) -> None:
        are_open = all(name in self._open for name in wanted)
        if are_open and (self._memory is None or not self._opening.locked()):
            self._users.update(wanted)
            return
        async with self._opening:
            while not self._fits(wanted):
                self._freed.clear()
                await self._freed.wait()
            self._users.update(wanted)
            try:
                for name in wanted:
                    await self._ensure(name)
            except BaseException:
                self._release(wanted)
                raise

    def _release(self, names: list[str]) -> None:
        self._users.subtract(names)
        self._freed.set()

    def _fits(self, wanted: list[str]) -> bool:
        used = [name for name, count in self._users.items() if count > 0]
        return self._memory is None or self._weight({*used, *wanted}) <= self._memory

    def _weight(self, names: Iterable[str]) -> int:
        return sum(self._sizes[name] for name in names)

    async def _ensure(self, name: str) -> None:
        """Open a model, and close others for it; the one used last is at the end of the dict."""
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
    """Bytes of a model's files; 0 for one that isn't in this process."""
    if not isinstance(source, str) or source.startswith(SERVER):
        return 0
    path = find(source).path
    first = re.sub(r"-00001-of-(\d{5})\.gguf$", r"-*-of-\1.gguf", path.name)
    return sum(part.stat().st_size for part in path.parent.glob(first))


def named(given: str) -> tuple[str, str]:
    """The name that a server gives a model, and its source, of ``[NAME=]MODEL``.

    Without a name, it is the short name, the file's stem, or the endpoint's model.
    """
    name, equals, source = given.partition("=")
    if equals and not name.startswith(SERVER) and "/" not in name:
        return name, source
    if given.startswith(SERVER):
        return given.removeprefix(SERVER).rpartition("@")[0].rpartition("/")[2], given
    return Path(given).stem if given.lower().endswith(".gguf") else given, given
