"""``thinkgraph run``: answer a question with a strategy."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thinkgraph.cli.options import (
    INTERRUPTED,
    REJECTED,
    Engine,
    GraphName,
    Imports,
    McpFile,
    ModelName,
    Params,
    ParamsFile,
    PromptFiles,
    Roles,
    Template,
    ToolFile,
    VerifierFile,
    bind_params,
    check_hosted,
    check_models,
    check_writable,
    command_line,
    load_model,
    parse_pairs,
    read_hosted,
    read_prompts,
    read_question,
    tuned_line,
    with_fitted,
    write_file,
)
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.terminal import print_json, reader, say

if TYPE_CHECKING:
    from thinkgraph.graphs.graph import Graph
    from thinkgraph.graphs.runtime.result import Finished, Result
    from thinkgraph.nodes.event import NodeEvent
    from thinkgraph.view import View


def run(
    context: typer.Context,
    graph: GraphName,
    question: Annotated[str, typer.Argument(help="The question; - reads standard input.")],
    param: Params = None,
    fitted: ParamsFile = None,
    model: ModelName = None,
    role: Roles = None,
    engine: Engine = None,
    template: Template = None,
    prompt: PromptFiles = None,
    tools: ToolFile = None,
    verifiers: VerifierFile = None,
    imports: Imports = None,
    mcp: McpFile = None,
    seed: Annotated[
        int | None, typer.Option(help="Random seed; by default a random one, which is printed.")
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
        typer.Option(
            "--rendered", help="Print each prompt's text and tokens too; implies --show-prompts."
        ),
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Answer a question with a strategy. Exit status 3 if no candidate was accepted."""
    from thinkgraph.graphs.graph import load
    from thinkgraph.graphs.runtime.models import Roles as RunModels
    from thinkgraph.view import View, report, show_requests

    strategy, used, doubts = with_fitted(load(graph), fitted, model)
    settings: dict[str, Any] = bind_params(strategy, param or [])
    own_prompts = read_prompts(prompt)
    asked = read_question(question)
    if not asked.strip():
        raise ThinkgraphError(
            "the question is empty; give it as the second argument, or `-` with text on standard "
            "input"
        )
    hosted = read_hosted(context, tools, verifiers, mcp)
    check_hosted(strategy, settings, hosted)
    named = parse_pairs("--role", role or [])
    check_models(strategy, settings, model, dict(named))
    if html:
        check_writable(html)
    view = View(strategy.name, shown=not quiet)
    kept = used.told if used and not fitted else None
    news = [] if quiet else [tuned_line(model, engine or []), kept]
    for line in filter(None, [*news, *doubts]):
        say(line)
    roles = {name: load_model(value, []) for name, value in named}
    chosen = load_model(model, engine or [], template or [])
    options = {
        "model": chosen,
        "models": roles,
        "prompts": own_prompts,
        "budget": {"tokens": budget, "seconds": seconds},
        "seed": seed,
        **hosted,
    }
    try:
        result = _watch(strategy, asked, view, **options, **settings)
    except KeyboardInterrupt:
        say(f"thinkgraph: interrupted; {view.spent}")
        raise typer.Exit(INTERRUPTED) from None
    prompts = prompts or rendered
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
    if result.rejected:
        raise typer.Exit(REJECTED)


def _watch(strategy: Graph, question: str, view: View, **settings: Any) -> Result:
    """Run to the end; if a node waits for a person, ask in the terminal."""
    from thinkgraph.graphs.runtime.run import Interrupted
    from thinkgraph.person import reply_to

    events = strategy.stream(question, **settings)
    while True:
        try:
            return asyncio.run(_shown(events, view))
        except Interrupted as waiting:  # ask outside the event loop, so that Ctrl-C works
            replies = {each.id: reply_to(each.value) for each in waiting.interrupts}
            events = waiting.stream(replies)


async def _shown(events: AsyncGenerator[NodeEvent | Finished, None], view: View) -> Result:
    from thinkgraph.graphs.runtime.result import NO_RESULT, Finished

    with view:
        async with aclosing(events):
            async for event in events:
                if isinstance(event, Finished):
                    return event.result
                view.show(event)
    raise ThinkgraphError(NO_RESULT)
