"""The local backend: a GGUF file on the engine, from messages to samples and probabilities."""

from __future__ import annotations

import asyncio
import atexit
import copy
import math
import operator
import os
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from thinkgraph.models.engine.engine import Engine
from thinkgraph.models.engine.kv_cache.radix import common_prefix
from thinkgraph.models.engine.sequence import Adapter, Event, Request
from thinkgraph.models.engine.settings import EngineSettings
from thinkgraph.models.errors import ModelError
from thinkgraph.models.formats.format import format_of
from thinkgraph.models.formats.parser import ResponseParser
from thinkgraph.models.formats.template import ChatTemplate, Rendered
from thinkgraph.models.formats.tools import held
from thinkgraph.models.model import (
    Completion,
    Message,
    ModelRequest,
    Sampling,
    Tagged,
    TokenLogprob,
    ToolUse,
    Usage,
    continued,
    parted,
)
from thinkgraph.models.tuning.file_key import file_key
from thinkgraph.models.tuning.findings import tuned

_SCORING = Sampling()


class LocalGeneration:
    """The samples of one prompt, in progress in an engine; see :class:`.model.Generation`."""

    def __init__(self, engine: Engine, request: Request) -> None:
        self._engine, self._request = engine, request

    async def __aiter__(self) -> AsyncIterator[Event]:
        """Yield pieces of text and finished samples as they arrive."""
        request, loop, ready = self._request, asyncio.get_running_loop(), asyncio.Event()
        self._check_process()

        def wake() -> None:
            try:
                loop.call_soon_threadsafe(ready.set)
            except RuntimeError:  # the loop has been closed: nobody waits any more
                self.cancel()

        request.streams = True
        try:
            while True:
                ready.clear()
                ended = request.done.done()
                events = request.drain(wake)
                for event in events:
                    yield event
                if events:
                    continue
                if ended:
                    request.done.result()
                    return
                await ready.wait()
        finally:
            self.cancel()

    async def completions(self) -> list[Completion]:
        """Wait for all samples, and return them in order.

        Raises:
            ModelError: the engine was closed or failed.
        """
        await self._ended()
        return [self._request.completions[s.index] for s in self._request.sequences]

    async def scored(self) -> list[list[TokenLogprob]]:
        """Wait for all scores, and return each given text's tokens with their log-probabilities."""
        await self._ended()
        return [list(sequence.logprobs) for sequence in self._request.sequences]

    def cancel(self, sample: int | None = None) -> None:
        """Stop one sample, or all, at the next step; the text so far becomes the completion."""
        if not self._engine.forked and not self._request.done.done():
            self._engine.cancel(self._request, sample)

    @property
    def usage(self) -> Usage:
        """Usage so far; final once all samples have ended."""
        return self._request.usage

    failures: tuple[Exception, ...] = ()
    """Always empty: a failure in the engine fails the whole request."""

    async def _ended(self) -> None:
        self._check_process()
        try:
            await asyncio.wrap_future(self._request.done)
        except asyncio.CancelledError:
            self.cancel()
            raise

    def _check_process(self) -> None:
        if self._engine.forked:
            raise ModelError("the request was made by the parent process; ask again in this one")

    def __del__(self) -> None:
        self.cancel()


