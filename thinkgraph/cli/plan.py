"""``thinkgraph plan``: the cost of a run, before it runs."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thinkgraph.cli.options import (
    Engine,
    GraphName,
    Imports,
    McpFile,
    ModelName,
    Params,
    ParamsFile,
    Roles,
    ToolFile,
    VerifierFile,
    bind_params,
    check_models,
    parse_pairs,
    read_hosted,
    read_question,
    with_fitted,
)
from thinkgraph.terminal import print_json, reader, say

if TYPE_CHECKING:
    from thinkgraph.models.model import Model


def plan(
    context: typer.Context,
    graph: GraphName,
    question: Annotated[
        str | None, typer.Argument(help="The question; if given, prompt tokens are counted too.")
    ] = None,
    param: Params = None,
    fitted: ParamsFile = None,
    model: ModelName = None,
    role: Roles = None,
    engine: Engine = None,
    tools: ToolFile = None,
    verifiers: VerifierFile = None,
    imports: Imports = None,
    mcp: McpFile = None,
    again: Annotated[
        bool, typer.Option("--measure", help="Measure the speed of this machine again.")
    ] = False,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as one JSON object.")
    ] = False,
) -> None:
    """Compute the cost of a run before it runs. Exit status 2 if it can't fit in the context."""
    from thinkgraph.forecast import forecast, sources
    from thinkgraph.graphs.graph import load
    from thinkgraph.graphs.planning.plan import plan as planned
    from thinkgraph.models.backends.local import LocalModel
    from thinkgraph.models.tuning.speed import speed

    strategy, used, doubts = with_fitted(load(graph), fitted, model)
    settings = bind_params(strategy, param or [])
    asked = read_question(question) if question else None
    roles = dict(parse_pairs("--role", role or []))
    hosted = {"models": roles, **read_hosted(context, tools, verifiers, mcp)}
    check_models(strategy, settings, model, roles)
    chosen = _at_hand(model, engine or [])
    found = planned(strategy, settings, chosen, asked, **hosted)
    found.check()
    for line in doubts:
        say(line)
    known = None
    if isinstance(chosen, LocalModel):
        measuring = f"measuring once how fast {chosen.name} is on this machine …"
        known = speed(chosen.engine, again=again, tell=lambda: say(measuring))
    found = planned(strategy, settings, chosen, asked, known, **hosted)
    placement = chosen.engine.native.placement if isinstance(chosen, LocalModel) else None
    if as_json:
        fits = {"placement": asdict(placement)} if placement else {}
        fits |= {"fitted": used.model_dump(mode="json")} if used else {}
        print_json(json.dumps(found.model_dump(mode="json", exclude_none=True) | fits))
    else:
        with reader():
            forecast(found, known)
            for line in sources(strategy, settings, used, fitted):
                print(line)
            if placement:
                print(f"model: {placement}")


def _at_hand(name: str | None, engine: list[str]) -> Model | None:
    """The model of a plan; None if the default model isn't installed."""
    from thinkgraph.graphs.runtime.models import default_model
    from thinkgraph.models.catalogue import load
    from thinkgraph.models.errors import ModelError

    settings: dict[str, Any] = dict(parse_pairs("--engine", engine))
    try:
        return load(name or default_model(), **settings)
    except ModelError:
        if name or engine:
            raise
        return None
