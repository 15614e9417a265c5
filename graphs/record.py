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

    wall_s: float = Field(0.0, description="wall time from start to end, in seconds")
    failures: tuple[str, ...] = Field(
        (), description="messages about failures that did not end the run"
    )


class RunRecord(Frozen):
    """The data of a finished run, from which reports and drawings are made; base of ``Result``."""

    graph: str
    model: str
    seed: int
    question: str
    answer: Answer
    output: Any = Field(
        None,
        description="value of the channel that the spec's `output` names: the answer, or a state "
        "field",
    )
    candidates: tuple[Candidate, ...] = Field(description="all candidates, retired ones included")
    critiques: tuple[Criticism, ...] = ()
    usage: RunUsage
    nodes: dict[str, RunUsage] = Field(
        default_factory=dict, description="usage of each run of a node, by NODE.ROUND"
    )
    spec: Spec | None = Field(None, description="the graph that was run")
    params: dict[str, Scalar] = Field(
        default_factory=dict, description="values of the params, by name"
    )
    inputs: dict[str, Any] = Field(
        default_factory=dict,
        description="values of the inputs in addition to the question, by name",
    )
    counts: dict[str, int] = Field(
        default_factory=dict,
        description="number of runs of each node, and how often each edge of a node with "
        "conditional edges was followed",
    )
    requests: tuple[RequestRecord, ...] = Field(
        (), description="all model requests with their results, in the order in which they ended"
    )
    cut: str | None = Field(None, description="reason why the run was cut short; None if it wasn't")
