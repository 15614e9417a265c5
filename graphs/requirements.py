"""Requirements of a spec: tools and verifiers by name, and capabilities of models."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TypeVar

from thinkgraph.graphs.language.spec import ITEM, Scalar, Spec
from thinkgraph.models.capabilities import ABOUT as CAPABILITIES
from thinkgraph.models.capabilities import Capability
from thinkgraph.models.errors import ModelError, ThinkgraphError, did_you_mean
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.base.param import bind
from thinkgraph.nodes.base.sampling_node import CandidateNode
from thinkgraph.nodes.quality import OF_ENTROPIES
from thinkgraph.nodes.registry import node_kinds
from thinkgraph.nodes.tools.python import INSTALL
from thinkgraph.nodes.tools.tool import BUILT_IN

K = TypeVar("K")
Lacks = Callable[[str], frozenset[Capability]]
"""Returns the capabilities that the model of a role lacks."""
HOW = {
    "tool": "give it by tools={{{name!r}: …}}, or --tools FILE.py",
    "verifier": "give it by verifiers={{{name!r}: …}}, or --verifiers FILE.py",
}


class Incapable(ModelError):
    """A model lacks a capability that a node needs."""


class Unbound(ThinkgraphError):
    """A spec names tools or verifiers that are not bound."""


@dataclass
class Requirements:
    """What the nodes of a graph, and of the graphs that it uses, require of the host.

    Attributes:
        tools: by tool, the nodes that need it.
        verifiers: by verifier, the nodes that need it.
        capabilities: by model role and capability, the nodes that need it.
        persons: the nodes that ask a person.
        prompts: by built-in prompt, the nodes that use it.
        variables: by node, the variables that its prompts may use.
        undemanding: by node, settings that need fewer capabilities, and the ones still needed.
    """

    tools: dict[str, list[str]] = field(default_factory=dict)
    verifiers: dict[str, list[str]] = field(default_factory=dict)
    capabilities: dict[tuple[str, Capability], list[str]] = field(default_factory=dict)
    persons: list[str] = field(default_factory=list)
    prompts: dict[str, list[str]] = field(default_factory=dict)
    variables: dict[str, frozenset[str]] = field(default_factory=dict)
    undemanding: dict[str, tuple[str, frozenset[Capability]]] = field(default_factory=dict)

    def missing(self, lacks: Lacks) -> dict[tuple[str, Capability], list[str]]:
        """The needed capabilities that the models lack, by role, with the nodes that need them.

        Args:
            lacks: returns the capabilities that the model of a role lacks.
        """
        return {
            (role, capability): nodes
            for (role, capability), nodes in self.capabilities.items()
            if capability in lacks(role)
        }

    def less_demanding(self, lacks: Lacks) -> list[str]:
        """Node settings with which the models suffice, as in a spec; empty if there are none.

        Args:
            lacks: returns the capabilities that the model of a role lacks.
        """
        found: dict[str, str] = {}
        for (role, _), nodes in self.missing(lacks).items():
            for node in nodes:
                setting, needs = self.undemanding.get(node, ("", lacks(role)))
                if needs & lacks(role):
                    return []
                found[node] = f"`{setting}` in node {node!r}"
        return list(found.values())

    def unbound(self, tools: Collection[str], verifiers: Collection[str]) -> list[str]:
        """A message for each needed tool and verifier that is not available."""
        return [
            *_missing("tool", self.tools, tools),
            *_missing("verifier", self.verifiers, verifiers),
        ]

    def check(self, graph: str, tools: Collection[str], verifiers: Collection[str]) -> None:
        """Check that all needed tools and verifiers are available.

        Args:
            graph: the graph's name, for the message.
            tools: names of the available tools.
            verifiers: names of the available verifiers.

        Raises:
            Unbound: some are missing; the message lists all of them.
        """
        if missing := self.unbound(tools, verifiers):
            raise Unbound("\n".join(f"graph {graph!r}: {each}" for each in missing))


def _missing(what: str, wanted: Mapping[str, list[str]], known: Collection[str]) -> list[str]:
    return [
        f"node {nodes[0]!r} needs the {what} {name!r}, which is not bound; "
        + (did_you_mean(name, known) or _way_out(what, name))
        for name, nodes in wanted.items()
        if name not in known
    ]


def _way_out(what: str, name: str) -> str:
    if what == "tool" and name in BUILT_IN:
        return INSTALL
    return HOW[what].format(name=name)


def requirements(
    spec: Spec,
    params: Mapping[str, Scalar],
    used: Callable[[str], Spec],
    scope: str = "",
    *,
    sure: bool = False,
) -> Requirements:
    """Collect the requirements of a graph and of the graphs that it uses.

    Args:
        spec: the graph, checked.
        params: the values of its params.
        used: returns the spec that a ``use`` names.
        scope: prefix of the node names.
        sure: whether a graph that uses it measures candidates by their entropies.
    """
    found, kinds = Requirements(), node_kinds()
    fields = {"question", "round", ITEM, *spec.params, *spec.inputs, *spec.state}
    sure = sure or measures_entropies(spec, params, used)
    for name, node in spec.nodes.items():
        if (use := node.used) is not None:
            inner = used(use.graph)
            values = inner.bind(bind(use.params, params))
            within = requirements(inner, values, used, f"{scope}{name}/", sure=sure)
            _add(found.tools, within.tools)
            _add(found.verifiers, within.verifiers)
            _add(found.capabilities, within.capabilities)
            found.persons += within.persons
            _add(found.prompts, within.prompts)
            found.undemanding |= within.undemanding
            found.variables |= within.variables
        else:
            bound = kinds[str(node.kind)].model_validate(bind(node.settings, params))
            bound = with_confidence(bound) if sure else bound
            _add(found.tools, {each: [scope + name] for each in bound.tools_wanted})
            _add(found.verifiers, {each: [scope + name] for each in bound.verifiers_wanted})
            for role in bound.model_roles or ("",):
                _add(found.capabilities, {(role, each): [scope + name] for each in bound.needs})
            found.persons += [scope + name] * bound.asks_person
            _add(found.prompts, {each: [scope + name] for each in bound.prompts_used})
            found.variables[scope + name] = bound.variables | fields
            less = bound.model_copy(update=dict(bound.undemanding))
            settings = ", ".join(f"{setting}: {v}" for setting, v in bound.undemanding.items())
            if less.needs < bound.needs:
                found.undemanding[scope + name] = settings, less.needs
    return found


def measures_entropies(
    spec: Spec, params: Mapping[str, Scalar], used: Callable[[str], Spec]
) -> bool:
    """Whether a node of a graph, or of one that it uses, measures candidates by their entropies."""
    for node in spec.nodes.values():
        if (use := node.used) is not None:
            inner = used(use.graph)
            if measures_entropies(inner, inner.bind(bind(use.params, params)), used):
                return True
        elif bind(node.settings.get("by"), params) in OF_ENTROPIES:
            return True
    return False


def with_confidence(node: Node) -> Node:
    """The node with ``confidence`` enabled, if it writes candidates and doesn't set it itself."""
    if not isinstance(node, CandidateNode) or "confidence" in node.model_fields_set:
        return node
    return node.model_copy(update={"confidence": True})


