"""The strategies of a server, by the names that requests use."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from thinkgraph.fitted import Fitted
from thinkgraph.fitted_store import for_model
from thinkgraph.graphs import catalogue
from thinkgraph.graphs.graph import Graph, load
from thinkgraph.models.errors import ThinkgraphError, did_you_mean
from thinkgraph.nodes.tools.tool import all_tools, bind_tools
from thinkgraph.nodes.tools.verifier import all_verifiers, bind_verifiers
from thinkgraph.serve.errors import RequestError
from thinkgraph.serve.offer.models import Models

_log = logging.getLogger("thinkgraph.serve")

SAMPLES = "samples"
"""The param that the number after an ``@`` sets."""
SHOWN = 8
"""The number of samples of the variants that a server lists by itself."""
TOOLS = ("self-consistency", "best-of-n", "self-refine", "chain-of-verification", "debate")
"""The tools of a server whose strategies nobody has chosen: an agent reads them all."""


@dataclass(frozen=True)
class Chosen:
    """What a request's ``model`` names.

    Attributes:
        name: as it was given.
        model: the name of the model.
        graph: the strategy; None is the bare model.
        params: those that the name sets.
    """

    name: str
    model: str
    graph: Graph | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


class Strategies:
    """What a server offers.

    Args:
        graphs: the strategies by name.
        variants: further names to list, such as ``self-consistency@8``.
        tools: the names of those that are tools of agents; all by default.
        kept: the names of those whose defaults are what `thinkgraph fit` keeps for a model.
    """

    def __init__(
        self,
        graphs: Mapping[str, Graph],
        variants: Iterable[str] = (),
        tools: Iterable[str] | None = None,
        kept: Iterable[str] = (),
    ) -> None:
        self._kept = frozenset(kept)
        self._for_models: dict[tuple[str, str], Graph] = {}
        self.graphs, self._variants = dict(graphs), tuple(variants)
        self.tools = {name: self.graphs[name] for name in (self.graphs if tools is None else tools)}

    @classmethod
    def load(
        cls,
        given: Iterable[str] = (),
        hosted: Mapping[str, Any] | None = None,
        fitted: Iterable[Fitted] = (),
        *,
        kept: bool = False,
    ) -> Strategies:
        """Load strategies: built-in names, files, either with ``@N``.

        By default all built-in and shared ones that have no errors, save those that name a tool or
        verifier that isn't bound.

        Args:
            given: their names.
            hosted: the tools and verifiers that are bound, as arguments of a run.
            fitted: params files, whose values are the defaults of the strategies that they name;
                where no names are given, those of a spec's path are offered beside the others.
            kept: whether the other strategies get what `thinkgraph fit` keeps for a model.

        Raises:
            ThinkgraphError: one doesn't exist, has errors, or needs what isn't bound; or a params
                file is for none of them, or for the same one as another file.
        """
        bound = hosted or {}
        tools = all_tools(bind_tools(bound.get("tools")))
        verifiers = all_verifiers(bind_verifiers(bound.get("verifiers")))
        sources = list(given)
        files = list(fitted)
        own = [file.strategy for file in files if file.strategy not in catalogue.names()]
        names = sources or [*catalogue.names(), *own]
        graphs, variants = {}, []
        for source in names:
            base, at, count = source.rpartition("@")
            if not count.isdigit():  # an @ of a path
                base, at = source, ""
            try:
                graph = load(base)
                if all(param.default is not None for param in graph.spec.params.values()):
                    graph.required().check(graph.name, tools, verifiers)
            except ThinkgraphError as error:
                if sources:
                    raise
                _log.warning("%s isn't offered: %s", base, error)
                continue
            graphs[graph.name] = graph
            if at:
                graph.bind({SAMPLES: count})
                variants.append(f"{graph.name}@{count}")
        replaced = _fitted(graphs, files)
        graphs |= replaced
        if not sources:
            variants = [f"{n}@{SHOWN}" for n, g in graphs.items() if _varies(g)]
        others = graphs.keys() - replaced.keys() if kept else ()
        return cls(graphs, variants, None if sources else TOOLS, others)

    @property
    def names(self) -> list[str]:
        """All names that are listed, variants included."""
        return sorted([*self.graphs, *self._variants])

    def find(self, name: str, models: Models) -> Chosen:
        """What a name stands for: ``MODEL``, or ``[MODEL/]STRATEGY[@SAMPLES]``.

        Raises:
            RequestError: status 404, with what there is.
        """
        if name in models.names:
            return Chosen(name, name)
        model, slash, rest = name.rpartition("/")
        base, at, count = rest.partition("@")
        if base in self.graphs and (not slash or model in models.names):
            params = {SAMPLES: count} if at else {}
            graph = self.graphs[base]
            try:
                graph.bind(params)
            except ThinkgraphError as error:
                if at:
                    raise RequestError(str(error), param="model") from None
            chosen = model or models.default
            return Chosen(name, chosen, self.for_model(base, chosen, models), params)
        known = [*models.names, *self.graphs]
        hint = did_you_mean(rest, known) or "GET /v1/models lists them"
        raise RequestError(
            f"there is no model {name!r}; {hint}", status=404, param="model", code="model_not_found"
        )

    def for_model(self, name: str, model: str, models: Models) -> Graph:
        """A strategy with what is kept for a model, as it was at the first request."""
        file = models.file(model) if name in self._kept else None
        if file is None:
            return self.graphs[name]
        if (name, model) not in self._for_models:
            graph, fitted = for_model(self.graphs[name], file)
            self._for_models[name, model] = graph
            if fitted:
                _log.info("%s", fitted.told)
        return self._for_models[name, model]

    def chores(self, name: str) -> Graph:
        """The strategy that answers a chat program's chores; a built-in one need not be offered."""
        return self.graphs.get(name) or _loaded(name)


@cache
def _loaded(name: str) -> Graph:
    return load(name)


def _fitted(graphs: Mapping[str, Graph], files: Iterable[Fitted]) -> dict[str, Graph]:
    """The strategies that params files are for, with their values as defaults."""
    found: dict[str, Graph] = {}
    for file in files:
        name = next((name for name, graph in graphs.items() if file.is_for(graph)), None)
        if name is None:
            raise ThinkgraphError(
                f"the params file is for {file.name or file.strategy!r}, which isn't offered; "
                f"there are {', '.join(graphs)}"
            )
        if name in found:
            raise ThinkgraphError(f"two params files are for {name!r}; give one")
        found[name] = file.apply(graphs[name])
    return found


def _varies(graph: Graph) -> bool:
    param = graph.spec.params.get(SAMPLES)
    return param is not None and param.default != SHOWN
