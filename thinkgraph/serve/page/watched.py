"""A run that the page watches: batches of small events for any number of readers.

Text arrives token by token from many samples at once, so it is sent a few times a second, joined by
candidate. Readers that connect late, or again, get all batches from their position on.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import aclosing, suppress
from typing import Any

from langchain_core.callbacks import AsyncCallbackHandler
from langchain_core.messages import BaseMessage
from langgraph.types import Interrupt

from thinkgraph.graphs.graph import Graph
from thinkgraph.graphs.pictures.drawing import svg
from thinkgraph.graphs.runtime.result import Finished, OutputMismatch, Result
from thinkgraph.graphs.runtime.run import Interrupted
from thinkgraph.models.errors import ModelError, ThinkgraphError
from thinkgraph.models.model import Budget, Model
from thinkgraph.nodes.answers import Tally, tally
from thinkgraph.nodes.event import (
    AnswerReached,
    CandidateUpdated,
    CritiqueAdded,
    NodeEvent,
    NodeStarted,
    TextDelta,
    ToolCalled,
)
from thinkgraph.nodes.population import Candidate
from thinkgraph.serve.access.keys import Client
from thinkgraph.serve.errors import RequestError
from thinkgraph.serve.page.history import Asked, Status
from thinkgraph.serve.service import Service

Event = dict[str, Any]
_logger = logging.getLogger(__name__)

TICK_S = 0.08
"""Seconds between two batches of events."""
LOAD_S = 0.5
"""Seconds between two events with the engine's load."""
UNWATCHED_S = 30.0
"""Seconds without readers after which a run is stopped, with its best answer so far."""
STOPPED = "it was stopped"
LEFT = "nobody watched it any more"
_ROLES = {"human": "user", "ai": "assistant"}
"""Chat roles by LangChain's message types."""


