"""Replies: the answer of a bare model or a strategy to a conversation, as a stream of events."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, cast

from thinkgraph.graphs.graph import Graph
from thinkgraph.graphs.runtime.result import Finished, OutputMismatch, Result
from thinkgraph.graphs.runtime.run import Interrupted
from thinkgraph.models.chat import TokenCounter
from thinkgraph.models.errors import ModelBusy, ModelError, NoProbabilities, PromptTooLong
from thinkgraph.models.messages import to_langchain
from thinkgraph.models.model import (
    NO_TOOLS,
    Budget,
    Completion,
    Delta,
    FinishReason,
    Message,
    Model,
    ModelRequest,
    Sampling,
    TokenLogprob,
    ToolCall,
    ToolUse,
    Usage,
)
from thinkgraph.models.seed import derive_seed
from thinkgraph.nodes.event import NodeEvent, TextDelta
from thinkgraph.serve.access.keys import Client
from thinkgraph.serve.errors import RequestError, as_request_error
from thinkgraph.serve.offer.strategies import Chosen
from thinkgraph.serve.replies.thoughts import Thoughts
from thinkgraph.serve.service import Service

OWN_SPEC = "spec of a request"
"""Label of all specs from requests in the metrics: each name would create another time series."""
Finish = Literal["stop", "length", "tool_calls"]
Person = Callable[[Any], Awaitable[Any]]
"""Passes a node's question to a person, and returns the reply.

Raises:
    NoReply: there will be no reply.
"""
WAIT_S = 0.2
"""Seconds between two checks of the budget while a person is asked."""


class NoReply(Exception):
    """A person doesn't reply; the message says why. The run returns its best answer so far."""


class Piece(NamedTuple):
    """New text of one choice."""

    choice: int
    content: str = ""
    reasoning: str = ""
    calls: tuple[ToolCall, ...] = ()


class Ended(NamedTuple):
    """The end of one choice; ``model`` decodes the tokens of its log-probabilities."""

    choice: int
    finish: Finish
    logprobs: tuple[TokenLogprob, ...] = ()
    model: Model | None = None


class Account(NamedTuple):
    """The cost of a finished reply, with further ``facts`` for the client."""

    usage: Usage
    reasoning_tokens: int
    facts: dict[str, Any]


class Ran(NamedTuple):
    """The result of one run, and its answer as a message."""

    choice: int
    result: Result
    text: str


Event = Piece | Ended | Account


@dataclass(frozen=True)
class Ask:
    """A request, independent of the API.

    Attributes:
        api: the API's name, for the metrics.
        chosen: the model or strategy.
        messages: the conversation.
        n: number of choices.
        seed: the seed of the first choice, from which those of the others are derived.
        sampling: sampling settings of a bare model.
        tools: tools of a bare model.
        params: params and inputs of a strategy.
        roles: names of models, by the role of a strategy's nodes.
        tokens: maximum number of sampled tokens, including reasoning.
        seconds: the time limit.
        template: variables of the chat template, such as ``enable_thinking``.
        ignored: fields of the request without effect, to report to the client.
        person: passes a strategy's questions to a person; None if the API doesn't support that.
    """

    api: str
    chosen: Chosen
    messages: Sequence[Message]
    n: int = 1
    seed: int = 0
    sampling: Sampling = field(default_factory=Sampling)
    tools: ToolUse = NO_TOOLS
    params: Mapping[str, Any] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    tokens: int | None = None
    seconds: float | None = None
    template: Mapping[str, Any] = field(default_factory=dict)
    ignored: Sequence[str] = ()
    person: Person | None = None

    @property
    def strategy(self) -> str:
        """The strategy's name, or that of the bare model."""
        return self.chosen.graph.name if self.chosen.graph else self.chosen.model


