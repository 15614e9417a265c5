"""The record of a finished run: its answer, its candidates and what it cost, as plain data."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from thinkgraph.graphs.language.spec import Scalar, Spec
from thinkgraph.models.model import Frozen, Usage
from thinkgraph.nodes.population import Answer, Candidate, Criticism
from thinkgraph.nodes.request import RequestRecord


class RunUsage(Usage):
    """The usage and duration of a run, or of one run of a node."""

    wall_s: float = Field(0.0, description="seconds from its start to its end")
    failures: tuple[str, ...] = Field((), description="requests that failed while others went on")


class RunRecord(Frozen):
    """The data of a finished run, from which reports and drawings are made; base of ``Result``."""

    graph: str
    model: str
    seed: int
    question: str
    answer: Answer
    output: Any = Field(None, description="of the spec's output: the answer, or a state field")
    candidates: tuple[Candidate, ...] = Field(description="all of them, the retired ones too")
    critiques: tuple[Criticism, ...] = ()
    usage: RunUsage
    nodes: dict[str, RunUsage] = Field(default_factory=dict, description="usage by NODE.ROUND")
    spec: Spec | None = Field(None, description="the graph that was run")
    params: dict[str, Scalar] = Field(default_factory=dict, description="with their values")
    inputs: dict[str, Any] = Field(
        default_factory=dict, description="with their values, without the question"
    )
    counts: dict[str, int] = Field(
        default_factory=dict, description="runs of each node, and passes of each decided edge"
    )
    requests: tuple[RequestRecord, ...] = Field(
        (), description="what was sent to the models and what came of it, as each ended"
    )
    cut: str | None = Field(None, description="why the run was cut short, if it was")
