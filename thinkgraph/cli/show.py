"""``thinkgraph list`` and ``show``: the list of strategies, and one strategy's drawing and spec."""

from __future__ import annotations

import inspect
import shutil
import sys
import textwrap
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from thinkgraph.cli.options import GraphName, Imports, write_file
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.terminal import print_document, reader

if TYPE_CHECKING:
    from thinkgraph.graphs.graph import Graph
    from thinkgraph.models.capabilities import Capability


class Picture(StrEnum):
    """The formats of a drawing."""

    TEXT = "text"
    YAML = "yaml"
    MERMAID = "mermaid"
    SVG = "svg"
    PNG = "png"


def list_(
    needs: Annotated[
        bool,
        typer.Option(
            "--needs",
            help="Show the tools, verifiers and model capabilities that each strategy needs.",
        ),
    ] = False,
    imports: Imports = None,
) -> None:
    """List strategies, tools and verifiers, with what packages and THINKGRAPH_PATH add."""
    from thinkgraph.graphs.catalogue import builtin_names, shared_graphs
    from thinkgraph.nodes.prompts.prompt import shared_prompts
    from thinkgraph.nodes.registry import shared_kinds
    from thinkgraph.nodes.sharing import setting

    graphs, prompts = shared_graphs(setting()), shared_prompts(setting())
    told = _needs if needs else _about
    with reader():
        for name in builtin_names():
            _print_item(name, told(name))
        for origin in dict.fromkeys(shared.origin for shared in graphs.values()):
            names = [each.name for each in graphs.values() if each.origin == origin]
            _section(f"Strategies of {origin}", {name: told(name) for name in names})
        if needs:
            return
        _section("Shared prompts", {n: f"{p.about} ({of})" for n, (p, of) in prompts.items()})
        kinds = shared_kinds()
        _section("Shared node kinds", {n: f"{k.about} ({of})" for n, (k, of) in kinds.items()})
        _section("Tools", _tools())
        _section("Verifiers", _verifiers())


def _section(title: str, lines: Mapping[str, str]) -> None:
    if lines:
        print(f"\n{title}:")
    for name, told in lines.items():
        _print_item(name, told)


def _print_item(name: str, about: str) -> None:
    """A name and its description; in a terminal, wrapped beside the names."""
    line = f"{name:26} {about}"
    if sys.stdout.isatty():
        width = shutil.get_terminal_size().columns
        line = textwrap.fill(
            line, width, subsequent_indent=" " * 27, break_long_words=False, break_on_hyphens=False
        )
    print(line)


def _tools() -> dict[str, str]:
    from thinkgraph.nodes.tools.tool import offered_tools

    return {n: f"{tool.about} ({of})" for n, (tool, of) in offered_tools().items()}


def _verifiers() -> dict[str, str]:
    from thinkgraph.nodes.judging.verifying import BUILT_IN
    from thinkgraph.nodes.sharing import setting
    from thinkgraph.nodes.tools.verifier import shared_verifiers

    built_in = {name: (each, "built in") for name, each in BUILT_IN.items()}
    found = {**built_in, **shared_verifiers(setting())}
    return {n: f"{_first_line(each)} ({of})".lstrip() for n, (each, of) in found.items()}


def _first_line(function: object) -> str:
    return (inspect.getdoc(function) or "").partition("\n")[0]


def _needs(name: str) -> str:
    """What a strategy needs with its default params, and whether it runs on an API endpoint."""
    from thinkgraph.graphs.graph import load
    from thinkgraph.graphs.requirements import remedies
    from thinkgraph.models.capabilities import ABOUT, HOSTED

    def lacks(role: str) -> frozenset[Capability]:
        return HOSTED

    try:
        strategy = load(name)
        params = strategy.bind({})
        found = strategy.required()
    except ThinkgraphError as error:
        return f"{str(error).splitlines()[0]}; see thinkgraph check {name}"
    of_models = dict.fromkeys(ABOUT[capability] for _, capability in found.capabilities)
    parts = [
        *(f"the tool {tool}" for tool in found.tools),
        *(f"the verifier {verifier}" for verifier in found.verifiers),
        *([f"a model that gives {', '.join(of_models)}"] if of_models else []),
    ]
    if found.missing(lacks):
        ways = remedies(strategy.spec, params, strategy.specs.__getitem__, lacks, found)
        parts.append(
            f"on an API endpoint: {' or '.join(ways)}" if ways else "not on an API endpoint"
        )
    return "; ".join(parts) or "nothing"


def _about(name: str) -> str:
    """The first sentence of a strategy's description, or why it can't be read."""
    from ruamel.yaml.error import YAMLError

    from thinkgraph.graphs.catalogue import about

    try:
        return about(name).partition(". ")[0].rstrip(".")
    except (ValueError, OSError, YAMLError, LookupError, TypeError) as error:
        return f"can't be read: {' '.join(str(error).split())[:80]}; see thinkgraph check {name}"


def show(
    graph: GraphName,
    form: Annotated[
        Picture,
        typer.Option("--format", help="Output format; yaml prints a spec that `check` accepts."),
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
    """Whether a strategy runs on an API endpoint, and if not, what it needs."""
    from thinkgraph.graphs.requirements import incapable
    from thinkgraph.models.capabilities import HOSTED

    spec = strategy.spec
    try:
        params = strategy.bind({})
    except ThinkgraphError:  # a param without a default
        return ""
    told = incapable(spec, params, strategy.specs.__getitem__, lambda role: HOSTED)
    return "\n".join(f"on an API endpoint: {each}" for each in told or ["runs"])
