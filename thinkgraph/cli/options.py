"""Options shared by several commands, and how they are parsed."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from thinkgraph.models.errors import ThinkgraphError

if TYPE_CHECKING:
    from thinkgraph.graphs.graph import Graph
    from thinkgraph.models.model import Model
    from thinkgraph.nodes.prompts.prompt import Prompt

INTERRUPTED = 130
"""The exit status after Ctrl-C, as a shell gives it."""

GraphName = Annotated[str, typer.Argument(help="Name of a built-in graph, or path of a spec.")]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="A model name, a .gguf file, hf:OWNER/REPO/FILE, or openai:MODEL@URL.",
    ),
]
Params = Annotated[
    list[str] | None,
    typer.Option("--param", "-p", metavar="NAME=VALUE", help="Set a param of the graph."),
]
Roles = Annotated[
    list[str] | None,
    typer.Option("--role", metavar="ROLE=MODEL", help="Model for a role of the graph."),
]
Engine = Annotated[
    list[str] | None,
    typer.Option("--engine", "-e", metavar="NAME=VALUE", help="Engine setting: gpu_layers=0"),
]
PromptFiles = Annotated[
    list[str] | None,
    typer.Option("--prompt", metavar="NAME=FILE", help="Replace a built-in prompt by this file."),
]


def parse_pairs(option: str, given: list[str]) -> list[tuple[str, str]]:
    """Split each ``NAME=VALUE`` of an option."""
    pairs = [item.partition("=") for item in given]
    for (name, equals, value), item in zip(pairs, given, strict=True):
        if not (name and equals and value):
            raise ThinkgraphError(f"{option} {item}: write NAME=VALUE")
    return [(name, value) for name, _, value in pairs]


def read_prompts(given: list[str] | None) -> dict[str, Prompt]:
    """Read the prompts that replace built-in ones."""
    from thinkgraph.nodes.prompts.prompt import read_prompt

    return {name: read_prompt(file) for name, file in parse_pairs("--prompt", given or [])}


def bind_params(strategy: Graph, given: list[str]) -> dict[str, str]:
    """The params and inputs set on the command line, checked before a model is loaded."""
    settings = dict(parse_pairs("--param", given))
    strategy.bind({n: v for n, v in settings.items() if n not in strategy.spec.inputs})
    return settings


def load_model(name: str | None, engine: list[str]) -> Model | str | None:
    """Load the model of that name, so that a wrong name fails at once."""
    if name is None and not engine:
        return None
    from thinkgraph.graphs.runtime.models import default_model
    from thinkgraph.models.catalogue import load

    return load(name or default_model(), **dict(parse_pairs("--engine", engine)))


def read_question(question: str) -> str:
    """The question; ``-`` reads standard input."""
    return sys.stdin.read() if question == "-" else question