class WatchedRun:
    """One run of a strategy, from start to end.

    Args:
        graph: the strategy.
        asked: the request, with its budget.
        on_end: called once, when the run is over.
        drawn: the description of the graph, sent as the first event.

    Attributes:
        result: the result; None while the run is going on, and usually if it failed.
        error: why the run failed; None if it didn't.
        is_over: whether the run has ended.
    """

    def __init__(
        self,
        graph: Graph,
        asked: Asked,
        on_end: Callable[[WatchedRun], Awaitable[None]],
        drawn: Mapping[str, Any] | None = None,
    ) -> None:
        self._graph, self._asked, self._on_end = graph, asked, on_end
        self.result: Result | None = None
        self.error: str | None = None
        self._budget: Budget | None = None
        self._stopped: str | None = None
        self._work: asyncio.Task[None] | None = None
        self._model: Model | None = None
        self._began = time.monotonic()
        self._batches: list[list[Event]] = []
        self._news: list[Event] = [{"event": "graph", "graph": drawn}] if drawn else []
        self._more = asyncio.Event()
        self._watchers, self._left = 0, time.monotonic()
        self._candidates: dict[str, Candidate] = {}
        self._tokens: dict[str, int] = {}
        self._questions: list[asyncio.Future[Any]] = []
        self._vote_changed = False
        self._load_told = 0.0
        self.is_over = self._told_all = False

    @property
    def status(self) -> Status:
        """How the run ended, or ``running``."""
        if not self.is_over:
            return "running"
        if self.error is not None and not self._never_began:
            return "failed"
        return "stopped" if self._never_began or (self._budget and self._budget.stopped) else "done"

    @property
    def _never_began(self) -> bool:
        """Whether the run was stopped while it waited for its admission or its model."""
        return self._stopped is not None and self._model is None

    def stop(self, reason: str = STOPPED) -> None:
        """Stop the run at the next step, with its best answer so far.

        A run that still waits for its admission or its model is cancelled without an answer.
        """
        if self.is_over:
            return
        self._stopped = self._stopped or reason
        if self._budget is not None:
            self._budget.stop(reason)
        if self._model is None and self._work is not None:
            self._work.cancel()
        for question in self._questions:
            if not question.done():
                question.set_result(None)  # the node runs again, and no longer asks

    def reply(self, number: int, value: Any) -> None:
        """Reply to a question of the run to a person.

        Args:
            number: the question's number, from its ``waiting`` event.
            value: the reply; if the node can't understand it, it asks again.

        Raises:
            RequestError: status 404 if there is no such question, 409 if it is answered already.
        """
        if not 0 <= number < len(self._questions):
            raise RequestError("the run hasn't asked this", status=404)
        if self.is_over or self._questions[number].done():
            raise RequestError("this has been answered already", status=409)
        self._questions[number].set_result(value)
        self._left = time.monotonic()  # a reply counts as watching
        self._tell({"event": "replied", "number": number})

    @property
    def _waits(self) -> bool:
        """Whether the run waits for a person."""
        return any(not question.done() for question in self._questions)

    async def run(self, service: Service) -> None:
        """Run to the end, whether it succeeds, fails or is stopped."""
        ticking = asyncio.create_task(self._tick())
        self._work = asyncio.create_task(self._admitted(service))
        if self._stopped:
            self._work.cancel()
        try:
            await self._work
        except asyncio.CancelledError:
            if not self._never_began:
                self.error = "the server was shut down"
                raise
            self.error = f"{self._stopped}; it hadn't begun"
        except OutputMismatch as error:
            self.error, self.result = str(error), error.result
        except ThinkgraphError as error:
            self.error = str(error)
        except Exception as error:  # such as a plugin's node kind raises; the page has to show it
            self.error = f"{type(error).__name__}: {error}"
        finally:
            ticking.cancel()
            self.is_over = True
            unkept = await self._kept()
            self._tell({**self._end(), "unkept": unkept})
            self._told_all = True
            self._flush()

    async def _kept(self) -> str | None:
        """Call ``on_end``, and return its error, if any; the run's events are sent anyway."""
        try:
            await self._on_end(self)
        except Exception as error:
            _logger.exception("a run can't be kept")
            return str(error)
        return None

    async def _admitted(self, service: Service) -> None:
        """Wait for admission and the models, and run."""
        asked, client = self._asked, Client()
        name = service.models.check(asked.model or service.models.default)
        roles = {r: n for r, n in service.models.roles.items() if r in self._graph.roles}
        async with (
            service.admit(client, asked.tokens, asked.seconds) as self._budget,
            service.models.lease([name, *roles.values()], self._budget.seconds_left) as models,
        ):
            self._model = models[name]
            settings = {
                "models": {role: models[each] for role, each in roles.items()},
                **service.hosted,
            }
            await self._take_all(settings)

    async def _take_all(self, settings: Mapping[str, Any]) -> None:
        events = self._graph.stream(
            self._asked.question,
            model=self._model,
            budget=self._budget,
            seed=self._asked.seed,
            params=self._asked.params,
            config={"callbacks": [_Sent(self._tell)]},
            **settings,
        )
        while True:
            try:
                return await self._take_each(events)
            except Interrupted as waiting:
                events = waiting.stream(await self._replies(waiting.interrupts))

    async def _replies(self, interrupts: Sequence[Interrupt]) -> dict[str, Any]:
        """Ask a person, and wait for a reply to each question, or for the run to be stopped."""
        asked: dict[str, asyncio.Future[Any]] = {}
        for each in interrupts:
            self._tell({"event": "waiting", "number": len(self._questions), "request": each.value})
            asked[each.id] = asyncio.get_running_loop().create_future()
            self._questions.append(asked[each.id])
        return {id: await reply for id, reply in asked.items()}

    async def _take_each(self, events: AsyncGenerator[NodeEvent | Finished, None]) -> None:
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Finished):
                    self.result = event.result
                else:
                    self._take(event)

    def _take(self, event: NodeEvent) -> None:
        if isinstance(event, TextDelta):
            self._tokens[event.id] = event.tokens
            self._grow(event)
        elif isinstance(event, CandidateUpdated):
            found = event.candidate
            self._tokens[found.id] = max(found.tokens, self._tokens.get(found.id, 0))
            self._candidates[found.id], self._vote_changed = found, True
            self._tell({"event": "candidate", **found.model_dump(exclude={"confidence"})})
        elif isinstance(event, CritiqueAdded):
            self._tokens[event.critique.id] = event.critique.tokens
            self._tell({"event": "critique", **event.critique.model_dump()})
        elif isinstance(event, NodeStarted | ToolCalled):
            self._tell(event.model_dump())
        elif isinstance(event, AnswerReached):
            answer = event.answer
            if answer.tally:
                self._vote_changed = False
                self._tell(_vote(answer.tally, answer.voters, is_final=True))
            told = {"value", "text", "candidate", "votes", "of", "tie", "note"}
            self._tell({"event": "answer", **answer.model_dump(include=told)})

    def _grow(self, event: TextDelta) -> None:
        """Append text to an unsent event of the same candidate, or add a new event."""
        for news in reversed(self._news):
            if news.get("id") == event.id:
                if news["event"] != "delta":
                    break
                news["text"] += event.text
                news["reasoning"] += event.reasoning
                news["tokens"] = event.tokens
                return
        self._tell(event.model_dump())

    @property
    def _live(self) -> list[str]:
        return [found.id for found in self._candidates.values() if found.live]

    def _tell(self, event: Event) -> None:
        self._news.append(event)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            if self._vote_changed:
                self._vote_changed = False
                live = self._live
                found = tally([self._candidates[id].answer for id in live])
                self._tell(_vote(found, live, is_final=False))
            if time.monotonic() - self._load_told >= LOAD_S:
                self._load_told = time.monotonic()
                self._tell(await self._load())
            self._flush()
            if self._waits:  # even unwatched: the person finds the run in the history
                if self._budget and (limit := self._budget.exhausted):
                    self.stop(limit)
            elif not self._watchers and time.monotonic() - self._left > UNWATCHED_S:
                self.stop(LEFT)

    async def _load(self) -> Event:
        held = await asyncio.to_thread(cells, self._model)  # blocks until the engine's step ends
        spent = {"tokens": sum(self._tokens.values()), "seconds": self._seconds}
        return {"event": "load", **spent, **held}

    @property
    def _seconds(self) -> float:
        return round(time.monotonic() - self._began, 1)

    def _end(self) -> Event:
        told: Event = {"event": "end", "status": self.status, "error": self.error}
        result = self.result
        if result is None:
            return {**told, "seconds": self._seconds, "tokens": sum(self._tokens.values())}
        return {
            **told,
            "output": None if self.error else result.output_text,
            "accepted": result.accepted,
            "cut": result.cut,
            "seed": result.seed,
            "seconds": round(result.usage.wall_s, 1),
            "tokens": result.usage.completion_tokens,
            "usage": result.usage.model_dump(exclude={"failures"}),
            "failures": [f"{key}: {why}" for key, all in result.failures.items() for why in all],
            "svg": svg(result.spec, result.counts, params=result.params) if result.spec else None,
        }

    def _flush(self) -> None:
        if self._news:
            self._batches.append(self._news)
            self._news = []
            self._more.set()
            self._more = asyncio.Event()

    async def batches(self, first: int = 0) -> AsyncGenerator[tuple[int, list[Event]], None]:
        """The numbered batches of events from ``first`` on, until the run is over."""
        self._watchers += 1
        try:
            while True:
                while first < len(self._batches):
                    yield first, self._batches[first]
                    first += 1
                if self._told_all:
                    return
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._more.wait(), 1)
        finally:
            self._watchers -= 1
            self._left = time.monotonic()


