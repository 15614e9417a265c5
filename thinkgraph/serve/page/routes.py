"""The page's routes: its files, the strategies, the editor, the runs and the history."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, Field, ValidationError
from pydantic_core import to_json
from sse_starlette import EventSourceResponse, ServerSentEvent
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from thinkgraph.graphs.checker.check import check
from thinkgraph.graphs.graph import Graph
from thinkgraph.graphs.language.spec import Scalar, Spec
from thinkgraph.graphs.pictures.drawing import svg
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Frozen
from thinkgraph.serve.access.guard import refusal
from thinkgraph.serve.errors import RequestError, as_request_error
from thinkgraph.serve.offer.specs import foreign_document, foreign_graph
from thinkgraph.serve.page.completion import complete
from thinkgraph.serve.page.door import LOOPBACK, Door
from thinkgraph.serve.page.history import Asked, History
from thinkgraph.serve.page.runs import Runs
from thinkgraph.serve.page.watched import WatchedRun
from thinkgraph.serve.service import Service

REVALIDATE = {"Cache-Control": "no-cache"}
"""Browsers revalidate files each time, so that all files are of the same version."""
STATIC = Path(str(resources.files("thinkgraph.serve.page").joinpath("static")))
REPORT_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'self'"
EDITED = "strategy.yaml"
"""The name of the editor's spec in problems."""
OPEN = ("/page/",)
"""Prefixes of paths that need no API key: like ``/``, they are protected by the page's token."""

M = TypeVar("M", bound=BaseModel)


class Text(Frozen):
    """The text of a spec, and the position of the cursor."""

    text: str = Field(max_length=200_000)
    position: int = Field(0, ge=0)


class PersonReply(Frozen):
    """A person's reply to a waiting run, in a form that its node accepts."""

    reply: Any


class Page:
    """The page, for the paths ``/`` and ``/page/…`` of a server.

    Anyone with its token has the rights of the server's owner, including to run their own specs.

    Args:
        service: the server's models, strategies and settings.

    Raises:
        HistoryError: the history's file can't be opened.
    """

    def __init__(self, service: Service) -> None:
        settings = service.settings
        self._service, self._history = service, History(settings.history)
        self._runs = Runs(service, self._history)
        inner = Starlette(routes=self._inner, exception_handlers={ThinkgraphError: _refused})
        hosts = LOOPBACK if settings.is_local else None
        self._door = Door(inner, settings.token, hosts)

    @property
    def routes(self) -> list[BaseRoute]:
        """The page's routes, for an application."""
        return [Route("/", self._door), Route("/page/{rest:path}", self._door)]

    @property
    def _inner(self) -> list[BaseRoute]:
        return [
            Route("/", self.index),
            Route("/page/strategies", self.strategies),
            Route("/page/strategies/{name}", self.strategy),
            Route("/page/check", self.check, methods=["POST"]),
            Route("/page/complete", self.complete, methods=["POST"]),
            Route("/page/runs", self.ask, methods=["POST"]),
            Route("/page/runs", self.history),
            Route("/page/runs/{id}", self.past),
            Route("/page/runs/{id}", self.forget, methods=["DELETE"]),
            Route("/page/runs/{id}/events", self.events),
            Route("/page/runs/{id}/stop", self.stop, methods=["POST"]),
            Route("/page/runs/{id}/replies/{number:int}", self.reply, methods=["POST"]),
            Route("/page/runs/{id}/report", self.report),
            Mount("/page/static", Static(directory=STATIC)),
        ]

    async def index(self, request: Request) -> Response:
        """The HTML of the page."""
        return FileResponse(STATIC / "index.html", headers=REVALIDATE)

    async def strategies(self, request: Request) -> Response:
        """The available strategies and models."""
        listed = [
            {"name": name, "about": " ".join(graph.spec.about.split())}
            for name, graph in self._service.strategies.graphs.items()
        ]
        return JSONResponse({"strategies": listed, "models": self._service.models.names})

    async def strategy(self, request: Request) -> Response:
        """One strategy: its text, params and drawing."""
        graph = self._graph(request.path_params["name"])
        described = await asyncio.to_thread(_described, graph.spec)
        return JSONResponse({"yaml": graph.yaml, "graph": described})

    async def check(self, request: Request) -> Response:
        """The problems of a spec, and its description if it has no errors."""
        text = (await _body(request, Text)).text
        return JSONResponse(await asyncio.to_thread(_checked, text))

    async def complete(self, request: Request) -> Response:
        """Suggestions for the editor's cursor."""
        given = await _body(request, Text)
        start, options = await asyncio.to_thread(complete, given.text, given.position)
        return JSONResponse({"from": start, "options": [each._asdict() for each in options]})

    async def ask(self, request: Request) -> Response:
        """Start a run."""
        asked = await _body(request, Asked)
        if not asked.question.strip():
            raise RequestError("the question is empty", param="question")
        if asked.yaml is None:
            graph = self._graph(asked.strategy)
        else:
            graph = await asyncio.to_thread(foreign_graph, asked.yaml, EDITED)
        given = {n: value for n, value in asked.params.items() if n not in graph.spec.inputs}
        params = graph.bind(given)
        model = self._service.models.check(asked.model or self._service.models.default)
        described = await asyncio.to_thread(_described, graph.spec, params)
        id = await self._runs.begin(graph, asked, model, described)
        return JSONResponse({"id": id}, 201)

    async def events(self, request: Request) -> Response:
        """The progress of a run as server-sent events; ``Last-Event-ID`` resumes."""
        run = self._runs.find(request.path_params["id"])
        last = request.headers.get("last-event-id", "")
        first = int(last) + 1 if last.isdecimal() and len(last) < 10 else 0
        settings = self._service.settings
        return EventSourceResponse(
            _sse(run, first), ping=settings.ping_s, shutdown_grace_period=settings.grace_s
        )

    async def stop(self, request: Request) -> Response:
        """Stop a run at the next step; it returns its best answer so far."""
        self._runs.find(request.path_params["id"]).stop()
        return JSONResponse({"stopping": True}, 202)

    async def reply(self, request: Request) -> Response:
        """Reply to a run that waits for a person."""
        given = await _body(request, PersonReply)
        self._runs.find(request.path_params["id"]).reply(request.path_params["number"], given.reply)
        return JSONResponse({"replied": True}, 202)

    async def history(self, request: Request) -> Response:
        """Past runs, the newest first."""
        query = request.query_params
        containing, before = query.get("containing", "")[:500], query.get("before", "")[:100]
        found = await asyncio.to_thread(self._history.runs, containing, before)
        return JSONResponse({"runs": [each.model_dump() for each in found]})

    async def past(self, request: Request) -> Response:
        """One run of the history."""
        found = await asyncio.to_thread(self._history.run, request.path_params["id"])
        if found is None:
            raise RequestError("there is no such run in the history", status=404)
        return JSONResponse(found.model_dump())

    async def forget(self, request: Request) -> Response:
        """Delete a run of the history."""
        await self._runs.forget(request.path_params["id"])
        return Response(status_code=204)

    async def report(self, request: Request) -> Response:
        """The HTML report of a finished run, to view or to download."""
        id = request.path_params["id"]
        page = await asyncio.to_thread(self._history.report, id)
        if page is None:
            raise RequestError("this run has no report", status=404)
        headers = {"Content-Security-Policy": REPORT_POLICY}
        if "download" in request.query_params:
            headers["Content-Disposition"] = f'attachment; filename="thinkgraph-{id[:12]}.html"'
        return HTMLResponse(page, headers=headers)

    async def close(self) -> None:
        """Stop all runs, which return their best answers so far, and close the history."""
        await self._runs.close()
        self._history.close()

    def _graph(self, name: str) -> Graph:
        found = self._service.strategies.graphs.get(name)
        if found is None:
            raise RequestError(f"there is no strategy {name!r}", status=404)
        return found


