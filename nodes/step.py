"""`Step`, one run of one node: its models, seeds, budget and event listeners."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from thinkgraph.models.arguments import suggesting
from thinkgraph.models.errors import ModelError, NoProbabilities, PromptTooLong
from thinkgraph.models.model import (
    NO_TOOLS,
    Budget,
    Completion,
    Delta,
    FinishReason,
    Generation,
    Message,
    Model,
    ModelRequest,
    Sampling,
    ToolUse,
    Usage,
)
from thinkgraph.models.seed import derive_seed
from thinkgraph.nodes.event import NodeEvent, TextDelta
from thinkgraph.nodes.population import State
from thinkgraph.nodes.prompts.prompt import Prompt, load_prompt
from thinkgraph.nodes.request import RequestRecord
from thinkgraph.nodes.tools.tool import BoundTool
from thinkgraph.nodes.tools.verifier import Verifier

if TYPE_CHECKING:
    from thinkgraph.models.tracing import Untraced

T = TypeVar("T")


@suggesting
@dataclass
class Step:
    """What one run of a node may use, and what it has used.

    Attributes:
        node: the node's name, with those of the graphs it is used in before it.
        round: which run of the node this is, from 0.
        seed: the seed of the whole run.
        params: the graph's params, with their values.
        models: a model by its role; loads it at the first call.
        emit: sends an event to the listeners of the run.
        budget: the remaining budget.
        prompts: prompts that replace built-in ones of the same name.
        branch: the candidate that this run is for, where the graph fans out over them.
        tags: of its model requests, in LangChain's traces and streams.
        record: is called with each model request, once it has ended.
        tools: those that the host has bound, by name.
        verifiers: the same.
        keep: does work whose result outlives an interrupt, where the run can be interrupted.
        turn: the id of the question's turn; with a candidate's it is the id of a message.
        usage: usage so far, of this run of the node.
        failures: what went wrong with requests, while others went on.
    """

    node: str
    round: int
    seed: int
    params: Mapping[str, Any]
    models: Callable[[str], Model]
    emit: Callable[[NodeEvent], None] = lambda event: None
    budget: Budget | None = None
    prompts: Mapping[str, Prompt] = field(default_factory=dict)
    branch: str = ""
    tags: tuple[str, ...] = ()
    record: Callable[[RequestRecord], None] | None = None
    turn: str = ""
    tools: Mapping[str, BoundTool] = field(default_factory=dict)
    verifiers: Mapping[str, Verifier] = field(default_factory=dict)
    keep: Callable[[Callable[[], Coroutine[Any, Any, Any]]], Coroutine[Any, Any, Any]] | None = None
    usage: Usage = field(default_factory=Usage)
    failures: list[str] = field(default_factory=list)
    _answered: bool = False
    _error: ModelError | None = None

    def may_ask_person(self) -> bool:
        """Whether a person may be asked; not in a run that was stopped, which notes that."""
        if self.budget is None or (reason := self.budget.stopped) is None:
            return True
        self.budget.tell_cut(reason)
        return False

    @property
    def key(self) -> str:
        """The identifier of this run of the node."""
        return f"{self.node}.{self.round}{self.branch and f'({self.branch})'}"

    def id(self, sample: int) -> str:
        """The identifier of what this run writes as its number ``sample``."""
        return f"{self.key}.{sample}"

    def seeds(self, n: int, start: int = 0, part: int = 0) -> list[int]:
        """Seeds for the samples ``start`` to ``start + n``, or for a later ``part`` of them."""
        name = f"{self.node}{self.branch and f'({self.branch})'}{(part and f'+{part}') or ''}"
        return [derive_seed(self.seed, name, self.round, start + i) for i in range(n)]

    def messages(self, prompt: str | Prompt, state: State, **variables: Any) -> list[Message]:
        """Render a prompt for the state's question, with its conversation before it."""
        if isinstance(prompt, str):
            prompt = self.prompts.get(prompt) or load_prompt(prompt)
        known = {**state.fields, **self.params, "round": self.round, "question": state.question}
        return prompt.render({**known, **variables}, state.messages)

    async def sample(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        n: int = 1,
        first: int = 0,
        part: int = 0,
        role: str = "",
        tools: ToolUse = NO_TOOLS,
        done: Callable[[Completion, Generation], None] | None = None,
    ) -> list[Completion]:
        """Sample ``n`` completions of one prompt in one batch, telling them as they grow.

        With no budget left for a call, none is made: the completions are empty, and their
        finish reason is ``budget``. If the request fails, they are empty and end with ``error``;
        the node's run continues with what its other requests give, and fails if all have failed.

        Args:
            messages: the prompt; of what the assistant says at its end, the completions go on.
            sampling: how to sample.
            n: how many completions.
            first: the number of the first among what this run writes.
            part: which part of those texts this is, from 0, where they are sampled in several.
            role: whose model is asked.
            tools: what the model may call; its calls are in the completions.
            done: called with each completion as it ends; may cancel others of the generation.
        """
        seeds = self.seeds(n, first, part)
        if self._refused():
            return [_unasked(index, seed) for index, seed in enumerate(seeds)]
        model = self.models(role)
        request = ModelRequest(messages, sampling, seeds, self.budget, tools)
        completions: list[Completion] = []
        generation = model.generate(request)
        try:
            async with self._traced(model, request, first) as run:
                await self._follow(generation, run, completions, first, done)
        except ModelError as error:
            self._record(role, model, request, usage=generation.usage, error=str(error))
            self._failed(error)
            return [_unasked(index, seed, "error") for index, seed in enumerate(seeds)]
        done_all = tuple(completions)
        self._record(role, model, request, completions=done_all, usage=generation.usage)
        self._answered = True
        self.failures += map(str, generation.failures)
        self._note_cut(any(c.finish_reason == "budget" for c in completions))
        return completions

    async def once(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Do work once, though the node begins again when a person has answered it.

        A node that waits for a person in the middle of its run puts what comes before into this.
        Whatever it does so must come in the same order each time. What the work spends is counted
        again from what is kept.

        Args:
            work: gives what JSON can hold.
        """
        did, before = False, self.usage

        async def counted() -> Any:
            nonlocal did
            did = True
            result = await work()
            return {"result": result, "spent": (self.usage - before).model_dump()}

        done = await (self.keep(counted) if self.keep else counted())
        if not did:
            self.usage += Usage.model_validate(done["spent"])
        return done["result"]

    async def _follow(
        self,
        generation: Generation,
        run: Untraced,
        completions: list[Completion],
        first: int,
        done: Callable[[Completion, Generation], None] | None,
    ) -> None:
        """Collect a generation's completions, and tell of each piece of them."""
        try:
            async with aclosing(aiter(generation)) as pieces:  # type: ignore[type-var]
                async for piece in pieces:
                    if isinstance(piece, Delta):
                        self._tell(piece, first)
                        await run.token(piece)
                        continue
                    completions.append(piece)
                    if done is not None:
                        done(piece, generation)
            completions.sort(key=lambda completion: completion.sample)
            await run.end(completions, generation.usage)
        finally:
            self.usage += generation.usage

    def _record(self, role: str, model: Model, request: ModelRequest, **result: Any) -> None:
        """Tell who records requests of one that has ended."""
        if self.record is not None:
            record = RequestRecord(
                node=self.node,
                round=self.round,
                role=role,
                model=model.name,
                messages=tuple(request.messages),
                sampling=request.sampling,
                seeds=tuple(request.seeds),
                tools=tuple(request.tools.tools),
                **result,
            )
            self.record(record)

    def raise_if_failed(self) -> None:
        """Raise the first failure, if no request of this run has been answered."""
        if self._error is not None and not self._answered:
            raise self._error

    def _failed(self, error: ModelError) -> None:
        """Note a failed request, which costs only itself; what would fail any is raised."""
        if isinstance(error, NoProbabilities | PromptTooLong):
            raise error
        self._error = self._error or error
        self.failures.append(str(error))

    async def choose(
        self,
        messages: Sequence[Message],
        options: Sequence[str],
        *,
        role: str = "",
        adapter: str | None = None,
    ) -> list[float] | None:
        """The probability of each option as what the assistant says next.

        None if the budget ran out first, or the request failed while others went on.
        """
        if self._refused():
            return None
        request = ModelRequest(messages, Sampling(adapter=adapter), budget=self.budget)
        model = self.models(role)
        try:
            async with self._traced(model, request, options=options) as run:
                probabilities, usage = await model.choose(request, options)
                self.usage += usage
                await run.chosen(options, probabilities, usage)
        except ModelError as error:
            self._record(role, model, request, options=tuple(options), error=str(error))
            self._failed(error)
            return None
        found = {"options": tuple(options), "probabilities": tuple(probabilities)}
        self._record(role, model, request, **found, usage=usage)
        self._answered = True
        cut = bool(self.budget and self.budget.exhausted)
        self._note_cut(cut)
        return None if cut else probabilities

    async def rate(
        self, question: Sequence[Message], answers: Sequence[str], *, role: str = ""
    ) -> list[float] | None:
        """The scores that a reward model gives answers.

        None if no call may be made, or the request failed while others went on.

        Raises:
            ModelError: the model of the role isn't one.
        """
        if self._refused():
            return None
        model = self.models(role)
        rate = getattr(model, "rate", None)
        if rate is None:
            raise ModelError(
                f"{model.name} scores no answers; give the role "
                f"{role or 'of the node'!r} a GGUF with a classification head"
            )
        if self.budget:
            self.budget.spend(calls=len(answers))
        request = ModelRequest(question, Sampling(), budget=self.budget)
        try:
            async with self._traced(model, request, options=answers) as run:
                scores, usage = await rate(question, answers)
                self.usage += usage
                await run.rated(scores, usage)
        except ModelError as error:
            self._record(role, model, request, options=tuple(answers), error=str(error))
            self._failed(error)
            return None
        found = {"options": tuple(answers), "scores": tuple(scores)}
        self._record(role, model, request, **found, usage=usage)
        self._answered = True
        return list(scores)

    async def prepare(
        self,
        messages: Sequence[Message],
        sampling: Sampling,
        *,
        texts: int = 1,
        **rest: Any,
    ) -> Completion:
        """Sample one of ``texts`` texts that come before an answer, which must stay affordable.

        Together they may take half of the tokens that the budget has left, and all its calls but
        the last. The other arguments are those of :meth:`sample`.
        """
        calls = self.budget.calls_left if self.budget else None
        if self.budget and calls is not None and calls <= 1:
            self.budget.tell_cut("the last model call of the budget was kept for the answer")
            return _unasked(0, 0)
        tokens = self.budget.tokens_left if self.budget else None
        most = sampling.max_tokens if tokens is None else max(tokens // (2 * texts), 1)
        spared = sampling.model_copy(update={"max_tokens": min(sampling.max_tokens, most)})
        (completion,) = await self.sample(messages, spared, **rest)
        if self.budget and most < sampling.max_tokens and completion.finish_reason == "length":
            self.budget.tell_cut("half of the tokens of the budget were kept for the answer")
        return completion

    def _traced(
        self, model: Model, request: ModelRequest, first: int = 0, options: Sequence[str] = ()
    ) -> AbstractAsyncContextManager[Untraced]:
        """A LangChain run for a request; sample ``i`` is told as ``thinkgraph_ids[i]``."""
        from thinkgraph.models.tracing import traced  # noqa: PLC0415 (LangChain is slow to import)

        ids = [self.id(first + i) for i in range(len(request.seeds))]
        metadata = {
            "thinkgraph_node": self.node,
            "thinkgraph_round": self.round,
            "thinkgraph_ids": ids,
        }
        return traced(
            model,
            request,
            metadata=metadata,
            tags=self.tags,
            options=options,
            message_ids=[message_id(self.turn, name) for name in ids] if self.turn else (),
        )

    def _tell(self, delta: Delta, first: int) -> None:
        name = self.id(first + delta.sample)
        self.emit(
            TextDelta(
                node=self.node,
                id=name,
                text=delta.text,
                tokens=delta.tokens,
                reasoning=delta.reasoning,
            )
        )

    def _refused(self) -> bool:
        """Whether the budget allows no further call; records that one was refused."""
        refusal = self.budget and self.budget.refusal
        if self.budget and refusal:
            self.budget.tell_cut(refusal)
        return bool(refusal)

    def _note_cut(self, cut: bool) -> None:
        if cut and self.budget:
            self.budget.tell_cut(self.budget.exhausted or "the budget is spent")


def _unasked(sample: int, seed: int, reason: FinishReason = "budget") -> Completion:
    return Completion(sample=sample, seed=seed, text="", tokens=0, finish_reason=reason)


def message_id(turn: str, candidate: str) -> str:
    """The id of the message that a candidate's text is, in streams and, if it wins, for good."""
    return f"{turn}/{candidate}"


async def gather(*work: Coroutine[Any, Any, T]) -> list[T]:
    """Run coroutines side by side; the first failure cancels the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(item) for item in work]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
