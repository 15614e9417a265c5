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
"""The param that is set by the number after ``@``."""
SHOWN = 8
"""Number of samples in the variants that a server lists by default."""
TOOLS = ("self-consistency", "best-of-n", "self-refine", "chain-of-verification", "debate")
"""Default MCP tools; only a few, since an agent reads the descriptions of all."""


@dataclass(frozen=True)
class Chosen:
    """The model and strategy that a request's field ``model`` names.

    Attributes:
        name: the name in the request.
        model: the name of the model.
        graph: the strategy; None for the bare model.
        params: the params that the name sets.
    """

    name: str
    model: str
    graph: Graph | None = None
    params: Mapping[str, Any] = field(default_factory=dict)


class Strategies:
    """The strategies that a server offers.

    Args:
        graphs: the strategies by name.
        variants: further names to list, such as ``self-consistency@8``.
        tools: names of the strategies that are MCP tools; all by default.
        kept: names of the strategies whose defaults are those that `thinkgraph fit` keeps for a
            model.
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
        """Load strategies by built-in name or file, each optionally with ``@N``.

        The default is all built-in and shared strategies without errors, except those that name a
        tool or verifier that isn't bound.

        Args:
            given: the names; if empty, the default.
            hosted: the bound tools and verifiers, as arguments of a run.
            fitted: params files, whose values are the defaults of their strategies; if no names
                are given, strategies that they name by a spec's path are offered too.
            kept: whether the other strategies get the params that `thinkgraph fit` keeps for a
                model.

        Raises:
            ThinkgraphError: a strategy doesn't exist, has errors, or needs a tool or verifier that
                isn't bound; or a params file is for no offered strategy, or for the same one as
                another file.
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
            if not count.isdigit():  # the @ belongs to a path
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
        """All listed names, including variants."""
        return sorted([*self.graphs, *self._variants])

    def find(self, name: str, models: Models) -> Chosen:
        """Resolve a name: ``MODEL``, or ``[MODEL/]STRATEGY[@SAMPLES]``.

        Raises:
            RequestError: status 404: the name is unknown; the message suggests others.
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
        """A strategy with the params kept for a model, as they were at the first request."""
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
        """The strategy that answers chores of chat programs; it need not be offered."""
        return self.graphs.get(name) or _loaded(name)


@cache
def _loaded(name: str) -> Graph:
    return load(name)


def _fitted(graphs: Mapping[str, Graph], files: Iterable[Fitted]) -> dict[str, Graph]:
    """The strategies of params files, with the files' values as defaults."""
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
