"""Adapts a LangChain chat model, or a Runnable around one, with its settings as defaults."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from langchain_core.runnables import Runnable
from langchain_core.runnables.base import RunnableBindingBase

from thinkgraph.models.backends.langchain import LangChainModel
from thinkgraph.models.chat import ChatGGUF
from thinkgraph.models.model import Generation, Message, Model, ModelRequest, Usage


def from_langchain(model: Runnable[Any, Any]) -> Model:
    """Adapt a LangChain chat model for use by nodes.

    It may be wrapped by ``bind()``, ``with_config()``, ``with_retry()`` or ``with_fallbacks()``. A
    :class:`~thinkgraph.models.chat.ChatGGUF` is replaced by its underlying model; what was bound to
    it, and its own sampling settings, are the defaults for settings that a node doesn't give.
    """
    bound: dict[str, Any] = {}
    for layer in _bindings(model):
        bound = {**layer.kwargs, **bound}
    inner = innermost(model)
    if isinstance(inner, ChatGGUF):
        return ModelWithDefaults(inner.open(), inner.given_sampling(bound))
    return LangChainModel(model)


def innermost(model: Any) -> Any:
    """The chat model wrapped by ``bind()`` and ``with_config()``."""
    bindings = list(_bindings(model))
    return bindings[-1].bound if bindings else model


def _bindings(model: Any) -> Iterator[RunnableBindingBase[Any, Any]]:
    while isinstance(model, RunnableBindingBase):
        yield model
        model = model.bound


class ModelWithDefaults:
    """A model with default sampling settings for what a request doesn't set.

    Args:
        model: the underlying model.
        defaults: fields of :class:`~thinkgraph.models.model.Sampling`.
    """

    def __init__(self, model: Model, defaults: Mapping[str, Any]) -> None:
        self._model, self._defaults = model, defaults

    @property
    def name(self) -> str:
        """The model's name."""
        return self._model.name

    @property
    def context_length(self) -> int:
        """Maximum number of tokens of a prompt and one completion together."""
        return self._model.context_length

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """The length in tokens of the rendered prompt."""
        return self._model.count_tokens(messages)

    def __getattr__(self, name: str) -> Any:
        """Return any other attribute of the model."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._model, name)

    def generate(self, request: ModelRequest) -> Generation:
        """Sample with the request's settings, completed by the defaults."""
        return self._model.generate(self._completed(request))

    async def choose(
        self, request: ModelRequest, options: Sequence[str]
    ) -> tuple[list[float], Usage]:
        """The probability of each option."""
        return await self._model.choose(self._completed(request), options)

    def _completed(self, request: ModelRequest) -> ModelRequest:
        given = request.sampling.model_fields_set
        missing = {name: value for name, value in self._defaults.items() if name not in given}
        return replace(request, sampling=request.sampling.model_copy(update=missing))
