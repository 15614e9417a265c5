"""Reasoning strategies as graphs, run on a local GGUF model.

What is here is loaded when it is first used, so that importing the package costs little.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thinkgraph.graphs.graph import Graph as Graph
    from thinkgraph.graphs.graph import load as load
    from thinkgraph.graphs.graph import use as use
    from thinkgraph.graphs.result import Result as Result
    from thinkgraph.graphs.spec import END as END
    from thinkgraph.graphs.spec import START as START
    from thinkgraph.graphs.spec import Spec as Spec
    from thinkgraph.models.errors import ThinkgraphError as ThinkgraphError
    from thinkgraph.models.model import Budget as Budget
    from thinkgraph.models.model import Message as Message
    from thinkgraph.nodes.ask import Ask as Ask
    from thinkgraph.nodes.calculate import Calculate as Calculate
    from thinkgraph.nodes.choose import Choose as Choose
    from thinkgraph.nodes.critique import Critique as Critique
    from thinkgraph.nodes.expand import Expand as Expand
    from thinkgraph.nodes.function import node_kind as node_kind
    from thinkgraph.nodes.generate import Generate as Generate
    from thinkgraph.nodes.node import Node as Node
    from thinkgraph.nodes.node import register as register
    from thinkgraph.nodes.param import param as param
    from thinkgraph.nodes.prompt import Prompt as Prompt
    from thinkgraph.nodes.revise import Revise as Revise
    from thinkgraph.nodes.score import Score as Score
    from thinkgraph.nodes.search import Search as Search
    from thinkgraph.nodes.select import Select as Select
    from thinkgraph.nodes.synthesize import Synthesize as Synthesize
    from thinkgraph.nodes.thinking import Thinking as Thinking
    from thinkgraph.nodes.vote import Vote as Vote

_HOMES = {
    "Graph": "graphs.graph",
    "load": "graphs.graph",
    "use": "graphs.graph",
    "Result": "graphs.result",
    "END": "graphs.spec",
    "START": "graphs.spec",
    "Spec": "graphs.spec",
    "ThinkgraphError": "models.errors",
    "Budget": "models.model",
    "Message": "models.model",
    "Ask": "nodes.ask",
    "Calculate": "nodes.calculate",
    "Choose": "nodes.choose",
    "Expand": "nodes.expand",
    "Score": "nodes.score",
    "Search": "nodes.search",
    "Select": "nodes.select",
    "Synthesize": "nodes.synthesize",
    "Thinking": "nodes.thinking",
    "Critique": "nodes.critique",
    "node_kind": "nodes.function",
    "Generate": "nodes.generate",
    "Node": "nodes.node",
    "register": "nodes.node",
    "param": "nodes.param",
    "Prompt": "nodes.prompt",
    "Revise": "nodes.revise",
    "Vote": "nodes.vote",
}
__all__ = sorted(_HOMES)  # noqa: PLE0605 (the names above)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_HOMES})
