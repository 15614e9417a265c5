"""The models of a run, by the roles of its nodes, loaded on first use."""

from __future__ import annotations

import asyncio
import os
import threading
from asyncio import AbstractEventLoop
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from langchain_core.language_models import BaseChatModel
from langchain_core.runnables import Runnable

from thinkgraph.models.arguments import ArgumentError
from thinkgraph.models.capabilities import HOSTED, Capability
from thinkgraph.models.catalogue import SERVER, SHORT_NAMES
from thinkgraph.models.model import Model

DEFAULT_MODEL = "smollm2"

AnyModel = str | Model | Runnable[Any, Any]
"""A name of the catalogue, a model, or a LangChain chat model (also one with ``with_retry()``,
``with_fallbacks()`` or ``bind()``)."""


def default_model() -> str:
    """The model of a run for which none is given."""
    return os.environ.get("THINKGRAPH_MODEL") or DEFAULT_MODEL


REWARDS: frozenset[Capability] = frozenset({"rewards"})
"""The capabilities that models that generate text lack."""


class Roles:
    """The models of a run by role, each loaded on first use.

    Args:
        model: the model of all roles that ``models`` doesn't name; None is THINKGRAPH_MODEL, or
            smollm2.
        models: models by role.
    """

    def __init__(self, model: AnyModel | None, models: Mapping[str, AnyModel] | None) -> None:
        self._model = model or default_model()
        self._models = models or {}
        self._loaded: dict[str, Model] = {}
        self._lock = threading.Lock()
        self._opening: WeakKeyDictionary[AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    def lacks(self, role: str) -> frozenset[Capability]:
        """The capabilities that the model of a role lacks, as far as its name or class shows."""
        return lacking(self._models.get(role, self._model))

    async def open(self, role: str) -> None:
        """Load the model of a role, which may take seconds, without blocking the event loop.

        Nodes that wait for a model continue in the order of their calls, so that runs are
        reproducible.
        """
        if self._is_open(role):
            return
        async with self._opening.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            if not self._is_open(role):
                await asyncio.to_thread(self, role)

    def _is_open(self, role: str) -> bool:
        return role in self._loaded or not isinstance(self._models.get(role, self._model), str)

    def __call__(self, role: str) -> Model:
        """The model of a role, loaded on first use."""
        with self._lock:
            if role not in self._loaded:
                self._loaded[role] = _loaded(self._models.get(role, self._model))
            return self._loaded[role]

    @property
    def name(self) -> str:
        """The name of the run's model."""
        return self._model if isinstance(self._model, str) else _loaded(self._model).name


def _loaded(model: AnyModel) -> Model:
    if isinstance(model, str):
        from thinkgraph.models.catalogue import load  # noqa: PLC0415 (the engine is slow to import)

        return load(model)
    if isinstance(model, Runnable):
        from thinkgraph.models.backends.from_langchain import from_langchain  # noqa: PLC0415

        return from_langchain(model)
    if not hasattr(model, "generate"):
        raise ArgumentError(
            "a model is a name of the catalogue, an open model or a LangChain chat model, "
            f"not {model!r}"
        )
    return model


def lacking(model: Any) -> frozenset[Capability]:
    """The capabilities that a model lacks, as far as its name or class shows.

    Args:
        model: a name of the catalogue, an open model or a LangChain chat model; it isn't loaded.
    """
    if isinstance(model, str):
        if model.startswith(SERVER):
            return HOSTED
        # The short names are of chat models; another file may have a classification head.
        return REWARDS if any(model == short.name for short in SHORT_NAMES) else frozenset()
    found: frozenset[Capability] | None = getattr(model, "lacks", None)
    if found is not None:
        return found
    if not isinstance(model, Runnable):
        return frozenset() if model is None or hasattr(model, "rate") else REWARDS
    from thinkgraph.models.backends.from_langchain import innermost  # noqa: PLC0415
    from thinkgraph.models.chat import ChatGGUF  # noqa: PLC0415

    inner = innermost(model)
    if isinstance(inner, ChatGGUF):
        return frozenset()
    own = getattr(type(inner), "bind_tools", BaseChatModel.bind_tools)
    return HOSTED if own is not BaseChatModel.bind_tools else HOSTED | {"tools"}