def check_models(
    spec: Spec,
    params: Mapping[str, Scalar],
    used: Callable[[str], Spec],
    lacks: Lacks,
    found: Requirements | None = None,
) -> None:
    """Check that the models have the capabilities that the nodes need.

    Args:
        spec: the graph, checked.
        params: the values of its params.
        used: returns the spec that a ``use`` names.
        lacks: returns the capabilities that the model of a role lacks.
        found: the graph's requirements, if already known.

    Raises:
        Incapable: a model lacks a capability; the message says how to do without it.
    """
    if told := incapable(spec, params, used, lacks, found):
        raise Incapable(f"graph {spec.name!r}: " + "\n".join(told))


def incapable(
    spec: Spec,
    params: Mapping[str, Scalar],
    used: Callable[[str], Spec],
    lacks: Lacks,
    found: Requirements | None = None,
) -> list[str]:
    """A message for each missing capability; the last one says how to do without them."""
    found = found or requirements(spec, params, used)
    missing = found.missing(lacks)
    if not missing:
        return []
    told = [
        f"node {nodes[0]!r} needs {CAPABILITIES[capability]}, which the "
        f"{f'model of the role {role!r}' if role else 'model'} doesn't give"
        for (role, capability), nodes in missing.items()
    ]
    scores = any(capability == "rewards" for _, capability in missing)
    gguf = "use a GGUF with a classification head" if scores else "use a GGUF model"
    ways_out = [*remedies(spec, params, used, lacks, found), gguf]
    before, last = ways_out[:-1], ways_out[-1]
    way_out = f"set {' or '.join(before)}, or {last}" if before else last
    return [*told[:-1], f"{told[-1]}; {way_out}"]


def remedies(
    spec: Spec,
    params: Mapping[str, Scalar],
    used: Callable[[str], Spec],
    lacks: Lacks,
    found: Requirements,
) -> list[str]:
    """Params, or else node settings, with which the models suffice; empty if none are known."""
    options = [
        f"-p {name}={value}"
        for name, value in _alternatives(spec, params)
        if not requirements(spec, {**params, name: value}, used).missing(lacks)
    ]
    settings = found.less_demanding(lacks)
    return options or ([" and ".join(settings)] if settings else [])


def _alternatives(spec: Spec, params: Mapping[str, Scalar]) -> Iterator[tuple[str, Scalar]]:
    """The other values of all params that have ``choices``."""
    for name, param in spec.params.items():
        for value in param.choices or ():
            if value != params[name]:
                yield name, value


def _add(found: dict[K, list[str]], more: Mapping[K, list[str]]) -> None:
    for name, nodes in more.items():
        found.setdefault(name, []).extend(nodes)
