"""Independent streams of text, joined into one generation of several samples.

A backend that gives one answer per call (a hosted model, a script) becomes a
:class:`~thinkgraph.models.model.Generation` here: its samples run concurrently, and each can be
cancelled, or stopped by a budget, without the others.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from typing import NamedTuple

from thinkgraph.models.errors import ModelError
from thinkgraph.models.formats.format import PLAIN
from thinkgraph.models.formats.parser import ResponseParser
from thinkgraph.models.model import (
    Budget,
    Completion,
    Confidence,
    Delta,
    FinishReason,
    InvalidToolCall,
    TokenLogprob,
    Tool,
    ToolCall,
    Usage,
)


class Step(NamedTuple):
    """An item of a stream: new text, and its usage.

    ``tokens`` may correct an earlier count. ``finish`` ends the sample; a stream that ends without
    it counts as ``"stop"``.
    """

    text: str = ""
    tokens: int = 0
    finish: FinishReason | None = None
    stop_text: str | None = None
    """The text of ``stop`` that ended the sample, or an empty text; None if unknown."""
    prompt: Usage | None = None
    """The prompt's part of the usage, if the stream reports it."""
    confidence: Confidence | None = None
    """The confidence in the whole text, if the stream reports it."""
    logprobs: tuple[TokenLogprob, ...] = ()
    """Log-probabilities of the tokens of the whole text, if the stream reports them."""
    tool_calls: tuple[ToolCall, ...] = ()
    """Calls that the stream reports apart from its text."""
    invalid_tool_calls: tuple[InvalidToolCall, ...] = ()


News = Delta | Completion | tuple[int, Exception]
"""An event of a sample: text, its end, or its index with the exception by which it failed."""


class Streams:
    """A generation whose samples are streams; it belongs to the event loop that iterates it.

    Args:
        streams: one for each seed; each is started when the iteration starts.
        seeds: the samples' seeds, in order.
        spent: what the request has cost already.
        budget: checked before a step is taken; a step's tokens are charged to it.
        tools: the tools whose calls are parsed from the texts.

    Raises:
        ModelError: there is no seed.
    """

    def __init__(
        self,
        streams: Sequence[AsyncGenerator[Step, None]],
        seeds: Sequence[int],
        *,
        spent: Usage,
        budget: Budget | None = None,
        tools: Sequence[Tool] = (),
    ) -> None:
        if not seeds:
            raise ModelError("no sample was asked for; give at least one seed")
        self._samples = [
            _Sample(index, seed, stream, budget, tools)
            for index, (seed, stream) in enumerate(zip(seeds, streams, strict=True))
        ]
        self._spent = spent
        self._started = False
        self.failures: list[Exception] = []

    async def __aiter__(self) -> AsyncIterator[Delta | Completion]:
        """Run the samples concurrently.

        A sample that fails ends with the finish reason ``error``, and the others continue.

        Raises:
            ModelError: the first failure, if every sample has failed.
        """
        if self._started:
            raise RuntimeError("a generation can be iterated only once")
        self._started = True
        news: asyncio.Queue[News] = asyncio.Queue()
        for sample in self._samples:
            sample.task = asyncio.create_task(sample.run(news))
        try:
            running = len(self._samples)
            while running:
                match await news.get():
                    case (index, ModelError() as failure):
                        running -= 1
                        self.failures.append(failure)
                        if len(self.failures) == len(self._samples):
                            raise self.failures[0]
                        yield self._samples[index].failed()
                    case (_, failure):  # a bug rather than a failure of the model
                        raise failure
                    case event:
                        running -= isinstance(event, Completion)
                        yield event
        finally:
            self.cancel()
            await asyncio.gather(*(s.task for s in self._samples if s.task))

    async def completions(self) -> list[Completion]:
        """Wait for all samples, and return them in order."""
        if not self._started:
            async with aclosing(aiter(self)) as events:  # type: ignore[type-var]
                async for _ in events:
                    pass
        return [sample.completion for sample in self._samples if sample.completion]

    def cancel(self, sample: int | None = None) -> None:
        """Stop one sample, or all."""
        for one in self._samples if sample is None else [self._samples[sample]]:
            one.cancel()

    @property
    def usage(self) -> Usage:
        """Usage so far."""
        return sum((sample.usage for sample in self._samples), self._spent)


