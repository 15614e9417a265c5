"""``thinkgraph list`` and ``show``: the strategies, and the drawing of one."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thinkgraph.cli.options import GraphName, Imports, write_file
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.terminal import print_document, reader

if TYPE_CHECKING:
    from thinkgraph.graphs.graph import Graph


class Picture(StrEnum):
    """The formats of a drawing."""

    TEXT = "text"
    YAML = "yaml"
    MERMAID = "mermaid"
    SVG = "svg"
    PNG = "png"


def list_(imports: Imports = None) -> None:
    """List the strategies, and what packages and folders of THINKGRAPH_PATH add."""
    from thinkgraph.graphs.catalogue import builtin_names, shared_graphs
    from thinkgraph.nodes.prompts.prompt import shared_prompts
    from thinkgraph.nodes.registry import shared_kinds
    from thinkgraph.nodes.sharing import setting

    graphs, prompts = shared_graphs(setting()), shared_prompts(setting())
    with reader():
        for name in builtin_names():
            print(f"{name:26} {_about(name)}")
        for origin in dict.fromkeys(shared.origin for shared in graphs.values()):
            print(f"\nStrategies of {origin}:")
            for name in [each.name for each in graphs.values() if each.origin == origin]:
                print(f"{name:26} {_about(name)}")
        if prompts:
            print("\nShared prompts:")
            for name, (prompt, origin) in prompts.items():
                print(f"{name:26} {prompt.about} ({origin})")
        if kinds := shared_kinds():
            print("\nShared node kinds:")
            for name, (kind, origin) in kinds.items():
                print(f"{name:26} {kind.about} ({origin})")


def _about(name: str) -> str:
    """The first sentence that a strategy says of itself, or why it can't be read."""
    from ruamel.yaml.error import YAMLError

    from thinkgraph.graphs.catalogue import about

    try:
        return about(name).partition(". ")[0].rstrip(".")
    except (ValueError, OSError, YAMLError, LookupError, TypeError) as error:
        return f"can't be read: {' '.join(str(error).split())[:80]}; see thinkgraph check {name}"


def show(
    graph: GraphName,
    form: Annotated[
        Picture, typer.Option("--format", help="What to print; yaml is a spec that check takes.")
    ] = Picture.TEXT,
    out: Annotated[Path | None, typer.Option(help="Output file.")] = None,
    imports: Imports = None,
) -> None:
    """Show a strategy: its drawing and its spec."""
    from thinkgraph.graphs.catalogue import find
    from thinkgraph.graphs.graph import load
    from thinkgraph.graphs.pictures import drawing

    strategy = load(graph)
    spec = strategy.spec
    if form is Picture.PNG:
        if out is None:
            raise ThinkgraphError("--format png needs --out FILE")
        write_file(out, drawing.png(spec))
        return
    if form is Picture.TEXT:
        source = find(graph).read_text("utf-8")
        text = f"{drawing.terminal(spec)}\n{_hosted(strategy)}\n\n{source}"
    elif form is Picture.YAML:
        text = find(graph).read_text("utf-8")
    else:
        text = drawing.svg(spec) if form is Picture.SVG else drawing.mermaid(spec)
    if out:
        write_file(out, text)
        return
    with reader():
        if form is Picture.TEXT:
            print(text.rstrip("\n"))
        else:
            print_document(text)


def _hosted(strategy: Graph) -> str:
    """Whether a strategy runs on a model behind an endpoint, and what it needs else."""
    from thinkgraph.graphs.requirements import incapable
    from thinkgraph.models.capabilities import HOSTED

    spec = strategy.spec
    try:
        params = strategy.bind({})
    except ThinkgraphError:  # a param without a default
        return ""
    told = incapable(spec, params, strategy.specs.__getitem__, lambda role: HOSTED)
    return "\n".join(f"behind an endpoint: {each}" for each in told or ["it runs"])