class LocalModel:
    """A model served by an engine of this process; created by :func:`open_model`. Thread-safe.

    A forked child opens an engine of its own at its first request.
    """

    def __init__(
        self,
        file: Path,
        settings: EngineSettings,
        name: str,
        template: Mapping[str, Any] | None = None,
    ) -> None:
        self._file, self._settings, self._name = file, settings, name
        self._variables = dict(template or {})
        self._engine = engine = _engine(file, settings)
        vocabulary = engine.vocabulary
        source = engine.native.chat_template
        self._template = ChatTemplate(
            source,
            vocabulary.bos_text,
            vocabulary.eos_text,
            vocabulary.control_texts,
            variables=template,
            format=format_of(source, vocabulary.control_texts),
        )
        self._format = self._template.format
        self._spelled = self._spellings()
        self._adapter: Path | None = None
        self._scale = 1.0

    def with_adapter(
        self, path: str | os.PathLike[str], scale: float = 1.0, *, name: str | None = None
    ) -> LocalModel:
        """The same model with a LoRA adapter on the same engine, which loads it while running.

        A request that names an adapter of its own uses that one instead.

        Args:
            path: the adapter, as a GGUF file.
            scale: how strongly it applies.
            name: name of the returned model; None is this model's name, a plus and the file's.

        Raises:
            ModelError: there is no such file, or it is not a LoRA of this model.
        """
        adapted = copy.copy(self)
        adapted._adapter, adapted._scale = Path(path).expanduser(), scale
        adapted._name = name or f"{self._name}+{adapted._adapter.name}"
        adapted._applied(_SCORING)
        return adapted

    @property
    def adapter(self) -> Path | None:
        """The adapter that applies unless a request names another."""
        return self._adapter

    @property
    def scale(self) -> float:
        """How strongly :attr:`adapter` applies."""
        return self._scale

    def _applied(self, sampling: Sampling) -> Adapter | None:
        """The adapter of a request, loaded if it wasn't."""
        if sampling.adapter is not None or self._adapter is None:
            return _adapter(sampling.adapter)
        try:
            name = file_key(self._adapter)
        except OSError as error:
            raise ModelError(
                f"the adapter {self._adapter} can't be read: {error.strerror}; check the path "
                "after + in the model's name"
            ) from None
        engine = self.engine
        if name not in engine.native.adapters:
            engine.add_adapter(name, self._adapter)
        return Adapter(name, self._scale)

    @property
    def engine(self) -> Engine:
        """The engine of this process, shared by all models with the same file and settings.

        Raises:
            ModelError: it can't be opened in this process, a forked child.
        """
        if self._engine.forked:
            self._engine = _engine(self._file, self._settings)
        return self._engine

    def with_template(self, variables: Mapping[str, Any]) -> LocalModel:
        """The same model on the same engine, with variables of its chat template."""
        model = LocalModel(self._file, self._settings, self._name, {**self._variables, **variables})
        model._adapter, model._scale = self._adapter, self._scale
        return model

    @property
    def template(self) -> Mapping[str, Any]:
        """The variables of the chat template that the model was opened with."""
        return self._variables

    @property
    def name(self) -> str:
        """The name by which the model was opened."""
        return self._name

    @property
    def context_length(self) -> int:
        """Maximum number of tokens of a prompt and one completion together."""
        return self._engine.context_length

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """The length in tokens of the rendered prompt."""
        return len(self.tokenize(messages))

    def count(self, request: ModelRequest) -> int:
        """The length in tokens of a request's prompt, its tools included."""
        if not parted(request.messages)[0]:  # nothing but an answer, which has no prompt
            return sum(len(self.token_ids(message.content)) for message in request.messages)
        return len(self._tokens(self._render(request)))

    def token_ids(self, text: str) -> list[int]:
        """The tokens of a text."""
        return self.engine.vocabulary.tokenize(text)

    def tokenize(self, messages: Sequence[Message]) -> list[int]:
        """Tokens of the rendered prompt.

        Raises:
            ModelError: the chat template refuses the messages.
        """
        return self._tokens(self._template.render(messages))

    def _render(self, request: ModelRequest) -> Rendered:
        """The prompt of a request.

        Raises:
            ModelError: the chat template refuses the messages.
        """
        sampling = request.sampling
        return self._template.render(
            request.messages,
            request.tools.tools,
            sampling.template,
            thinks=constrained(sampling) or request.tools.choice != "auto",
        )

    def _tokens(self, prompt: Rendered) -> list[int]:
        vocabulary, pieces = self.engine.vocabulary, prompt.pieces
        text = pieces[0].text if pieces else ""
        written = bool(vocabulary.bos_text) and text.startswith(vocabulary.bos_text)
        tokens = [vocabulary.bos] if vocabulary.adds_bos and not written else []
        for number, piece in enumerate(pieces):
            text, special = piece.text, piece.special
            tokens += vocabulary.tokenize(text, special=special, continues=number > 0)
        return [token for token in tokens if token is not None]

    def render(self, request: ModelRequest) -> tuple[str, list[int]]:
        """The text and the tokens of a request's prompt, with its tools and template variables.

        Raises:
            ModelError: the chat template refuses the messages.
        """
        prompt = self._render(request)
        return "".join(piece.text for piece in prompt.pieces), self._tokens(prompt)

    def generate(self, request: ModelRequest) -> LocalGeneration:
        """Sample one completion per seed, all of the same prompt.

        Raises:
            ModelError: the prompt doesn't fit in the context, or the model doesn't support a
                setting.
        """
        if not request.seeds:
            raise ModelError("no sample was asked for; give at least one seed")
        prompt = self._render(request)
        sampling = self._constrained(request, prompt)
        tools = request.tools.tools
        return self._submit(
            Request(
                self._tokens(prompt),
                sampling,
                request.seeds,
                adapter=self._applied(sampling),
                budget=request.budget,
                parser=lambda: ResponseParser(
                    self._format,
                    tools,
                    place=prompt.place,
                    begun=prompt.begun,
                    checked=request.tools.constrained,
                ),
                spelled=self._spelled,
            )
        )

    def _constrained(self, request: ModelRequest, prompt: Rendered) -> Sampling:
        """The request's sampling with the constraints on its calls and its answer."""
        sampling, use = request.sampling, request.tools
        changed: dict[str, Any] = {}
        if use.tools and sampling.json_schema is not None:
            changed = self._called_or_answered(use, sampling.json_schema, prompt)
        elif use.tools and use.constrained and not sampling.tagged:
            tagged = held(
                self._format,
                use.chosen,
                knows_tools=self._template.knows_tools,
                parallel=use.parallel,
                bare=use.choice == "auto",
            )
            if not use.parallel:
                tagged = [self._last(tag) for tag in tagged]
            required = use.choice != "auto" and bool(tagged)
            thought = self._template.answer_after(prompt) if required else None
            if thought and not self._format.channels:
                # A call is required after the thought, so the thought's end must lead to one.
                tagged += [_behind(thought, tag) for tag in tagged]
                required = False
            changed = {
                "tagged": tuple(tagged),
                "tagged_required": required,
                "tagged_parallel": use.parallel,
            }
        elif constrained(sampling) and sampling.constrain_after is None:
            changed["constrain_after"] = self._template.answer_after(prompt)
        return sampling.model_copy(update=changed) if changed else sampling

    def _last(self, tag: Tagged) -> Tagged:
        """End the text after a call without delimiters: nothing else prevents a second call."""
        end = self.engine.vocabulary.eos_text
        return tag.model_copy(update={"end": tag.end + end}) if tag.begin[:1] == "{" else tag

    def _called_or_answered(
        self, use: ToolUse, schema: dict[str, Any], prompt: Rendered
    ) -> dict[str, Any]:
        """Changes of the sampling that constrain a text to calls, or to an answer of a schema.

        Raises:
            ModelError: the model writes in channels, where calls are not part of the answer.
        """
        if self._format.channels:
            raise ModelError(
                f"{self._name} can't be constrained to response_format and call tools too; let the "
                "answer be a tool, as create_agent does with response_format=ToolStrategy(...)"
            )
        tagged = held(
            self._format,
            use.chosen,
            knows_tools=self._template.knows_tools,
            parallel=use.parallel,
        )
        answer = [Tagged(begin="", json_schema=schema, end="")] if use.choice == "auto" else []
        return {
            "json_schema": None,
            "tagged": (*tagged, *answer),
            "tagged_required": True,
            "tagged_parallel": use.parallel,
            "constrain_after": self._template.answer_after(prompt),
        }

    def _spellings(self) -> dict[int, bytes]:
        """The control tokens that the format needs in the text, with their spellings."""
        vocabulary = self.engine.vocabulary
        tokens = {
            token
            for literal in self._format.literals
            for token in vocabulary.tokenize(literal, special=True)
        }
        found = {token for token in tokens if not vocabulary.piece(token)}
        return {token: vocabulary.spelling(token).encode() for token in found}

    async def score(self, request: ModelRequest, text: str) -> tuple[list[TokenLogprob], Usage]:
        """The log-probability of each token of ``text`` as the answer."""
        scored, usage, _ = await self._score(request, [text])
        return scored[0], usage

    async def choose(
        self, request: ModelRequest, options: Sequence[str]
    ) -> tuple[list[float], Usage]:
        """The probability that the answer begins with each option; they sum to one.

        If an option is the beginning of another one, as 1 is of 10, the other's probability is
        subtracted. If the budget ends before all options are scored, they are equally likely.
        """
        if not options:
            raise ModelError("there is nothing to choose from; give at least one option")
        scored, usage, complete = await self._score(request, options)
        if not complete:
            return [1 / len(options)] * len(options), usage
        totals = [sum(token.logprob for token in tokens) for tokens in scored]
        best = max(totals)
        weights = [math.exp(total - best) for total in totals]
        weights = _disjoint(weights, [[token.token for token in tokens] for tokens in scored])
        whole = sum(weights)
        return [weight / whole for weight in weights], usage

    async def _score(
        self, request: ModelRequest, texts: Sequence[str]
    ) -> tuple[list[list[TokenLogprob]], Usage, bool]:
        """The scored tokens of each text, the usage, and whether no token is missing."""
        if not all(texts):
            raise ModelError("an empty text can't be scored: it has no tokens")
        # Tokenize each text together with the prompt, as the model would have written it: by
        # itself, it may become other tokens.
        asked = [replace(request, messages=continued(request.messages, text)) for text in texts]
        whole = [self._tokens(self._render(each)) for each in asked]
        begins = [self._beginning(tokens, text) for tokens, text in zip(whole, texts, strict=True)]
        shared = min(common_prefix(whole[0], tokens) for tokens in whole)
        length = min(shared, *begins)
        targets = [tokens[length:] for tokens in whole]
        generation = self._submit(
            Request(
                whole[0][:length],
                _SCORING,
                targets=targets,
                adapter=self._applied(request.sampling),
                budget=request.budget,
            )
        )
        scored = await generation.scored()
        complete = all(map(operator.eq, map(len, scored), map(len, targets)))
        return scored, generation.usage, complete

    def _beginning(self, tokens: Sequence[int], text: str) -> int:
        """The index of the token in which ``text`` begins, at the end of ``tokens``."""
        left, at = len(text.encode("utf-8", "replace")), len(tokens)
        while left > 0 and at > 1:
            at -= 1
            left -= len(self.engine.vocabulary.piece(tokens[at]))
        return at

    def _submit(self, request: Request) -> LocalGeneration:
        engine = self.engine
        engine.submit(request)
        return LocalGeneration(engine, request)

    def close(self) -> None:
        """Close the engine for all its users; running requests fail."""
        self._engine.close()
        with _opening:
            _forget_closed()


