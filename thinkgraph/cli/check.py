"""``thinkgraph check`` and ``schema``: for who writes strategies."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer


class Report(StrEnum):
    """How the checker can report."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"


def check(
    files: Annotated[list[str], typer.Argument(help="Specs, or names of built-in graphs.")],
    form: Annotated[Report, typer.Option("--format", help="How to report.")] = Report.TEXT,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail too.")] = False,
) -> None:
    """Check specs, and report every error at once: exit status 0, 1 (warnings) or 2."""
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