async def reply(service: Service, client: Client, ask: Ask) -> AsyncGenerator[Event, None]:
    """Answer a request; the last event is an :class:`Account`. Closing the generator stops the run.

    Raises:
        RequestError: the request isn't admitted, or, with status 502, its model failed.
        ThinkgraphError: the request can't be answered.
    """
    metrics, end = service.metrics, "failed"
    label = ask.strategy if service.knows(ask.strategy) else OWN_SPEC
    began = first = budget = None
    try:
        _check_person(ask)
        async with service.admit(client, ask.tokens, ask.seconds) as budget:
            began = time.perf_counter()
            events = _strategy if ask.chosen.graph else _bare
            async with aclosing(events(service, ask, budget)) as found:
                async for event in found:
                    if first is None and isinstance(event, Piece):
                        first = time.perf_counter()
                        metrics.first.labels(label).observe(first - began)
                    if isinstance(event, Account):
                        end = "cut" if budget.cut else "done"
                        metrics.spent(label, event.usage)
                    yield event
    except (asyncio.CancelledError, GeneratorExit):
        if end == "failed":  # a reader may also leave after the last event
            end = "cancelled"
        raise
    except (PromptTooLong, NoProbabilities, ModelBusy):
        raise  # no failure of the model: as_request_error tells the status
    except ModelError as error:
        raise RequestError(str(error), status=502) from error
    finally:
        metrics.requests.labels(ask.api, label, end).inc()
        if budget is not None and end in ("failed", "cancelled"):
            metrics.spent(label, Usage(completion_tokens=budget.tokens_spent))
        if began is not None:
            metrics.seconds.labels(label).observe(time.perf_counter() - began)


def _check_person(ask: Ask) -> None:
    """Refuse a strategy that asks a person if the API doesn't support that, before it runs.

    Raises:
        RequestError: the strategy asks a person.
    """
    if (graph := ask.chosen.graph) is None or ask.person is not None:
        return
    given = {**ask.chosen.params, **ask.params}
    params = {name: value for name, value in given.items() if name not in graph.spec.inputs}
    if nodes := graph.required(params).persons:
        raise _nobody(ask, f"its node {nodes[0]!r}")


def _nobody(ask: Ask, what: str) -> RequestError:
    client = "this MCP client can't ask one" if ask.api == "mcp" else "this API can't ask one"
    return RequestError(
        f"{ask.strategy!r} waits for a person at {what}, and {client}; run it on the server's "
        "page or by `thinkgraph run`",
        param="model",
    )


def _seeds(ask: Ask) -> list[int]:
    return [ask.seed, *(derive_seed(ask.seed, index) for index in range(1, ask.n))]


async def _bare(service: Service, ask: Ask, budget: Budget) -> AsyncGenerator[Event, None]:
    """The events of a bare model's samples."""
    async with service.models.lease([ask.chosen.model], budget.seconds_left) as models:
        model = models[ask.chosen.model]
        sampling = ask.sampling.model_copy(
            update={"template": {**ask.sampling.template, **ask.template}}
        )
        request = ModelRequest(ask.messages, sampling, _seeds(ask), budget, ask.tools)
        try:
            generation = model.generate(request)
        except ModelError as error:
            raise as_request_error(error) from error
        thought = 0
        called: Counter[int] = Counter()
        try:
            async with aclosing(aiter(generation)) as events:  # type: ignore[type-var]
                async for event in events:
                    if isinstance(event, Delta):
                        called[event.sample] += len(event.tool_calls)
                        if event.text or event.reasoning or event.tool_calls:
                            yield Piece(event.sample, event.text, event.reasoning, event.tool_calls)
                    else:
                        thought += _count(model, event.reasoning)
                        for piece in _late(event, called[event.sample]):
                            yield piece
                        if event.finish_reason == "budget":
                            budget.tell_cut(budget.exhausted or "the budget is spent")
                        wanted = event.logprobs if sampling.top_logprobs else ()
                        yield Ended(event.sample, _finish(event), wanted, model)
        finally:
            generation.cancel()
        usage = generation.usage
        failures = [str(failure) for failure in generation.failures]
        facts = {"seed": ask.seed, "cut": budget.cut, "failures": failures}
        yield Account(usage, thought, _facts(ask, usage, facts))


def _late(completion: Completion, told: int) -> Iterator[Piece]:
    """The parts of a completion that no delta had: further tool calls, and invalid ones as text."""
    if calls := completion.tool_calls[told:]:
        yield Piece(completion.sample, calls=calls)
    for invalid in completion.invalid_tool_calls:
        yield Piece(completion.sample, invalid.text)


def _finish(completion: Completion) -> Finish:
    return "tool_calls" if completion.tool_calls else _reason(completion.finish_reason)


def _reason(finish: FinishReason) -> Finish:
    return "length" if finish in ("length", "budget", "cancelled") else "stop"


