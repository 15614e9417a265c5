"""The public API of thinkgraph: reasoning strategies as graphs, run on a local GGUF model.

Only the names in ``__all__`` are stable API; docs/api.md describes them. Each is imported at its
first use, so that importing the package is fast.
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from thinkgraph.fitted import Fitted as Fitted
    from thinkgraph.fitted import read_fitted as read_fitted
    from thinkgraph.fitted_store import for_model as for_model
    from thinkgraph.graphs.graph import Graph as Graph
    from thinkgraph.graphs.graph import load as load
    from thinkgraph.graphs.graph import use as use
    from thinkgraph.graphs.language.problem import SpecError as SpecError
    from thinkgraph.graphs.language.spec import END as END
    from thinkgraph.graphs.language.spec import START as START
    from thinkgraph.graphs.language.spec import Input as Input
    from thinkgraph.graphs.language.spec import Limits as Limits
    from thinkgraph.graphs.language.spec import NodeSpec as NodeSpec
    from thinkgraph.graphs.language.spec import Output as Output
    from thinkgraph.graphs.language.spec import Param as Param
    from thinkgraph.graphs.language.spec import Spec as Spec
    from thinkgraph.graphs.language.spec import StateField as StateField
    from thinkgraph.graphs.record import RunUsage as RunUsage
    from thinkgraph.graphs.runtime.context import Context as Context
    from thinkgraph.graphs.runtime.result import Finished as Finished
    from thinkgraph.graphs.runtime.result import OutputMismatch as OutputMismatch
    from thinkgraph.graphs.runtime.result import Result as Result
    from thinkgraph.graphs.runtime.run import Interrupted as Interrupted
    from thinkgraph.models import catalogue as _catalogue
    from thinkgraph.models.chat import ChatGGUF as ChatGGUF
    from thinkgraph.models.engine.settings import EngineSettings as EngineSettings
    from thinkgraph.models.errors import ModelError as ModelError
    from thinkgraph.models.errors import ThinkgraphError as ThinkgraphError
    from thinkgraph.models.model import Budget as Budget
    from thinkgraph.models.model import Completion as Completion
    from thinkgraph.models.model import Confidence as Confidence
    from thinkgraph.models.model import Delta as Delta
    from thinkgraph.models.model import Generation as Generation
    from thinkgraph.models.model import Message as Message
    from thinkgraph.models.model import Model as Model
    from thinkgraph.models.model import ModelRequest as ModelRequest
    from thinkgraph.models.model import Sampling as Sampling
    from thinkgraph.models.model import Tagged as Tagged
    from thinkgraph.models.model import TokenLogprob as TokenLogprob
    from thinkgraph.models.model import Usage as Usage
    from thinkgraph.nodes.answers import AnswerClass as AnswerClass
    from thinkgraph.nodes.answers import Tally as Tally
    from thinkgraph.nodes.answers import equal as equal
    from thinkgraph.nodes.answers import extract as extract
    from thinkgraph.nodes.base.cost import Cost as Cost
    from thinkgraph.nodes.base.cost import PopulationBounds as PopulationBounds
    from thinkgraph.nodes.base.cost import RequestBounds as RequestBounds
    from thinkgraph.nodes.base.node import Node as Node
    from thinkgraph.nodes.base.param import param as param
    from thinkgraph.nodes.budget_forcing import Thinking as Thinking
    from thinkgraph.nodes.event import AnswerReached as AnswerReached
    from thinkgraph.nodes.event import CandidateUpdated as CandidateUpdated
    from thinkgraph.nodes.event import CritiqueAdded as CritiqueAdded
    from thinkgraph.nodes.event import NodeEvent as NodeEvent
    from thinkgraph.nodes.event import NodeStarted as NodeStarted
    from thinkgraph.nodes.event import TextDelta as TextDelta
    from thinkgraph.nodes.event import ToolCalled as ToolCalled
    from thinkgraph.nodes.function_node import node_kind as node_kind
    from thinkgraph.nodes.kinds.act import Act as Act
    from thinkgraph.nodes.kinds.ask import Ask as Ask
    from thinkgraph.nodes.kinds.calculate import Calculate as Calculate
    from thinkgraph.nodes.kinds.choose import Choose as Choose
    from thinkgraph.nodes.kinds.critique import Critique as Critique
    from thinkgraph.nodes.kinds.expand import Expand as Expand
    from thinkgraph.nodes.kinds.generate import Generate as Generate
    from thinkgraph.nodes.kinds.review import Review as Review
    from thinkgraph.nodes.kinds.revise import Revise as Revise
    from thinkgraph.nodes.kinds.score import Score as Score
    from thinkgraph.nodes.kinds.search import Search as Search
    from thinkgraph.nodes.kinds.select import Select as Select
    from thinkgraph.nodes.kinds.synthesize import Synthesize as Synthesize
    from thinkgraph.nodes.kinds.vote import Vote as Vote
    from thinkgraph.nodes.population import Answer as Answer
    from thinkgraph.nodes.population import CallRecord as CallRecord
    from thinkgraph.nodes.population import Candidate as Candidate
    from thinkgraph.nodes.population import Criticism as Criticism
    from thinkgraph.nodes.population import State as State
    from thinkgraph.nodes.population import Update as Update
    from thinkgraph.nodes.prompts.prompt import Prompt as Prompt
    from thinkgraph.nodes.registry import register as register
    from thinkgraph.nodes.step import Step as Step
    from thinkgraph.nodes.tools.mcp import mcp_tools as mcp_tools
    from thinkgraph.nodes.tools.tool import ToolFactory as ToolFactory

    load_model = _catalogue.load

_EXPORTS = {
    "fitted": ["Fitted", "read_fitted"],
    "fitted_store": ["for_model"],
    "graphs.graph": ["Graph", "load", "use"],
    "graphs.language.problem": ["SpecError"],
    "graphs.language.spec": [
        "END",
        "Input",
        "Limits",
        "NodeSpec",
        "Output",
        "Param",
        "START",
        "Spec",
        "StateField",
    ],
    "graphs.record": ["RunUsage"],
    "graphs.runtime.result": ["Finished", "OutputMismatch", "Result"],
    "graphs.runtime.run": ["Interrupted"],
    "graphs.runtime.context": ["Context"],
    "models.catalogue": ["load_model"],
    "models.chat": ["ChatGGUF"],
    "models.engine.settings": ["EngineSettings"],
    "models.errors": ["ModelError", "ThinkgraphError"],
    "models.model": [
        "Budget",
        "Completion",
        "Confidence",
        "Delta",
        "Generation",
        "Message",
        "Model",
        "ModelRequest",
        "Sampling",
        "Tagged",
        "TokenLogprob",
        "Usage",
    ],
    "nodes.answers": ["AnswerClass", "Tally", "equal", "extract"],
    "nodes.base.cost": ["Cost", "PopulationBounds", "RequestBounds"],
    "nodes.base.node": ["Node"],
    "nodes.base.param": ["param"],
    "nodes.budget_forcing": ["Thinking"],
    "nodes.event": [
        "AnswerReached",
        "CritiqueAdded",
        "CandidateUpdated",
        "TextDelta",
        "NodeEvent",
        "NodeStarted",
        "ToolCalled",
    ],
    "nodes.function_node": ["node_kind"],
    "nodes.kinds.act": ["Act"],
    "nodes.kinds.ask": ["Ask"],
    "nodes.kinds.calculate": ["Calculate"],
    "nodes.kinds.choose": ["Choose"],
    "nodes.kinds.critique": ["Critique"],
    "nodes.kinds.expand": ["Expand"],
    "nodes.kinds.generate": ["Generate"],
    "nodes.kinds.review": ["Review"],
    "nodes.kinds.revise": ["Revise"],
    "nodes.kinds.score": ["Score"],
    "nodes.kinds.search": ["Search"],
    "nodes.kinds.select": ["Select"],
    "nodes.kinds.synthesize": ["Synthesize"],
    "nodes.kinds.vote": ["Vote"],
    "nodes.population": ["Answer", "CallRecord", "Candidate", "Criticism", "State", "Update"],
    "nodes.prompts.prompt": ["Prompt"],
    "nodes.registry": ["register"],
    "nodes.step": ["Step"],
    "nodes.tools.mcp": ["mcp_tools"],
    "nodes.tools.tool": ["ToolFactory"],
}
_MODULES = {name: module for module, names in _EXPORTS.items() for name in names}
_ELSEWHERE = {"load_model": "load"}
"""Names that differ in their modules."""
__all__ = sorted(_MODULES)  # noqa: PLE0605 (the names above)


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        module = import_module(f"{__name__}.{_MODULES[name]}")
        return getattr(module, _ELSEWHERE.get(name, name))
    from thinkgraph.models.errors import did_you_mean  # noqa: PLC0415 (only for a misspelt name)

    hint = did_you_mean(name, _MODULES)
    # `from thinkgraph import NAME` discards an AttributeError's message and tries a submodule.
    importing = sys._getframe(1).f_code.co_name == "_handle_fromlist"
    if hint and importing and not find_spec(f"{__name__}.{name}"):
        raise ImportError(f"cannot import name {name!r} from {__name__!r}; {hint}", name=__name__)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}{hint and f'; {hint}'}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULES})
