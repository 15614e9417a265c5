"""The plan: exact costs where possible, upper bounds elsewhere, computed before a run.

Calls and samples follow from the graph, the params and the loops' bounds; tokens are bounded by
``max_tokens``. With a model and a question the prompts are rendered and counted too, with as
many tokens for a text that isn't written yet as it may have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from pydantic import Field

from thinkgraph.graphs.language.spec import Scalar
from thinkgraph.graphs.planning.walk import Spend, Walk, shape
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.models.model import Frozen, Message, Model
from thinkgraph.nodes.base.cost import Asked, Extent, Shown, tokens
from thinkgraph.nodes.prompts.prompt import Prompt, PromptError, load_prompt

if TYPE_CHECKING:
    from thinkgraph.graphs.graph import Graph
    from thinkgraph.models.tuning.speed import Speed

SEAM = 2
"""Tokens that a text may have more within a prompt than by itself, where it meets its own."""
MARKS = 0x2A700
"""The first of the rare characters that stand for texts while a prompt is rendered."""


class TooLarge(ThinkgraphError):
    """What a plan found can't fit in the model's context."""


class Spent(Frozen):
    """What a node, or a whole run, may spend at most."""

    runs: int = Field(description="of the node, or of all nodes together")
    calls: int = Field(description="model calls")
    samples: int = Field(description="completions")
    tokens: int = Field(description="tokens sampled")
    prompt_tokens: int | None = Field(None, description="None without a model and a question")
    cells: int | None = Field(None, description="KV cells needed at once, prefixes shared")
    seconds: float | None = Field(None, description="about; None where no speed is known")
    exact: bool = Field(description="whether runs, calls and samples are exactly so many")


class Overflow(Frozen):
    """A prompt that can't fit in the context with what is to be written after it."""

    node: str
    prompt: int = Field(description="tokens of the prompt at most")
    written: int = Field(description="tokens that may be written after it")
    certain: bool = Field(description="whether it can't fit even if all earlier texts are empty")


class Plan(Frozen):
    """What a run may cost at most."""

    graph: str
    params: dict[str, Scalar]
    model: str | None = None
    nodes: dict[str, Spent]
    total: Spent
    unknown: tuple[str, ...] = Field((), description="nodes whose kinds don't tell their cost")
    context: int | None = Field(None, description="tokens that a prompt and a completion may have")
    longest: int | None = Field(None, description="tokens of the longest prompt with its text")
    cells: int | None = Field(None, description="KV cells that there are")
    overflows: tuple[Overflow, ...] = ()
    remedies: dict[str, Scalar] = Field(
        default_factory=dict, description="params any one of which, so low, makes all of it fit"
    )

    @property
    def fits(self) -> bool:
        """Whether it can fit in the context."""
        return not any(overflow.certain for overflow in self.overflows)

    def check(self) -> None:
        """Refuse what can't fit.

        Raises:
            TooLarge: with the param to lower.
        """
        if not self.fits:
            raise TooLarge(self.warning)

    @property
    def warning(self) -> str:
        """What can't fit or may not, in one line; empty if all fits."""
        if not self.overflows:
            return ""
        worst = max(self.overflows, key=lambda o: (o.certain, o.prompt + o.written))
        verb = "can't fit" if worst.certain else "may not fit"
        said = (
            f"the node {worst.node!r} {verb}: its prompt has "
            f"{'' if worst.certain else 'up to '}{worst.prompt} tokens and up to {worst.written} "
            f"follow, in a context of {self.context}"
        )
        lower = " or ".join(f"{name} to {value}" for name, value in self.remedies.items())
        return f"{said}; lower {lower}" if lower else f"{said}; open the model with a longer one"