def _disjoint(weights: Sequence[float], options: Sequence[Sequence[int]]) -> list[float]:
    """The weights of options, each without those of the options that continue its tokens.

    Weights that rounding makes negative become zero; if all are zero, they are returned unchanged.
    """
    own = list(weights)
    for index in sorted(range(len(options)), key=lambda index: -len(options[index])):
        tokens = options[index]
        longer = [
            own[other]
            for other, more in enumerate(options)
            if len(tokens) < len(more) and more[: len(tokens)] == tokens
        ]
        own[index] = max(weights[index] - math.fsum(longer), 0.0)
    return own if sum(own) > 0 else list(weights)


def constrained(sampling: Sampling) -> bool:
    """Whether the whole answer is constrained to a grammar or a JSON schema."""
    return sampling.json_schema is not None or sampling.grammar is not None


def _behind(thought: str, tag: Tagged) -> Tagged:
    return tag.model_copy(update={"begin": f"{thought}\n\n{tag.begin}", "trigger": thought})


def _adapter(name: str | None) -> Adapter | None:
    """Parse an adapter written ``NAME`` or ``NAME:SCALE``."""
    if name is None:
        return None
    head, _, scale = name.rpartition(":")
    try:
        return Adapter(head, float(scale)) if head else Adapter(name)
    except ValueError:
        return Adapter(name)


