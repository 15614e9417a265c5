"""The cost model: the cost of requests, with their prompts rendered and their tokens counted.

Prompts are rendered and their tokens counted only with a model and a question. A text that isn't
generated yet counts as its maximum number of tokens; rare characters stand for such texts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from operator import attrgetter
from typing import TYPE_CHECKING, Any

from pydantic import Field

from thinkgraph.graphs.planning.spent import Spent
from thinkgraph.models.model import Frozen, Message, Model
from thinkgraph.nodes.base.cost import PopulationBounds, RequestBounds, TextBound, token_bound
from thinkgraph.nodes.prompts.prompt import Prompt, PromptError, load_prompt

if TYPE_CHECKING:
    from thinkgraph.models.tuning.speed import Speed

SEAM = 2
"""Additional tokens that a text may have within a prompt, where it joins the prompt's words."""
FIRST_PLACEHOLDER = 0x2A700
"""The first of the rare characters that stand for texts while a prompt is rendered."""


class Overflow(Frozen):
    """A prompt that can't or may not fit in the context together with its completion."""

    node: str
    prompt: int = Field(
        description="maximum number of tokens of the prompt; if `certain`, its tokens with all "
        "earlier texts empty"
    )
    written: int = Field(
        description="maximum number of tokens after the prompt: of the completion or the options"
    )
    certain: bool = Field(
        description="whether the prompt can't fit even if all earlier texts are empty"
    )

    @property
    def rank(self) -> tuple[bool, int]:
        """Sort key: the greater, the worse."""
        return self.certain, self.prompt + self.written


class CostModel:
    """Computes the cost of requests.

    Attributes:
        overflows: by node, the worst prompt that doesn't fit.
        longest: tokens of the longest prompt and its completion.
    """

    def __init__(self, model: Model | None, question: str | None, speed: Speed | None) -> None:
        self._model, self._question, self._speed = model, question, speed
        self._counter = model if question is not None else None
        self.overflows: dict[str, Overflow] = {}
        self.longest = 0
        self._rendered: dict[Any, tuple[int, int]] = {}

    def price(
        self,
        node: str,
        requests: Iterable[RequestBounds],
        population: PopulationBounds,
        params: Mapping[str, Any],
    ) -> Spent:
        """The cost of the requests of one run of a node."""
        total = self._spent(RequestBounds(""), 0, 0)
        for each in requests:
            calls = each.prompts * each.calls * each.turns
            if calls > 0:
                total += self._spent(each, calls, self._prompt(node, each, population, params))
        return total

    def _spent(self, asked: RequestBounds, calls: int, prompt: int) -> Spent:
        counted, beside = self._counter is not None, asked.prompts * asked.calls * bool(calls)
        read = asked.prefix + asked.options
        seconds = None
        if self._speed is not None:
            tokens = asked.prompts * prompt + beside * read
            each = self._speed.seconds(tokens, asked.max_tokens, beside * asked.samples)
            seconds = asked.turns * each if calls else 0.0
        return Spent(
            calls=calls,
            samples=calls * asked.samples,
            tokens=calls * asked.samples * asked.max_tokens,
            prompt_tokens=calls * (prompt + read) if counted else None,
            cells=asked.prompts * prompt + beside * (read + asked.samples * asked.max_tokens)
            if counted
            else None,
            seconds=seconds,
        )

    def _prompt(
        self,
        node: str,
        asked: RequestBounds,
        population: PopulationBounds,
        params: Mapping[str, Any],
    ) -> int:
        """The maximum number of tokens of a prompt; records an overflow if they don't fit."""
        if self._counter is None:
            return 0
        own, texts = self._tokens(self._counter, asked, population, params)
        context = self._counter.context_length
        written = asked.options + asked.max_tokens * (asked.samples > 0)
        whole = own + texts
        if asked.room is not None:
            whole = max(own, min(whole, context - asked.room))
        follows = asked.prefix + written
        self.longest = max(self.longest, min(whole + follows, context))
        certain = own + written > context
        if certain or whole + follows > context:
            shown = own if certain else whole + asked.prefix
            found = Overflow(node=node, prompt=shown, written=written, certain=certain)
            self.overflows[node] = max(
                self.overflows.get(node, found), found, key=attrgetter("rank")
            )
        return whole

    def _tokens(
        self,
        model: Model,
        asked: RequestBounds,
        population: PopulationBounds,
        params: Mapping[str, Any],
    ) -> tuple[int, int]:
        """The tokens of a prompt's own words, and the maximum tokens of the texts in it."""
        prompt = load_prompt(asked.prompt) if isinstance(asked.prompt, str) else asked.prompt
        texts = {**population.fields, **asked.shows}
        texts = {name: text for name, text in texts.items() if name in prompt.variables}
        values = {name: value for name, value in params.items() if name in prompt.variables}
        values["round"] = population.round if "round" in prompt.variables else 0
        key = prompt.model_dump_json(), repr(texts), repr(values)
        if key not in self._rendered:
            values["question"] = self._question
            self._rendered[key] = rendered_tokens(model, prompt, texts, values)
        return self._rendered[key]


def rendered_tokens(
    model: Model, prompt: Prompt, texts: Mapping[str, TextBound], values: Mapping[str, Any]
) -> tuple[int, int]:
    """The tokens of a prompt without the texts that it shows, and the maximum tokens of those."""
    placeholders = Placeholders()
    shown = {name: placeholders.put(text) for name, text in texts.items()}
    try:
        messages = prompt.render({**values, **shown})
    except PromptError:  # it can't be rendered without the texts, so its source is counted
        source = Message(role="user", content=prompt.model_dump_json())
        return 0, model.count_tokens([source]) + token_bound(*texts.values())
    plain = [m.model_copy(update={"content": placeholders.removed(m.content)}) for m in messages]
    return model.count_tokens(plain), sum(placeholders.tokens(m.content) for m in messages)


class Placeholders:
    """Rare characters that stand for texts not yet written, while a prompt is rendered."""

    def __init__(self) -> None:
        self._sizes: list[int] = []

    def put(self, shown: TextBound) -> Any:
        """The value that a template gets for a text or a list; an empty text stays empty."""
        if isinstance(shown, tuple):
            return [self.put(item) for item in shown]
        if isinstance(shown, str) or shown == 0:
            return shown or ""
        if shown not in self._sizes:
            self._sizes.append(shown)
        return chr(FIRST_PLACEHOLDER + self._sizes.index(shown))

    def tokens(self, text: str) -> int:
        """Maximum tokens of the texts that the placeholders in a text stand for."""
        found = enumerate(self._sizes)
        return sum(text.count(chr(FIRST_PLACEHOLDER + i)) * (size + SEAM) for i, size in found)

    def removed(self, text: str) -> str:
        """A text without its placeholders."""
        return text.translate({FIRST_PLACEHOLDER + i: None for i in range(len(self._sizes))})
