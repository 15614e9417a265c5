"""A strategy as it is compared: a graph with values for its params, under a label."""

from __future__ import annotations

from pydantic import Field

from thinkgraph.graphs.spec import Scalar
from thinkgraph.models.model import Frozen


class Variant(Frozen):
    """One competitor of a comparison."""

    label: str = Field(description="as it was asked for: `self-consistency@16`")
    graph: str = Field(description="a built-in name, or the path of a spec")
    params: dict[str, Scalar] = Field(default_factory=dict, description="those that were given")
    digest: str = Field("", description="of all that the answers depend on: spec, params, prompts")
