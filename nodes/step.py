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
    """The context of one run of a node: the resources that it may use, and its usage so far.

    Attributes:
        node: name of the node; in a subgraph, after the keys of the runs that contain it.
        round: which run of the node this is, from 0.
        seed: the seed of the whole run.
        params: values of the graph's params, by name.
        models: returns the model of a role; loads it on the first call.
        emit: sends an event to the listeners of the run.
        budget: the remaining budget.
        prompts: prompts that replace built-in ones of the same name.
        branch: the candidate or item that this run is for, where the graph fans out.
        tags: tags of its model requests in LangChain's traces and streams.
        record: called with the record of each model request, once it has ended.
        tools: tools that the run may use, by name.
        verifiers: verifiers that the run may use, by name.
        keep: runs work and checkpoints the result, for kinds that may be interrupted.
        turn: id of the conversation turn; see :func:`message_id`.
        usage: usage of this run of the node so far.
        failures: messages about failures that did not end the run.
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
        """Whether a person may be asked; a stopped run records the cut and returns False."""
        if self.budget is None or (reason := self.budget.stopped) is None:
            return True
        self.budget.tell_cut(reason)
        return False

    @property
    def key(self) -> str:
        """The identifier of this run of the node."""
        return f"{self.node}.{self.round}{self.branch and f'({self.branch})'}"

    def id(self, sample: int) -> str:
        """The identifier of the candidate or critique with index ``sample`` of this run."""
        return f"{self.key}.{sample}"

    def seeds(self, n: int, start: int = 0, part: int = 0) -> list[int]:
        """Seeds for ``n`` samples from index ``start``, or for a later ``part`` of their texts."""
        name = f"{self.node}{self.branch and f'({self.branch})'}{(part and f'+{part}') or ''}"
        return [derive_seed(self.seed, name, self.round, start + i) for i in range(n)]

    def messages(self, prompt: str | Prompt, state: State, **variables: Any) -> list[Message]:
        """Render a prompt for the state's question, after the conversation before it."""
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
        """Sample ``n`` completions of one prompt in one batch, and emit their text as it grows.

        If the budget allows no further call, no request is made: the completions are empty with the
        finish reason ``budget``. If the request fails, they are empty with the finish reason
        ``error``; the node continues with its other requests, and fails if all of them failed.

        Args:
            messages: the prompt; the completions continue an assistant message at its end.
            sampling: the sampling settings.
            n: number of completions.
            first: index of the first sample within this run of the node.
            part: index of the part, from 0, where the texts are sampled in several parts.
            role: role of the model.
            tools: tools that the model may call; the completions contain its calls.
            done: called with each completion as it ends; may cancel the rest of the generation.
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

    async def any_of(self, *work: Coroutine[Any, Any, T]) -> list[T]:
        """Run the work of several models concurrently; the results of those that don't fail.

        Raises:
            ModelError: all of it failed.
        """

        async def attempt(item: Coroutine[Any, Any, T]) -> T | ModelError:
            try:
                return await item
            except ModelError as error:
                return error

        found = await gather(*map(attempt, work))
        errors = [each for each in found if isinstance(each, ModelError)]
        if errors and len(errors) == len(found):
            raise errors[0]
        self.failures += map(str, errors)
        return [each for each in found if not isinstance(each, ModelError)]

    async def once(self, work: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        """Run work once, even if the node is restarted after an interrupt.

        A node that waits for a person in the middle of its run wraps the work before that in this.
        The calls must come in the same order in each restart. If the result comes from the
        checkpoint, the usage of the work is added again from there.

        Args:
            work: returns a JSON-serializable value.
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
        """Collect the completions of a generation, and emit each piece of their text."""
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
        """Pass the record of an ended request to ``record``, if that is set."""
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
                tool_choice=request.tools.choice,
                **result,
            )
            self.record(record)

    def raise_if_failed(self) -> None:
        """Raise the error of the first failed request, if no request of this run succeeded."""
        if self._error is not None and not self._answered:
            raise self._error

    def _failed(self, error: ModelError) -> None:
        """Record a failed request; ``NoProbabilities`` and ``PromptTooLong`` are raised."""
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
        """The probability of each option as the assistant's next text.

        None if the budget ran out or the request failed.
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
        """The scores that a reward model gives to answers.

        None if the budget allows no call or the request failed.

        Raises:
            ModelError: the model of the role is not a reward model.
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
        """Sample one of ``texts`` intermediate texts, and keep enough of the budget for an answer.

        Together the texts may take half of the remaining tokens, and all remaining calls but one.
        The other arguments are those of :meth:`sample`.
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
        """A LangChain run for a request; ``thinkgraph_ids[i]`` is the id of sample ``i``."""
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
        """Whether the budget allows no further call; if so, record that a call was refused."""
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
    """The message id of a candidate's text: in streams and, if it wins, in the conversation."""
    return f"{turn}/{candidate}"


async def gather(*work: Coroutine[Any, Any, T]) -> list[T]:
    """Run coroutines concurrently; the first failure cancels the others and is raised."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(item) for item in work]
    except ExceptionGroup as failures:
        raise failures.exceptions[0] from None
    return [task.result() for task in tasks]
