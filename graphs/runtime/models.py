"""The models of a run, by the roles that its nodes ask for."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping

from langchain_core.language_models import BaseChatModel

from thinkgraph.models.model import Model

DEFAULT_MODEL = "smollm2"

AnyModel = str | Model | BaseChatModel
"""A name of the catalogue, a model, or a LangChain chat model."""


def default_model() -> str:
    """The model of a run that names none."""
    return os.environ.get("THINKGRAPH_MODEL") or DEFAULT_MODEL


class Roles:
    """The models of a run by their roles, each loaded when it is first asked for.

    Args:
        model: of every role that ``models`` doesn't name; None is THINKGRAPH_MODEL, or smollm2.
        models: a model by its role.
    """

    def __init__(self, model: AnyModel | None, models: Mapping[str, AnyModel] | None) -> None:
        self._model = model or default_model()
        self._models = models or {}
        self._loaded: dict[str, Model] = {}
        self._lock = threading.Lock()

    def __call__(self, role: str) -> Model:
        """The model of a role."""
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
    if isinstance(model, BaseChatModel):
        from thinkgraph.models.backends.langchain import LangChainModel  # noqa: PLC0415

        return LangChainModel(model)
    return model