def _count(model: Model, text: str) -> int:
    return len(model.token_ids(text)) if text and isinstance(model, TokenCounter) else 0


async def _strategy(service: Service, ask: Ask, budget: Budget) -> AsyncGenerator[Event, None]:
    """The events of a strategy's runs, one run for each choice, concurrently."""
    graph = cast(Graph, ask.chosen.graph)
    for name in ask.roles.values():
        service.models.check(name, "thinkgraph.models")
    known = {role: name for role, name in service.models.roles.items() if role in graph.roles}
    roles = {**known, **ask.roles}
    wanted = [ask.chosen.model, *roles.values()]
    async with service.models.lease(wanted, budget.seconds_left) as opened:
        models = {name: _with_template(model, ask.template) for name, model in opened.items()}
        settings = {
            "model": models[ask.chosen.model],
            "models": {role: models[name] for role, name in roles.items()},
            "budget": budget,
            "params": {**ask.chosen.params, **ask.params},
            **service.hosted,
        }
        ran: list[Ran] = []
        async with aclosing(_merged(graph, ask, settings)) as events:
            async for event in events:
                if isinstance(event, Ran):
                    ran.append(event)
                else:
                    yield event
        ran.sort(key=lambda one: one.choice)
        results = [one.result for one in ran]
        usage = sum((result.usage for result in results), Usage())
        visible = sum(_visible(one, models[ask.chosen.model]) for one in ran)
        for result in results:
            if (tally := result.answer.tally) and tally.winner and result.answer.of > 1:
                label = ask.strategy if service.knows(ask.strategy) else OWN_SPEC
                service.metrics.votes.labels(label).observe(tally.winner.share)
        thought = max(usage.completion_tokens - visible, 0)
        yield Account(usage, thought, _facts(ask, usage, _told(results)))


def _with_template(model: Model, template: Mapping[str, Any]) -> Model:
    """The same open model with variables of its chat template, if it supports them."""
    varied = getattr(model, "with_template", None)
    return cast(Model, varied(template)) if template and varied else model


async def _merged(
    graph: Graph, ask: Ask, settings: dict[str, Any]
) -> AsyncGenerator[Event | Ran, None]:
    """The events of all choices in order of arrival; the first failure ends all choices."""
    queue: asyncio.Queue[Event | Ran | Exception | None] = asyncio.Queue()

    async def follow(choice: int, seed: int) -> None:
        async with aclosing(_run(graph, ask, choice, {**settings, "seed": seed})) as events:
            async for event in events:
                queue.put_nowait(event)

    async def all_of_them() -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for choice, seed in enumerate(_seeds(ask)):
                    group.create_task(follow(choice, seed))
        except* Exception as failures:
            first: BaseException = failures
            while isinstance(first, BaseExceptionGroup):
                first = first.exceptions[0]
            queue.put_nowait(cast(Exception, first))
        queue.put_nowait(None)

    task = asyncio.create_task(all_of_them())
    try:
        while (event := await queue.get()) is not None:
            if isinstance(event, Exception):
                raise event
            yield event
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _run(
    graph: Graph, ask: Ask, choice: int, settings: dict[str, Any]
) -> AsyncGenerator[Event | Ran, None]:
    """One run, with its thoughts as reasoning and its answer as content."""
    writer = graph.writer({n: v for n, v in settings["params"].items() if n in graph.spec.params})
    shown = writer if writer and _writes_once(graph, writer) else None
    thoughts, written = Thoughts(writer), ""
    stream = _ended(graph.stream(to_langchain(ask.messages), **settings), ask, settings["budget"])
    async with aclosing(stream) as events:
        async for event in events:
            if isinstance(event, Ran):
                ran = event._replace(choice=choice)
                break
            content = event.text if isinstance(event, TextDelta) and event.node == shown else ""
            written += content
            reasoning = thoughts.take(event)
            if content or reasoning:
                yield Piece(choice, content, reasoning)
        else:
            return
    if rest := thoughts.close():
        yield Piece(choice, reasoning=rest)
    if rest := _unsaid(ran, written):
        yield Piece(choice, rest)
    yield Ended(choice, "length" if _is_cut(ran.result) else "stop")
    yield ran


def _writes_once(graph: Graph, writer: str) -> bool:
    """Whether a node's text can be sent as it grows: nothing else can be the reply in its place."""
    node = graph.spec.nodes[writer]
    return graph.spec.output.field == "answer" and not (node.retry or node.fallback)


