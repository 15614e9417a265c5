"""The command line: run, list, show and check strategies, and list the models."""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thinkgraph.models.errors import ThinkgraphError

if TYPE_CHECKING:
    from thinkgraph.graphs.graph import Graph
    from thinkgraph.view import View

INTERRUPTED = 130

app = typer.Typer(
    name="thinkgraph",
    help="Reasoning strategies as graphs, run on a local GGUF model.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

GraphName = Annotated[str, typer.Argument(help="A built-in name, or the path of a spec.")]
ModelName = Annotated[
    str | None,
    typer.Option("--model", "-m", help="A catalogue name, a .gguf, or hf:OWNER/REPO/FILE."),
]
Params = Annotated[
    list[str] | None, typer.Option("--param", "-p", metavar="NAME=VALUE", help="Set a param.")
]


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and llama.cpp's log.")
    ] = False,
) -> None:
    """Set what holds for every command."""
    if debug:
        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)


@app.command()
def run(
    graph: GraphName,
    question: Annotated[str, typer.Argument(help="The question; - reads standard input.")],
    param: Params = None,
    model: ModelName = None,
    seed: Annotated[int | None, typer.Option(help="All randomness comes from it.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option("--budget", min=1, help="Stop after so many sampled tokens.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> None:
    """Answer a question with a strategy."""
    from thinkgraph.graphs.graph import load
    from thinkgraph.view import View, report

    strategy = load(graph)
    asked = sys.stdin.read() if question == "-" else question
    if not asked.strip():
        raise ThinkgraphError("the question is empty")
    settings = _settings(strategy, param or [])
    budget = {"tokens": max_tokens} if max_tokens else None
    view = View(strategy.name, shown=not quiet)
    try:
        result = asyncio.run(
            _watch(strategy, asked, view, model=model, seed=seed, budget=budget, **settings)
        )
    except KeyboardInterrupt:
        typer.echo(f"\nthinkgraph: interrupted; {view.spent}", err=True)
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        typer.echo(json.dumps(result.summary(), ensure_ascii=False))
    else:
        report(result)


async def _watch(strategy: Graph, question: str, view: View, **settings: Any) -> Any:
    from thinkgraph.graphs.result import Finished

    with view:
        async for event in strategy.stream(question, **settings):
            if isinstance(event, Finished):
                return event.result
            view.show(event)


def _settings(strategy: Graph, given: list[str]) -> dict[str, str]:
    """The params and inputs set on the command line, checked before a model is loaded."""
    settings = {}
    for item in given:
        name, equals, value = item.partition("=")
        if not equals:
            raise ThinkgraphError(f"--param {item}: write NAME=VALUE")
        settings[name] = value
    strategy.bind({n: v for n, v in settings.items() if n not in strategy.spec.inputs})
    return settings


@app.command("list")
def list_() -> None:
    """List the built-in strategies."""
    from thinkgraph.graphs.catalogue import builtin_names
    from thinkgraph.graphs.check import load

    for name in builtin_names():
        about = " ".join(load(name).about.split())
        typer.echo(f"{name:20} {about.partition('. ')[0].rstrip('.')}")


@app.command()
def show(graph: GraphName) -> None:
    """Show a strategy: a drawing, and its spec."""
    from thinkgraph.graphs.catalogue import find
    from thinkgraph.graphs.draw import terminal
    from thinkgraph.graphs.graph import load

    typer.echo(terminal(load(graph).spec))
    typer.echo(find(graph).read_text("utf-8"), nl=False)


@app.command()
def models() -> None:
    """List the models that have a name, and whether they are here."""
    from thinkgraph.models.catalogue import known

    for entry in known():
        here = f"{entry.path} ({entry.size / 1e6:.0f} MB)" if entry.size else entry.install
        typer.echo(f"{entry.name:12} {entry.about}")
        typer.echo(f"{'':12} {here}")
    typer.echo("A path to a .gguf file and hf:OWNER/REPO/FILE are models too.")


def main() -> None:
    """Run the command line; an error is one line and exit status 2."""
    debug = "--debug" in sys.argv
    try:
        app()
    except ThinkgraphError as error:
        if debug:
            raise
        typer.echo(f"thinkgraph: {error}", err=True)
        sys.exit(2)
    except Exception as error:
        if debug:
            raise
        typer.echo(f"thinkgraph: {type(error).__name__}: {error} (--debug shows more)", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
