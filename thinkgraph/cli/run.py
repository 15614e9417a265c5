"""``thinkgraph run``: answer a question with a strategy."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thinkgraph.cli.options import (
    INTERRUPTED,
    Engine,
    GraphName,
    ModelName,
    Params,
    PromptFiles,
    Roles,
    bind_params,
    command_line,
    load_model,
    parse_pairs,
    read_prompts,
    read_question,
    tuned_line,
    write_file,
)
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.terminal import print_json, reader, say

if TYPE_CHECKING:
    from thinkgraph.graphs.graph import Graph
    from thinkgraph.graphs.runtime.result import Result
    from thinkgraph.view import View


def run(
    graph: GraphName,
    question: Annotated[str, typer.Argument(help="The question; - reads standard input.")],
    param: Params = None,
    model: ModelName = None,
    role: Roles = None,
    engine: Engine = None,
    prompt: PromptFiles = None,
    seed: Annotated[int | None, typer.Option(help="All randomness comes from it.")] = None,
    budget: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many sampled tokens.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="Stop after so long.")] = None,
    html: Annotated[
        Path | None, typer.Option("--report", help="Write a page that shows the whole run.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Answer a question with a strategy."""
    from thinkgraph.graphs.graph import load
    from thinkgraph.view import View, report

    strategy = load(graph)
    settings = bind_params(strategy, param or [])
    asked = read_question(question)
    if not asked.strip():
        raise ThinkgraphError("the question is empty")
    view = View(strategy.name, shown=not quiet)
    if not quiet and (line := tuned_line(model)):
        say(line)
    roles = {name: load_model(value, []) for name, value in parse_pairs("--role", role or [])}
    options = {
        "model": load_model(model, engine or []),
        "models": roles,
        "prompts": read_prompts(prompt),
        "budget": {"tokens": budget, "seconds": seconds},
        "seed": seed,
    }
    try:
        result = asyncio.run(_watch(strategy, asked, view, **options, **settings))
    except KeyboardInterrupt:
        say(f"thinkgraph: interrupted; {view.spent}")
        raise typer.Exit(INTERRUPTED) from None
    with reader():
        if as_json:
            print_json(json.dumps(result.summary(), ensure_ascii=False))
        else:
            report(result)
    if html:
        write_file(html, result.to_html(command_line(seed=result.seed, question=asked)))


async def _watch(strategy: Graph, question: str, view: View, **settings: Any) -> Result:
    from thinkgraph.graphs.runtime.result import Finished

    with view:
        async for event in strategy.stream(question, **settings):
            if isinstance(event, Finished):
                return event.result
            view.show(event)
    raise ThinkgraphError("the run ended without a result")