async def _ended(
    events: AsyncGenerator[NodeEvent | Finished, None], ask: Ask, budget: Budget
) -> AsyncGenerator[NodeEvent | Ran, None]:
    """The events of a run, which ends with its text even if a limit cut its output.

    Raises:
        RequestError: status 502: the output doesn't match its schema, and no limit cut it.
    """
    try:
        async with aclosing(_asking(events, ask, budget)) as asked:
            async for event in asked:
                if isinstance(event, Finished):
                    yield Ran(0, event.result, answer_text(event.result))
                else:
                    yield event
    except OutputMismatch as error:
        result = error.result
        if result is None or not _is_cut(result):
            raise RequestError(str(error), status=502) from error
        yield Ran(0, result, result.answer.text or result.answer.value or "")


async def _asking(
    events: AsyncGenerator[NodeEvent | Finished, None], ask: Ask, budget: Budget
) -> AsyncGenerator[NodeEvent | Finished, None]:
    """The events of a run, which is resumed with a person's replies whenever it waits for one."""
    while True:
        try:
            async with aclosing(events):
                async for event in events:
                    yield event
            return
        except Interrupted as waiting:
            replies = {
                each.id: await _replied(ask, each.value, budget) for each in waiting.interrupts
            }
            events = waiting.stream(replies)


async def _replied(ask: Ask, request: Any, budget: Budget) -> Any:
    """A person's reply; if there is none in time, stop the budget and return None."""
    if ask.person is None:
        raise _nobody(ask, "one of its nodes")
    task = asyncio.ensure_future(ask.person(request))
    try:
        while not task.done() and not budget.exhausted:
            await asyncio.wait({task}, timeout=WAIT_S)
        if task.done():
            return task.result()
        budget.stop(budget.exhausted or "nobody replied")
    except NoReply as reason:
        budget.stop(str(reason))
    finally:
        task.cancel()
        await asyncio.wait({task})
    return None


def _unsaid(ran: Ran, written: str) -> str:
    """The rest of an answer, a part of which a node has already written."""
    text = ran.text
    if written and written.strip() in (text.strip(), ran.result.answer.text.strip()):
        return ""  # the output may be the same JSON value in another spelling
    return text.removeprefix(written) if text.startswith(written) else f"\n\n{text}"


def answer_text(result: Result) -> str:
    """The answer as a message: the winning text, or the output that the spec defines."""
    spec = result.spec
    if spec is not None and (spec.output.field != "answer" or spec.output.json_schema is not None):
        return result.output_text
    return result.answer.text or result.answer.value or ""


def _is_cut(result: Result) -> bool:
    found = next((c for c in result.candidates if c.id == result.answer.candidate), None)
    return result.cut is not None or (found is not None and _reason(found.finish_reason) != "stop")


def _visible(ran: Ran, model: Model) -> int:
    """The number of tokens in the answer itself."""
    if isinstance(model, TokenCounter):
        return _count(model, ran.text)
    result = ran.result
    found = next((c for c in result.candidates if c.id == result.answer.candidate), None)
    return found.tokens if found else 0


def _told(results: Sequence[Result]) -> dict[str, Any]:
    """The facts about the runs for the client: those of a single run, or a list."""
    found = [
        {
            "seed": result.seed,
            "value": result.answer.value,
            "votes": result.votes,
            "of": result.answer.of,
            "tie": result.answer.tie,
            "note": result.answer.note,
            "accepted": result.accepted,
            "cut": result.cut,
            "failures": result.failures,
        }
        for result in results
    ]
    return found[0] if len(found) == 1 else {"choices": found}


def _facts(ask: Ask, usage: Usage, facts: dict[str, Any]) -> dict[str, Any]:
    told = {name: value for name, value in facts.items() if value not in (None, {}, [], "")}
    spent = {
        "cached_tokens": usage.cached_tokens,
        "cancelled_tokens": usage.cancelled_tokens,
        "model_calls": usage.model_calls,
        "queue_s": round(usage.queue_s, 3),
    }
    ignored = {"ignored": list(ask.ignored)} if ask.ignored else {}
    head = {"strategy": ask.strategy, "model": ask.chosen.model}
    return {**head, **told, "usage": spent, **ignored}
