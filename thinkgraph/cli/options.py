"""Options that several commands share, and what is made of them."""

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

GraphName = Annotated[str, typer.Argument(help="A built-in name, or the path of a spec.")]
ModelName = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="A catalogue name, a .gguf, hf:OWNER/REPO/FILE or openai:MODEL@URL.",
    ),
]
Params = Annotated[
    list[str] | None, typer.Option("--param", "-p", metavar="NAME=VALUE", help="Set a param.")
]
Roles = Annotated[
    list[str] | None, typer.Option("--role", metavar="ROLE=MODEL", help="A model for a role.")
]
Engine = Annotated[
    list[str] | None,
    typer.Option("--engine", "-e", metavar="NAME=VALUE", help="Set the engine: gpu_layers=0"),
]
PromptFiles = Annotated[
    list[str] | None,
    typer.Option("--prompt", metavar="NAME=FILE", help="Use this file for a built-in prompt."),
]


def parse_pairs(option: str, given: list[str]) -> list[tuple[str, str]]:
    """Split each ``NAME=VALUE`` of an option."""
    pairs = [item.partition("=") for item in given]
    for (name, equals, value), item in zip(pairs, given, strict=True):
        if not (name and equals and value):
            raise ThinkgraphError(f"{option} {item}: write NAME=VALUE")
    return [(name, value) for name, _, value in pairs]


def read_prompts(given: list[str] | None) -> dict[str, Prompt]:
    """The prompts that replace built-in ones, read from their files."""
    from thinkgraph.nodes.prompts.prompt import read_prompt

    return {name: read_prompt(file) for name, file in parse_pairs("--prompt", given or [])}


def bind_params(strategy: Graph, given: list[str]) -> dict[str, str]:
    """The params and inputs set on the command line, checked before a model is loaded."""
    settings = dict(parse_pairs("--param", given))
    strategy.bind({n: v for n, v in settings.items() if n not in strategy.spec.inputs})
    return settings


def load_model(name: str | None, engine: list[str]) -> Model | str | None:
    """The model of that name: found now, so that a wrong name costs no time, and loaded."""
    if name is None and not engine:
        return None
    from thinkgraph.graphs.runtime.models import default_model
    from thinkgraph.models.catalogue import load

    return load(name or default_model(), **dict(parse_pairs("--engine", engine)))


def read_question(question: str) -> str:
    """The question, or standard input where it is ``-``."""
    return sys.stdin.read() if question == "-" else question