class _Sample:
    """One stream and its results so far."""

    def __init__(
        self,
        index: int,
        seed: int,
        stream: AsyncGenerator[Step, None],
        budget: Budget | None,
        tools: Sequence[Tool],
    ) -> None:
        self._index, self._seed, self._stream, self._budget = index, seed, stream, budget
        self._parser = ResponseParser(PLAIN, tools)
        self._tokens, self._prompt = 0, Usage()
        self._stop_text: str | None = None
        self._confidence: Confidence | None = None
        self._logprobs: tuple[TokenLogprob, ...] = ()
        self._calls: list[ToolCall] = []
        self._invalid: list[InvalidToolCall] = []
        self._cancelled = self._following = False
        self.task: asyncio.Task[None] | None = None
        self.completion: Completion | None = None

    async def run(self, news: asyncio.Queue[News]) -> None:
        """Follow the stream to its end, and report each step and the end or failure."""
        self._following = True
        try:
            async with aclosing(self._stream) as steps:
                reason = await self._follow(steps, news)
        except asyncio.CancelledError:
            reason = "cancelled"
        except Exception as failure:
            news.put_nowait((self._index, failure))
            return
        self._parser.close()
        self._tell(news)
        self.completion = Completion(
            sample=self._index,
            seed=self._seed,
            text=self._parser.text,
            tokens=self._tokens,
            finish_reason=reason,
            stop_text=self._stop_text,
            reasoning=self._parser.reasoning,
            tool_calls=(*self._parser.tool_calls, *self._calls),
            invalid_tool_calls=(*self._parser.invalid_tool_calls, *self._invalid),
            confidence=self._confidence,
            logprobs=self._logprobs,
        )
        news.put_nowait(self.completion)

    def failed(self) -> Completion:
        """Complete the sample as failed, without its text so far."""
        self.completion = Completion(
            sample=self._index,
            seed=self._seed,
            text="",
            tokens=self._tokens,
            finish_reason="error",
        )
        return self.completion

    async def _follow(
        self,
        steps: AsyncIterator[Step],
        news: asyncio.Queue[News],
    ) -> FinishReason:
        if reason := self._stopped:
            return reason
        async for step in steps:
            # A step without text only completes the usage, so it is taken even when stopped.
            if step.text and (reason := self._stopped):
                return reason
            self._take(step)
            self._tell(news, step.tool_calls)
            if step.finish:
                return step.finish
        return "stop"

    def _tell(self, news: asyncio.Queue[News], calls: tuple[ToolCall, ...] = ()) -> None:
        if said := self._parser.take():
            delta = Delta(
                sample=self._index,
                text=said.text,
                tokens=self._tokens,
                reasoning=said.reasoning,
                tool_calls=tuple(said.tool_calls),
                tool_call_pieces=tuple(said.pieces.values()),
            )
            news.put_nowait(delta)
        if calls:
            news.put_nowait(Delta(sample=self._index, tokens=self._tokens, tool_calls=calls))

    @property
    def _stopped(self) -> FinishReason | None:
        if self._cancelled:
            return "cancelled"
        return "budget" if self._budget and self._budget.exhausted else None

    def _take(self, step: Step) -> None:
        self._parser.feed(step.text)
        self._tokens += step.tokens
        self._prompt = step.prompt or self._prompt
        self._stop_text = self._stop_text if step.stop_text is None else step.stop_text
        self._confidence = step.confidence or self._confidence
        self._logprobs = step.logprobs or self._logprobs
        self._calls += step.tool_calls
        self._invalid += step.invalid_tool_calls
        if self._budget:
            self._budget.spend(tokens=step.tokens)

    def cancel(self) -> None:
        """Stop the sample, even while its stream is waiting for something."""
        self._cancelled = True
        # A task that is cancelled before it has begun would not report its end.
        if self.task and self._following:
            self.task.cancel()

    @property
    def usage(self) -> Usage:
        """This sample's part of the usage."""
        cut = self.completion is not None and self.completion.finish_reason == "cancelled"
        spent = Usage(completion_tokens=self._tokens, cancelled_tokens=self._tokens if cut else 0)
        return self._prompt + spent
