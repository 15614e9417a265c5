"""``thinkgraph check`` and ``schema``: for authors of strategies."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from thinkgraph.cli.options import Imports, McpFile, ToolFile, VerifierFile, read_hosted
from thinkgraph.terminal import print_json, reader


class Report(StrEnum):
    """The checker's report formats."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


def check(
    context: typer.Context,
    files: Annotated[list[str], typer.Argument(help="Specs, or names of built-in graphs.")],
    form: Annotated[Report, typer.Option("--format", help="Output format.")] = Report.TEXT,
    strict: Annotated[bool, typer.Option("--strict", help="Fail on warnings too.")] = False,
    tools: ToolFile = None,
    verifiers: VerifierFile = None,
    imports: Imports = None,
    mcp: McpFile = None,
) -> None:
    """Check specs and report all errors. Exit status 2 with errors, 1 with warnings (--strict).

    With --tools or --verifiers, names of tools and verifiers that are not bound are errors too.
    """
    from thinkgraph.graphs.checker.check import check_files
    from thinkgraph.graphs.checker.reporters import render
    from thinkgraph.nodes.tools.tool import all_tools, bind_tools
    from thinkgraph.nodes.tools.verifier import all_verifiers, bind_verifiers

    hosted = read_hosted(context, tools, verifiers, mcp)
    known = {
        "tools": all_tools(bind_tools(hosted["tools"])) if tools or mcp else None,
        "verifiers": all_verifiers(bind_verifiers(hosted["verifiers"])) if verifiers else None,
    }
    problems = check_files(files, **known)
    with reader():
        if form is Report.TEXT:
            print(render(problems))
        else:
            print_json(render(problems, "json" if form is Report.JSON else "sarif"))
    if any(problem.severity == "error" for problem in problems):
        raise typer.Exit(2)
    if problems and strict:
        raise typer.Exit(1)


def schema(imports: Imports = None) -> None:
    """Print the JSON Schema of the graph language, for editors."""
    from thinkgraph.graphs.language.reference import json_schema

    with reader():
        print_json(json_schema().rstrip("\n"))
