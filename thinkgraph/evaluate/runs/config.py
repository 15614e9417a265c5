"""The configuration that all runs of a comparison share, apart from the questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self

from thinkgraph.evaluate.runs.runner import AT_ONCE, Runner
from thinkgraph.evaluate.runs.store import Store
from thinkgraph.models.catalogue import SERVER, load
from thinkgraph.models.model import Model
from thinkgraph.nodes.prompts.prompt import Prompt
from thinkgraph.nodes.tools.host_files import HostFiles

IDLE_CELLS = 512
"""KV cells kept for prompts that come again: in a comparison few do, and each costs every step."""


@dataclass(frozen=True)
class Config:
    """The model of a comparison, and how it is asked.

    Attributes:
        model: a model, or its name.
        settings: of its engine, where it is a name.
        models: the same by role.
        seed: all randomness comes from it.
        prompts: prompts that replace built-in ones of the same name.
        at_once: runs side by side.
        host: the files of the tools and verifiers that specs name.
    """

    model: Model | str
    settings: Mapping[str, Any] = field(default_factory=dict)
    models: Mapping[str, Model | str] = field(default_factory=dict)
    seed: int = 0
    prompts: Mapping[str, Prompt] = field(default_factory=dict)
    at_once: int = AT_ONCE
    host: HostFiles = field(default_factory=HostFiles)

    @property
    def name(self) -> str:
        """The name of the model."""
        return self.model if isinstance(self.model, str) else self.model.name

    def preferring(self, **settings: Any) -> Self:
        """The same with settings of the engine, where it has one and they weren't given."""
        if self.name.startswith(SERVER):
            return self
        return replace(self, settings={**settings, **self.settings})

    def runner(self, store: Store, hosted: Mapping[str, Any]) -> Runner:
        """A runner on this process's engine.

        Args:
            store: keeps what is computed.
            hosted: the tools and verifiers, as ``host.open()`` gives them.

        Raises:
            ModelError: a model can't be found or opened.
        """
        settings = self.preferring(idle_cells=IDLE_CELLS).settings
        model = _opened(self.model, **settings)
        roles = {role: _opened(name) for role, name in self.models.items()}
        return Runner(
            model, store, self.seed, roles, self.prompts, self.at_once, hosted, self.host.texts
        )


def _opened(model: Model | str, **settings: Any) -> Model:
    return load(model, **settings) if isinstance(model, str) else model
