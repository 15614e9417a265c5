"""``thinkgraph check`` and ``schema``: for who writes strategies."""

from __future__ import annotations

from typing import Annotated, Literal

import typer

from thinkgraph.terminal import print_json, reader


def check(
    files: Annotated[list[str], typer.Argument(help="Specs, or names of built-in graphs.")],
    form: Annotated[
        Literal["text", "json", "sarif"], typer.Option("--format", help="How to report.")
    ] = "text",
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail too.")] = False,
) -> None:
    """Check specs, and report every error at once: exit status 0, 1 (warnings) or 2."""
    from thinkgraph.graphs.checker.check import check_files
    from thinkgraph.graphs.checker.reporters import render

    problems = check_files(files)
    with reader():
        if form == "text":
            print(render(problems, "text"))
        else:
            print_json(render(problems, form))
    if any(problem.severity == "error" for problem in problems):
        raise typer.Exit(2)
    if problems and strict:
        raise typer.Exit(1)


def schema() -> None:
    """Print the JSON Schema of the graph language, for editors."""
    from thinkgraph.graphs.language.reference import json_schema

    with reader():
        print_json(json_schema().rstrip("\n"))
