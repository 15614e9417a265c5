"""The command-line application: its commands and error handling."""

from __future__ import annotations

import logging
import os
import sys
from typing import Annotated

import typer

from thinkgraph.cli.check import check, schema
from thinkgraph.cli.compare import compare
from thinkgraph.cli.distill import distill
from thinkgraph.cli.fit import fit
from thinkgraph.cli.models import models, tune
from thinkgraph.cli.new import new
from thinkgraph.cli.plan import plan
from thinkgraph.cli.run import run
from thinkgraph.cli.serve import mcp, serve
from thinkgraph.cli.show import list_, show
from thinkgraph.cli.train import adapter, train
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.terminal import fit_streams, reader, say

app = typer.Typer(
    name="thinkgraph",
    help="Reasoning strategies as graphs, run on a local GGUF model.",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        with reader():
            print(f"thinkgraph {version('thinkgraph')}")
            for name in ("llama-cpp-python", "langgraph"):
                print(f"{name} {version(name)}")
        raise typer.Exit


@app.callback()
def options(
    debug: Annotated[
        bool, typer.Option("--debug", help="Show tracebacks and the log of llama.cpp.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print versions."),
    ] = False,
) -> None:
    """Options of every command."""
    # Warnings of huggingface_hub are shown only with --debug.
    os.environ.setdefault("HF_HUB_VERBOSITY", "debug" if debug else "error")
    if debug:
        logging.basicConfig(level=logging.DEBUG, stream=sys.stderr)
        # This logger doesn't propagate to the root logger, so that embedding programs stay quiet.
        logging.getLogger("thinkgraph.llama_cpp").addHandler(logging.StreamHandler(sys.stderr))


app.command()(run)
app.command("list")(list_)
building = (show, check, plan, schema, new)
measuring = (models, tune, compare, fit)
for command in (*building, *measuring, serve, mcp, train, distill, adapter):
    app.command()(command)


def main() -> None:
    """Run the command line; an error prints one line and exits with status 2."""
    arguments = sys.argv[1:]
    options = arguments[: arguments.index("--")] if "--" in arguments else arguments
    if debug := "--debug" in options:  # also accepted after the command
        arguments.remove("--debug")
        arguments.insert(0, "--debug")
    fit_streams()
    try:
        app(arguments)
    except ThinkgraphError as error:
        if debug:
            raise
        say(f"thinkgraph: {error}")
        sys.exit(2)
    except Exception as error:
        if debug:
            raise
        say(f"thinkgraph: {type(error).__name__}: {error} (--debug shows the traceback)")
        sys.exit(1)