_engines: dict[tuple[str, str], Engine] = {}
_opening = threading.Lock()


def open_model(
    path: str | os.PathLike[str],
    *,
    name: str | None = None,
    settings: EngineSettings | None = None,
    template: Mapping[str, Any] | None = None,
) -> LocalModel:
    """Open a GGUF file; the same file with the same settings shares one engine.

    Args:
        path: the file.
        name: the model's name; None is the file's name.
        settings: None is the defaults. Settings that are not given are those that
            :func:`~thinkgraph.models.tuning.tune.tune` found best for the file, if it was run.
        template: variables of the chat template, such as ``enable_thinking``.

    Raises:
        ModelError: there is no such file, or it can't be opened as a model.
    """
    file = Path(path).expanduser()
    called = name or file.name
    file, settings = tuned(file, settings or EngineSettings())
    return LocalModel(file, settings, called, template)


def _engine(file: Path, settings: EngineSettings) -> Engine:
    """The open engine of a file with these settings; opens one if needed."""
    with _opening:
        try:
            name = file_key(file)
        except OSError:
            name = str(file)  # opening it raises the error
        key = name, repr(settings)
        _forget_closed()
        if key not in _engines:
            _engines[key] = Engine(file, settings)
        return _engines[key]


def _forget_closed() -> None:
    for key in [key for key, engine in _engines.items() if engine.closed]:
        del _engines[key]


def _forget_parents() -> None:
    """Discard engines and lock in a forked child: their threads exist only in the parent."""
    global _opening  # noqa: PLW0603
    _engines.clear()
    _opening = threading.Lock()


if hasattr(os, "register_at_fork"):  # not on Windows
    os.register_at_fork(after_in_child=_forget_parents)


@atexit.register
def _close_all() -> None:
    for engine in _engines.values():
        engine.close()
