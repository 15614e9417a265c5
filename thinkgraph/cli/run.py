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
    Imports,
    ModelName,
    Params,
    PromptFiles,
    Roles,
    Template,
    ToolFile,
    VerifierFile,
    bind_params,
    check_hosted,
    command_line,
    load_model,
    parse_pairs,
    read_hosted,
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
    template: Template = None,
    prompt: PromptFiles = None,
    tools: ToolFile = None,
    verifiers: VerifierFile = None,
    imports: Imports = None,
    seed: Annotated[
        int | None, typer.Option(help="Random seed; drawn and printed if not given.")
    ] = None,
    budget: Annotated[
        int | None, typer.Option(min=1, help="Maximum number of sampled tokens.")
    ] = None,
    seconds: Annotated[float | None, typer.Option(min=0, help="Maximum time in seconds.")] = None,
    html: Annotated[
        Path | None, typer.Option("--report", help="Write an HTML report of the run to this file.")
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the result as one JSON object.")
    ] = False,
    prompts: Annotated[
        bool, typer.Option("--show-prompts", help="Print the requests sent to the models.")
    ] = False,
    rendered: Annotated[
        bool,
        typer.Option("--rendered", help="With --show-prompts: each prompt's text and tokens too."),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Answer a question with a strategy."""
    from thinkgraph.graphs.graph import load
    from thinkgraph.graphs.runtime.models import Roles as RunModels
    from thinkgraph.view import View, report, show_requests

    strategy = load(graph)
    settings = bind_params(strategy, param or [])
    asked = read_question(question)
    if not asked.strip():
        raise ThinkgraphError("the question is empty")
    hosted = read_hosted(tools, verifiers)
    check_hosted(strategy, settings, hosted)
    view = View(strategy.name, shown=not quiet)
    if not quiet and (line := tuned_line(model)):
        say(line)
    roles = {name: load_model(value, []) for name, value in parse_pairs("--role", role or [])}
    chosen = load_model(model, engine or [], template or [])
    options = {
        "model": chosen,
        "models": roles,
        "prompts": read_prompts(prompt),
        "budget": {"tokens": budget, "seconds": seconds},
        "seed": seed,
        **hosted,
    }
    try:
        result = asyncio.run(_watch(strategy, asked, view, **options, **settings))
    except KeyboardInterrupt:
        say(f"thinkgraph: interrupted; {view.spent}")
        raise typer.Exit(INTERRUPTED) from None
    if rendered:
        result = result.with_rendered_prompts(
            RunModels(chosen, {n: m for n, m in roles.items() if m})
        )
    with reader():
        if as_json:
            print_json(json.dumps(result.summary(requests=prompts), ensure_ascii=False))
        else:
            if prompts:
                show_requests(result.requests)
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
