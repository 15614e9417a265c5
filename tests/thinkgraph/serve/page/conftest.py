"""The page behind a real server, and a real browser before it."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import pytest

from thinkgraph.graphs.graph import Graph
from thinkgraph.models.model import Model
from thinkgraph.serve.offer.models import Models
from thinkgraph.serve.offer.strategies import Strategies
from thinkgraph.serve.page.history import History
from thinkgraph.serve.server import Server
from thinkgraph.serve.service import Service
from thinkgraph.serve.settings import ServeSettings

CHROMIUM = shutil.which("chromium")
FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
)
PATIENCE_MS = 20_000


class Served(NamedTuple):
    url: str
    history: History


@pytest.fixture(scope="session")
def serving(
    tmp_path_factory: pytest.TempPathFactory,
) -> Callable[..., AbstractContextManager[Served]]:
    """Serves models, with a page, on a free port in a thread."""

    @contextmanager
    def start(
        models: Mapping[str, str | Model],
        token: str = "",
        more: Sequence[Graph] = (),
        tools: Sequence[Any] = (),
    ) -> Iterator[Served]:
        path = tmp_path_factory.mktemp("page") / "history.sqlite3"
        settings = ServeSettings(port=0, token=token, history=path, grace_s=1)
        strategies = Strategies({**Strategies.load().graphs, **{g.name: g for g in more}})
        hosted = {"tools": tools} if tools else None
        server = Server(Service(Models(models), strategies, None, settings, hosted))
        thread = threading.Thread(target=server.run, daemon=True)
        thread.start()
        while not server.started:
            assert thread.is_alive(), "it didn't start"
            thread.join(0.02)
        yield Served(server.url, History(path))
        server.should_exit = True
        thread.join(20)

    return start


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Debian's Chromium; tests that want it are skipped where there is none."""
    playwright = pytest.importorskip("playwright.sync_api")
    if CHROMIUM is None:
        pytest.skip("there is no chromium")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=CHROMIUM, args=list(FLAGS))
        yield opened
        opened.close()


def _is_fault(said: Any) -> bool:
    """Whether a message of the console is an error; Chromium notes a refused request as one too."""
    return said.type == "error" and "status of 409" not in said.text


@pytest.fixture
def open_page(browser: Any) -> Iterator[Callable[..., Any]]:
    """Opens an address in a new browser profile; an error of a script or of CSP fails the test."""
    contexts, said = [], []

    def open_one(url: str, **settings: Any) -> Any:
        context = browser.new_context(**settings)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda each: _is_fault(each) and said.append(each.text))
        page.goto(url)
        return page

    yield open_one
    for context in contexts:
        context.close()
    assert not said