async def _sse(run: WatchedRun, first: int) -> AsyncGenerator[ServerSentEvent, None]:
    async with aclosing(run.batches(first)) as batches:
        async for number, batch in batches:
            # Browsers parse no NaN or infinity.
            text = to_json(batch, inf_nan_mode="null", fallback=str).decode()
            yield ServerSentEvent(data=text, id=str(number), retry=1000)
    yield ServerSentEvent(data="{}", event="over")


async def _body(request: Request, model: type[M]) -> M:
    try:
        return model.model_validate_json(await request.body())
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        place = ".".join(map(str, first["loc"]))
        said = first["msg"].removeprefix("Value error, ")
        raise RequestError(f"{place or 'the body'}: {said}", param=place) from None


class Static(StaticFiles):
    """The page's static files, which browsers may cache but must revalidate."""

    def file_response(self, *given: Any, **settings: Any) -> Response:
        """The response with one file."""
        answer = super().file_response(*given, **settings)
        answer.headers.update(REVALIDATE)
        return answer


def _checked(text: str) -> dict[str, Any]:
    document = foreign_document(text, EDITED)
    problems = check(document)
    is_valid = not any(each.severity == "error" for each in problems)
    return {
        "problems": [each.model_dump(exclude={"file", "source"}) for each in problems],
        "graph": _described(Spec.model_validate(document.data)) if is_valid else None,
    }


def _described(spec: Spec, params: Mapping[str, Scalar] | None = None) -> dict[str, Any]:
    """The description of a graph for the page."""
    arrows = {
        (source, target)
        for edge in spec.edges
        for sources, targets in edge.links
        for source in sources
        for target in targets
    }
    defaults = {n: each.default for n, each in spec.params.items() if each.default is not None}
    return {
        "name": spec.name,
        "about": " ".join(spec.about.split()),
        "params": {**_inputs(spec), **_params(spec)},
        "nodes": {name: node.kind or "use" for name, node in spec.nodes.items()},
        "arrows": sorted(arrows),
        "svg": svg(spec, params=params or defaults),
    }


def _params(spec: Spec) -> dict[str, dict[str, Any]]:
    """The params, as form fields."""
    return {
        name: {**each.model_dump(), "type": each.kind, "required": each.default is None}
        for name, each in spec.params.items()
    }


def _inputs(spec: Spec) -> dict[str, dict[str, Any]]:
    """The further inputs that a form can ask for, in the same format as the params."""
    nothing = {"minimum": None, "maximum": None, "choices": (), "required": False}
    return {
        name: {**nothing, **each.model_dump()}
        for name, each in spec.inputs.items()
        if each.type not in ("list", "object")
    }


async def _refused(request: Request, error: Exception) -> Response:
    return refusal(as_request_error(error))