def cells(model: Model | None) -> dict[str, int]:
    """The used and total KV cells of a local model; empty for others."""
    engine = getattr(model, "engine", None)
    if engine is None:
        return {}
    try:
        stats = engine.stats
    except ModelError:  # the engine is being closed
        return {}
    return {"cells": stats.cells_used - stats.cells_idle, "all_cells": stats.cells}


def _vote(found: Tally, ids: Sequence[str], *, is_final: bool) -> Event:
    return {
        "event": "vote",
        "classes": [
            {
                "value": each.value,
                "votes": each.votes,
                "share": each.share,
                "members": [ids[i] for i in each.members],
            }
            for each in found.classes
        ],
        "abstentions": found.abstentions,
        "of": found.of,
        "tie": found.tie,
        "final": is_final,
    }


class _Sent(AsyncCallbackHandler):
    """Emits an event for each request to a model, with the ids of its candidates."""

    def __init__(self, tell: Callable[[Event], None]) -> None:
        self._tell_of = tell

    async def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        metadata: dict[str, Any] | None = None,
        **rest: Any,
    ) -> None:
        """Emit an event for a request to a model."""
        about = metadata or {}
        self._tell_of(
            {
                "event": "sent",
                "node": about.get("thinkgraph_node", ""),
                "round": about.get("thinkgraph_round", 0),
                "ids": about.get("thinkgraph_ids", []),
                "settings": rest.get("invocation_params") or {},
                "messages": [
                    {"role": _ROLES.get(message.type, message.type), "content": message.text}
                    for message in messages[0]
                ],
            }
        )
