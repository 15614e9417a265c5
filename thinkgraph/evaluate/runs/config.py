"""The configuration that all runs of a comparison share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Self, cast

from thinkgraph.evaluate.runs.runner import AT_ONCE, Runner
from thinkgraph.evaluate.runs.store import Store
from thinkgraph.models.catalogue import SERVER, load
from thinkgraph.models.model import Model
from thinkgraph.nodes.prompts.prompt import Prompt
from thinkgraph.nodes.tools.host_files import HostFiles

IDLE_CELLS = 512
"""KV cells for cached prompts: few prompts recur in a comparison, and each cell slows all steps."""


@dataclass(frozen=True)
class Config:
    """The model of a comparison, and the settings of its runs.

    Attributes:
        model: a model, or its name.
        settings: engine settings, used if the model is given by name.
        models: further models or names, by role.
        seed: the source of all randomness.
        prompts: prompts that replace built-in ones of the same name.
        at_once: number of concurrent runs.
        host: the files with the tools and verifiers that specs name.
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
        """A copy with default engine settings; unchanged for models behind an endpoint."""
        if self.name.startswith(SERVER):
            return self
        return replace(self, settings={**settings, **self.settings})

    def runner(self, store: Store, hosted: Mapping[str, Any]) -> Runner:
        """A runner with an engine in this process.

        Args:
            store: stores the results.
            hosted: the tools and verifiers, as ``host.open()`` gives them.

        Raises:
            ModelError: a model can't be found or opened.
        """
        own = self.opened()
        model, roles = cast(Model, own.model), cast(Mapping[str, Model], own.models)
        return Runner(
            model, store, self.seed, roles, self.prompts, self.at_once, hosted, self.host.texts
        )

    def opened(self) -> Self:
        """The same with its models loaded.

        Raises:
            ModelError: a model can't be found or opened.
        """
        settings = self.preferring(idle_cells=IDLE_CELLS).settings
        roles = {role: _opened(name) for role, name in self.models.items()}
        return replace(self, model=_opened(self.model, **settings), models=roles)


def _opened(model: Model | str, **settings: Any) -> Model:
    return load(model, **settings) if isinstance(model, str) else model
