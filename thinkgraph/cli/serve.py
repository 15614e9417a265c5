"""``thinkgraph serve`` and ``mcp``: strategies for chat programs, editors and agents."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from thinkgraph.cli.options import (
    NONE,
    Engine,
    Imports,
    McpFile,
    ToolFile,
    VerifierFile,
    parse_pairs,
    read_hosted,
)
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.terminal import say

if TYPE_CHECKING:
    from thinkgraph.serve.service import Service

Graphs = Annotated[
    list[str] | None,
    typer.Argument(help="Strategies to offer: built-in names or files, each also as NAME@SAMPLES."),
]
ModelNames = Annotated[
    list[str] | None,
    typer.Option(
        "--model",
        "-m",
        metavar="[NAME=]MODEL",
        help="A model to offer; repeat it for several. The first is the default.",
    ),
]
RoleNames = Annotated[
    list[str] | None,
    typer.Option(
        "--role",
        metavar="ROLE=NAME",
        help="Model for a role of the strategies, by its NAME in --model.",
    ),
]
Memory = Annotated[
    float | None,
    typer.Option(
        min=0.001, help="Maximum size of the model files open at once, in GB; no limit by default."
    ),
]

ParamsFiles = Annotated[
    list[str] | None,
    typer.Option(
        "--params",
        metavar="FILE",
        help="Params file of `thinkgraph fit`, which sets the defaults of its strategy; "
        "repeatable. none: ignore the params kept for models.",
    ),
]


def serve(
    context: typer.Context,
    graph: Graphs = None,
    fitted: ParamsFiles = None,
    model: ModelNames = None,
    role: RoleNames = None,
    engine: Engine = None,
    tools: ToolFile = None,
    verifiers: VerifierFile = None,
    servers: McpFile = None,
    imports: Imports = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")
    ] = 8080,
    keys: Annotated[
        Path | None,
        typer.Option(
            help="YAML file of API keys; by default the key in THINKGRAPH_API_KEY, if set."
        ),
    ] = None,
    running: Annotated[
        int, typer.Option(min=1, help="Maximum number of requests that run at once.")
    ] = 32,
    waiting: Annotated[
        int, typer.Option(min=0, help="Maximum number of requests that wait for their turn.")
    ] = 128,
    seconds: Annotated[
        float, typer.Option(min=0.1, help="Time limit of a request in seconds.")
    ] = 600.0,
    max_tokens: Annotated[
        int,
        typer.Option(min=1, help="Default maximum number of tokens in completions of bare models."),
    ] = 4096,
    memory: Memory = None,
    origin: Annotated[
        list[str] | None, typer.Option(help="An origin that CORS allows; repeat it for several.")
    ] = None,
    chores: Annotated[
        str | None,
        typer.Option(
            help="Regular expression that recognizes requests for titles and tags; '' turns it off."
        ),
    ] = None,
    chores_by: Annotated[
        str, typer.Option(help="Strategy that answers requests for titles and tags.")
    ] = "direct",
    allow_specs: Annotated[
        bool, typer.Option("--allow-specs", help="Let requests bring their own specs.")
    ] = False,
    page: Annotated[bool, typer.Option(help="Serve the web page at /.")] = True,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="THINKGRAPH_TOKEN", help="Token that opens the page; random by default."
        ),
    ] = None,
    history: Annotated[
        Path | None,
        typer.Option(help="SQLite file of the page's runs; by default in your data folder."),
    ] = None,
) -> None:
    """Serve strategies and models by OpenAI's API and MCP; all built-in ones by default."""
    from platformdirs import user_data_path

    limits = {
        "host": host,
        "port": port,
        "running": running,
        "waiting": waiting,
        "seconds": seconds,
        "max_tokens": max_tokens,
        "origins": tuple(origin or ()),
        "specs": allow_specs,
        "chores_by": chores_by,
        "page": page,
        "history": history or user_data_path("thinkgraph") / "history.sqlite3",
        **({} if chores is None else {"chores": chores}),
        **({} if token is None else {"token": token}),
    }
    hosted = read_hosted(context, tools, verifiers, servers)

    async def run() -> None:
        with _packages():
            from thinkgraph.serve.server import Server, check_access
        service = _service(graph, fitted, model, role, engine, memory, hosted, keys, limits)
        check_access(service)

        def tell(address: str) -> None:
            say(f"thinkgraph: serving at {address}/v1")
            if page:
                say(f"thinkgraph: the page is at {address}/?token={service.settings.token}")

        await Server(service).run_until_stopped(tell)

    asyncio.run(run())


def mcp(
    context: typer.Context,
    graph: Graphs = None,
    fitted: ParamsFiles = None,
    model: ModelNames = None,
    role: RoleNames = None,
    engine: Engine = None,
    tools: ToolFile = None,
    verifiers: VerifierFile = None,
    servers: McpFile = None,
    imports: Imports = None,
    memory: Memory = None,
) -> None:
    """Serve strategies as tools of an agent, by MCP on standard input and output."""
    hosted = read_hosted(context, tools, verifiers, servers)

    async def run() -> None:
        with _packages():
            from thinkgraph.serve.mcp.server import serve_stdio
        await serve_stdio(_service(graph, fitted, model, role, engine, memory, hosted))

    asyncio.run(run())


@contextmanager
def _packages() -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise ThinkgraphError(
            f'the server needs more packages; run: pip install "thinkgraph[serve]" ({error})'
        ) from None


def _service(
    graphs: list[str] | None,
    fitted: list[str] | None,
    models: list[str] | None,
    roles: list[str] | None,
    engine: list[str] | None,
    memory: float | None,
    hosted: dict[str, Any],
    keys: Path | None = None,
    limits: dict[str, Any] | None = None,
) -> Service:
    """Create the service from the options; must be called in the event loop that serves it."""
    with _packages():
        from thinkgraph.serve.access.keys import read_keys
        from thinkgraph.serve.offer.models import Models, named
        from thinkgraph.serve.offer.strategies import Strategies
        from thinkgraph.serve.service import Service
        from thinkgraph.serve.settings import settings_of
    from thinkgraph.fitted import read_fitted
    from thinkgraph.graphs.runtime.models import default_model

    settings = settings_of(limits or {})
    sources = [named(each) for each in models or [default_model()]]
    if len(dict(sources)) < len(sources):
        raise ThinkgraphError("two models have one name; write --model NAME=MODEL")
    opened = Models(
        dict(sources),
        roles=dict(parse_pairs("--role", roles or [])),
        memory=None if memory is None else round(memory * 1e9),
        settings=dict(parse_pairs("--engine", engine or [])),
    )
    given = fitted or []
    files = [read_fitted(file) for file in given if file != NONE]
    strategies = Strategies.load(graphs or (), hosted, files, kept=NONE not in given)
    for file in files:
        for doubt in file.doubts(strategies.graphs[file.graph], sources[0][1]):
            say(f"thinkgraph: {doubt}")
    return Service(opened, strategies, read_keys(keys), settings, hosted)