def plan(
    graph: Graph,
    params: Mapping[str, Any] | None = None,
    model: Model | None = None,
    question: str | None = None,
    speed: Speed | None = None,
) -> Plan:
    """What a run of a graph may cost.

    Args:
        graph: the strategy.
        params: values of its params and further inputs; the others have their defaults.
        model: for every role; its context is checked and, with a question, prompts are counted.
        question: what would be asked.
        speed: the machine's with this model, for an estimate of the time.

    Raises:
        ThinkgraphError: the graph has errors, or no such param, or the param no such value.
    """
    spec, given = graph.spec, dict(params or {})
    inputs = {name: given.pop(name) for name in spec.inputs if name in given}
    used = graph.specs.__getitem__

    def planned(values: Mapping[str, Any]) -> Plan:
        meter = Meter(model, question, speed)
        walk = Walk(spec, graph.bind(values), used, meter.price)
        fields = {name: shape(value) for name, value in inputs.items()}
        journey = walk.run(Extent(fields=fields))
        return Plan(
            graph=spec.name,
            params=graph.bind(values),
            model=model.name if model else None,
            nodes={name: meter.told(journey.nodes[name]) for name in journey.nodes},
            total=meter.told(journey.total),
            unknown=tuple(sorted(journey.unknown)),
            context=model.context_length if model else None,
            longest=meter.longest if model and question else None,
            cells=_cells(model),
            overflows=tuple(meter.overflows.values()),
        )

    found = planned(given)
    if not found.overflows:
        return found
    return found.model_copy(update={"remedies": dict(_remedies(graph, given, found, planned))})


def _remedies(
    graph: Graph,
    given: Mapping[str, Any],
    found: Plan,
    planned: Callable[[Mapping[str, Any]], Plan],
) -> Iterator[tuple[str, int]]:
    """The params of which one alone, if lowered, makes everything fit, with the highest value.

    What can't fit for certain is mended first: then the rest may still be too long.
    """

    def good(name: str, value: int) -> bool:
        trial = planned({**given, name: value})
        return trial.fits if not found.fits else not trial.overflows

    for name, param in graph.spec.params.items():
        value = found.params[name]
        if param.kind != "integer" or isinstance(value, bool | str) or param.choices:
            continue
        low, high = int(param.minimum if param.minimum is not None else 1), int(value)
        if low >= high or not good(name, low):
            continue
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if good(name, middle) else (low, middle)
        yield name, low


def _cells(model: Model | None) -> int | None:
    """The cells of the KV cache, where the model is of an engine of this process."""
    settings = getattr(getattr(model, "engine", None), "settings", None)
    return getattr(settings, "kv_cells", None)


