"""``thinkgraph check`` and ``schema``: for authors of strategies."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Report(StrEnum):
    """The output formats of the checker."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


def check(
    files: Annotated[
        list[str], typer.Argument(help="Paths of specs, or names of built-in graphs.")
    ],
    form: Annotated[Report, typer.Option("--format", help="Output format.")] = Report.TEXT,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 1 if there are warnings.")
    ] = False,
) -> None:
    """Check specs and report all errors. Exit status 2 with errors, 1 with warnings (--strict)."""
    from thinkgraph.graphs.checker.check import check_files
    from thinkgraph.graphs.checker.reporters import render

    problems = check_files(files)
    typer.echo(render(problems, form.value))
    if any(problem.severity == "error" for problem in problems):
        raise typer.Exit(2)
    if problems and strict:
        raise typer.Exit(1)


def schema() -> None:
    """Print the JSON Schema of the graph language, for editors."""
    from thinkgraph.graphs.language.reference import json_schema

    typer.echo(json_schema(), nl=False)
