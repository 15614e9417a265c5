"""``thinkgraph serve``: strategies and models behind OpenAI's API."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Annotated

import typer

from thinkgraph.cli.options import Engine, Imports, parse_pairs
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.terminal import say

INSTALL = 'the server needs more packages; run: pip install "thinkgraph[serve]"'


def serve(
    graph: Annotated[
        list[str] | None,
        typer.Argument(
            help="Strategies to offer: built-in names or files, each also as NAME@SAMPLES. "
            "All built-in ones by default."
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            metavar="[NAME=]MODEL",
            help="A model to offer; repeat it for several. The first is the default.",
        ),
    ] = None,
    role: Annotated[
        list[str] | None,
        typer.Option("--role", metavar="ROLE=NAME", help="The model of a role, by its name here."),
    ] = None,
    engine: Engine = None,
    imports: Imports = None,
    host: Annotated[str, typer.Option(help="Address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 8080,
    keys: Annotated[
        Path | None,
        typer.Option(help="YAML file of API keys; else the variable THINKGRAPH_API_KEY."),
    ] = None,
    running: Annotated[int, typer.Option(min=1, help="Requests that run at once.")] = 32,
    waiting: Annotated[int, typer.Option(min=0, help="Requests that may wait.")] = 128,
    seconds: Annotated[float, typer.Option(min=0.1, help="Time limit of a request.")] = 600.0,
    max_tokens: Annotated[
        int, typer.Option(min=1, help="Default for completions of bare models.")
    ] = 4096,
    memory: Annotated[
        float | None,
        typer.Option(min=0.001, help="GB of model files open at once; default: no limit."),
    ] = None,
    origin: Annotated[
        list[str] | None, typer.Option(help="An origin that CORS allows; repeat it for several.")
    ] = None,
    chores: Annotated[
        str | None,
        typer.Option(help="Regular expression of title and tag requests; '' turns them off."),
    ] = None,
    chores_by: Annotated[str, typer.Option(help="The strategy that answers those.")] = "direct",
    allow_specs: Annotated[
        bool, typer.Option("--allow-specs", help="Let requests bring their own specs.")
    ] = False,
    page: Annotated[bool, typer.Option(help="Serve the page at /, for a browser.")] = True,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="THINKGRAPH_TOKEN", help="Of who may open the page; drawn, unless given."
        ),
    ] = None,
    history: Annotated[
        Path | None, typer.Option(help="SQLite file of the page's runs; in your data folder.")
    ] = None,
) -> None:
    """Serve strategies and models by OpenAI's API."""
    try:
        from thinkgraph.serve.access.keys import read_keys
        from thinkgraph.serve.offer.models import Models, named
        from thinkgraph.serve.offer.strategies import Strategies
        from thinkgraph.serve.server import Server, check_access
        from thinkgraph.serve.service import Service
        from thinkgraph.serve.settings import ServeSettings
    except ImportError as error:
        raise ThinkgraphError(f"{INSTALL} ({error})") from None
    from platformdirs import user_data_path

    from thinkgraph.graphs.runtime.models import default_model

    settings = ServeSettings(
        host=host,
        port=port,
        running=running,
        waiting=waiting,
        seconds=seconds,
        max_tokens=max_tokens,
        origins=tuple(origin or ()),
        specs=allow_specs,
        chores_by=chores_by,
        page=page,
        history=history or user_data_path("thinkgraph") / "history.sqlite3",
        **({} if chores is None else {"chores": chores}),
        **({} if token is None else {"token": token}),
    )
    sources = [named(each) for each in model or [default_model()]]
    if len(dict(sources)) < len(sources):
        raise ThinkgraphError("two models have one name; write --model NAME=MODEL")

    async def start() -> Server:
        models = Models(
            dict(sources),
            roles=dict(parse_pairs("--role", role or [])),
            memory=None if memory is None else round(memory * 1e9),
            settings=dict(parse_pairs("--engine", engine or [])),
        )
        service = Service(models, Strategies.load(graph or ()), read_keys(keys), settings)
        check_access(service)
        return Server(service)

    async def run() -> None:
        server = await start()
        task = asyncio.create_task(server.serve())
        while not server.started and not task.done():
            await asyncio.sleep(0.02)
        if server.started:
            say(f"thinkgraph: serving at {server.url}/v1")
            if page:
                say(f"thinkgraph: the page is at {server.url}/?token={settings.token}")
        await task

    asyncio.run(run())