class Meter:
    """Counts what requests come to.

    Attributes:
        overflows: by node, the worst prompt that doesn't fit.
        longest: tokens of the longest prompt with what follows it.
    """

    def __init__(self, model: Model | None, question: str | None, speed: Speed | None) -> None:
        self._model, self._question, self._speed = model, question, speed
        self._counted = model is not None and question is not None
        self.overflows: dict[str, Overflow] = {}
        self.longest = 0
        self._rendered: dict[Any, tuple[int, int]] = {}

    def price(
        self, node: str, asked: Iterable[Asked], extent: Extent, params: Mapping[str, Any]
    ) -> Spend:
        """What one run of a node asks for."""
        total = Spend()
        for each in asked:
            calls = each.prompts * each.calls * each.turns
            if calls > 0:
                prompt = self._prompt(node, each, extent, params) if self._counted else 0
                total += self._spend(each, calls, prompt)
        return total

    def _spend(self, asked: Asked, calls: int, prompt: int) -> Spend:
        side = asked.prompts * asked.calls
        branch = asked.prefix + asked.options + asked.samples * asked.max_tokens
        return Spend(
            calls=calls,
            samples=calls * asked.samples,
            tokens=calls * asked.samples * asked.max_tokens,
            prompt_tokens=calls * (prompt + asked.prefix + asked.options) if self._counted else 0,
            cells=asked.prompts * (prompt + asked.calls * branch),
            seconds=asked.turns * self._seconds(asked, side, prompt),
        )

    def _seconds(self, asked: Asked, side: int, prompt: int) -> float:
        if self._speed is None:
            return 0.0
        read = asked.prompts * prompt + side * (asked.prefix + asked.options)
        return self._speed.seconds(read, asked.max_tokens, side * asked.samples)

    def _prompt(self, node: str, asked: Asked, extent: Extent, params: Mapping[str, Any]) -> int:
        """Tokens of a prompt at most; it is noted where they don't fit."""
        known, unknown = self._tokens(asked, extent, params)
        room = self._model.context_length if self._model else 0
        written = asked.options + asked.max_tokens * (asked.samples > 0)
        whole = known + unknown
        if asked.room is not None:
            whole = max(known, min(whole, room - asked.room))
        follows = asked.prefix + written
        self.longest = max(self.longest, min(whole + follows, room))
        certain = known + written > room
        if certain or whole + follows > room:
            shown = known if certain else whole + asked.prefix
            found = Overflow(node=node, prompt=shown, written=written, certain=certain)
            before = self.overflows.get(node, found)
            self.overflows[node] = max(
                before, found, key=lambda o: (o.certain, o.prompt + o.written)
            )
        return whole

    def _tokens(self, asked: Asked, extent: Extent, params: Mapping[str, Any]) -> tuple[int, int]:
        """Tokens of a prompt's own words, and of the texts in it at most."""
        prompt = load_prompt(asked.prompt) if isinstance(asked.prompt, str) else asked.prompt
        shown: dict[str, Shown] = {**extent.fields, **asked.shows}
        named = prompt.variables
        shown = {name: value for name, value in shown.items() if name in named}
        others = {name: value for name, value in params.items() if name in named}
        number = extent.round if "round" in named else 0
        key = prompt.model_dump_json(), repr(shown), repr(others), number
        if key not in self._rendered:
            rest = {**others, "round": number, "question": self._question}
            self._rendered[key] = self._render(prompt, shown, rest)
        return self._rendered[key]

    def _render(
        self, prompt: Prompt, shown: Mapping[str, Shown], rest: Mapping[str, Any]
    ) -> tuple[int, int]:
        marks = Marks()
        try:
            messages = prompt.render({**rest, **{k: marks.put(v) for k, v in shown.items()}})
        except PromptError:  # it can't be rendered without the texts, so its source is counted
            source = Message(role="user", content=prompt.model_dump_json())
            return 0, self._count([source]) + sum(map(tokens, shown.values()))
        plain = [m.model_copy(update={"content": marks.out(m.content)}) for m in messages]
        texts = sum(marks.tokens(message.content) for message in messages)
        return self._count(plain), texts

    def _count(self, messages: list[Message]) -> int:
        return self._model.count_tokens(messages) if self._model else 0

    def told(self, spend: Spend) -> Spent:
        """A sum, without what wasn't counted."""
        data = asdict(spend)
        if not self._counted:
            data |= {"prompt_tokens": None, "cells": None}
        if self._speed is None:
            data["seconds"] = None
        return Spent.model_validate(data)


class Marks:
    """Rare characters that stand for texts not yet written, while a prompt is rendered."""

    def __init__(self) -> None:
        self._sizes: list[int] = []

    def put(self, shown: Shown) -> Any:
        """What a template is given for a text or a list; no text at all stays none."""
        if isinstance(shown, tuple):
            return [self.put(item) for item in shown]
        if isinstance(shown, str) or shown == 0:
            return shown or ""
        if shown not in self._sizes:
            self._sizes.append(shown)
        return chr(MARKS + self._sizes.index(shown))

    def tokens(self, text: str) -> int:
        """Tokens of the texts that the marks represent."""
        found = enumerate(self._sizes)
        return sum(text.count(chr(MARKS + i)) * (size + SEAM) for i, size in found)

    def out(self, text: str) -> str:
        """A text without its marks."""
        return text.translate({MARKS + i: None for i in range(len(self._sizes))})
