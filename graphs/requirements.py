"""What a spec needs of its host, by name: tools and verifiers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field

from thinkgraph.graphs.language.spec import Scalar, Spec
from thinkgraph.models.errors import ThinkgraphError, did_you_mean
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.base.param import bind
from thinkgraph.nodes.registry import node_kinds

HOW = {
    "tool": "give it by tools={{{name!r}: …}}, or --tools FILE.py",
    "verifier": "give it by verifiers={{{name!r}: …}}, or --verifiers FILE.py",
}


class Unbound(ThinkgraphError):
    """A spec names tools or verifiers that nobody has given."""


@dataclass
class Requirements:
    """Names that the nodes of a graph have for objects of the host's.

    Attributes:
        tools: by name, the nodes that want it.
        verifiers: the same.
    """

    tools: dict[str, list[str]] = field(default_factory=dict)
    verifiers: dict[str, list[str]] = field(default_factory=dict)

    def unbound(self, tools: Collection[str], verifiers: Collection[str]) -> list[str]:
        """What is wanted and not there: a sentence for each name."""
        return [
            *_missing("tool", self.tools, tools),
            *_missing("verifier", self.verifiers, verifiers),
        ]

    def check(self, graph: str, tools: Collection[str], verifiers: Collection[str]) -> None:
        """Refuse a run that wants what nobody has given.

        Args:
            graph: its name.
            tools: the names of those that there are.
            verifiers: the same.

        Raises:
            Unbound: with every such name.
        """
        if missing := self.unbound(tools, verifiers):
            raise Unbound("\n".join(f"graph {graph!r}: {each}" for each in missing))


def _missing(what: str, wanted: Mapping[str, list[str]], known: Collection[str]) -> list[str]:
    return [
        f"node {nodes[0]!r} needs the {what} {name!r}, which is not bound; "
        + (did_you_mean(name, known) or HOW[what].format(name=name))
        for name, nodes in wanted.items()
        if name not in known
    ]


def requirements(
    spec: Spec, params: Mapping[str, Scalar], used: Callable[[str], Spec], scope: str = ""
) -> Requirements:
    """What a graph, and those that it uses, need of the host.

    Args:
        spec: the graph, checked.
        params: the values of its params.
        used: the spec that a ``use`` names.
        scope: goes before the names of its nodes.
    """
    found, kinds = Requirements(), node_kinds()
    for name, node in spec.nodes.items():
        if (use := node.used) is not None:
            inner = used(use.graph)
            values = inner.bind(bind(use.params, params))
            within = requirements(inner, values, used, f"{scope}{name}/")
            _add(found.tools, within.tools)
            _add(found.verifiers, within.verifiers)
        elif _may_want(kinds[str(node.kind)]):
            bound = kinds[str(node.kind)].model_validate(bind(node.settings, params))
            _add(found.tools, {each: [scope + name] for each in bound.tools_wanted})
            _add(found.verifiers, {each: [scope + name] for each in bound.verifiers_wanted})
    return found


def _may_want(kind: type[Node]) -> bool:
    own = (kind.tools_wanted, kind.verifiers_wanted)
    return own != (Node.tools_wanted, Node.verifiers_wanted)


def _add(found: dict[str, list[str]], more: Mapping[str, list[str]]) -> None:
    for name, nodes in more.items():
        found.setdefault(name, []).extend(nodes)
