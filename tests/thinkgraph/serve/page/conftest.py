"""The page behind a real server, and a real browser before it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import uvicorn
from starlette.applications import Starlette

from thinkgraph.graphs.graph import Graph
from thinkgraph.models.model import Model
from thinkgraph.serve.models import Models
from thinkgraph.serve.page.history import History
from thinkgraph.serve.page.routes import Page
from thinkgraph.serve.service import Service
from thinkgraph.serve.strategies import Strategies

CHROMIUM = shutil.which("chromium")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)


class Served(NamedTuple):
    url: str
    history: History


@contextmanager
def serving(
    models: Mapping[str, str | Model],
    path: Path | None = None,
    token: str = "",
    graphs: Mapping[str, Graph] | None = None,
) -> Iterator[Served]:
    """A server of the page on a free port, in a thread."""
    strategies = Strategies(graphs) if graphs else Strategies.load()
    history = History(path)
    page = Page(Service(Models(models), strategies), history, token=token)
    server = uvicorn.Server(uvicorn.Config(_application(page), port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        thread.join(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield Served(f"http://127.0.0.1:{port}", history)
    finally:
        server.should_exit = True
        thread.join(20)


def _application(page: Page) -> Starlette:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await page.close()

    return Starlette(routes=page.routes, lifespan=lifespan)


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    """Debian's Chromium; tests that want it are skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("no chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield opened
        opened.close()


@pytest.fixture
def open_page(browser: object) -> Iterator[Callable[..., object]]:
    """Opens an address in a new browser profile; a script error, or a word of CSP, fails the test."""
    contexts, said = [], []

    def open_one(url: str, **settings: object) -> object:
        context = browser.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(15_000)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda each: each.type == "error" and said.append(each.text))
        page.goto(url)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not said
