"""Reporters: problems as text, as JSON, and as SARIF for editors and continuous integration."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal, get_args

from thinkgraph.graphs.language.problem import Problem, summary
from thinkgraph.graphs.language.rules import RULES

Format = Literal["text", "json", "sarif"]
FORMATS: tuple[Format, ...] = get_args(Format)
SARIF = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"


def render(problems: Iterable[Problem], format: Format = "text") -> str:
    """A report of problems.

    Args:
        problems: what the checker found.
        format: ``text`` underlines the offending lines; ``json`` is one object with the
            ``problems`` and how many ``errors`` and ``warnings`` there are; ``sarif`` is
            SARIF 2.1.0.

    Raises:
        ValueError: the format is unknown.
    """
    found = list(problems)
    if format == "text":
        return "\n\n".join([*map(str, found), summary(found)])
    if format == "json":
        return json.dumps(_counted(found), ensure_ascii=False, indent=2)
    if format == "sarif":
        return json.dumps(_sarif(found), ensure_ascii=False, indent=2)
    raise ValueError(f"{format!r} is not one of {', '.join(FORMATS)}")


def _counted(problems: list[Problem]) -> dict[str, Any]:
    return {
        "problems": [found.model_dump(mode="json") for found in problems],
        "errors": sum(found.severity == "error" for found in problems),
        "warnings": sum(found.severity == "warning" for found in problems),
    }


def _sarif(problems: list[Problem]) -> dict[str, Any]:
    """One run in the format of the OASIS standard, with the rules that were broken."""
    codes = sorted({found.code for found in problems})
    rules = [
        {
            "id": code,
            "shortDescription": {"text": RULES[code].title},
            "fullDescription": {"text": RULES[code].why},
            "defaultConfiguration": {"level": RULES[code].severity},
        }
        for code in codes
    ]
    run = {
        "tool": {"driver": {"name": "thinkgraph", "rules": rules}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(found, codes.index(found.code)) for found in problems],
    }
    return {"version": "2.1.0", "$schema": SARIF, "runs": [run]}


def _result(found: Problem, rule: int) -> dict[str, Any]:
    path = Path(found.file)
    region = {
        "startLine": found.line,
        "startColumn": found.column,
        "endLine": found.end_line,
        "endColumn": found.end_column,
    }
    location = {
        "artifactLocation": {"uri": path.as_uri() if path.is_absolute() else path.as_posix()},
        "region": region,
    }
    return {
        "ruleId": found.code,
        "ruleIndex": rule,
        "level": found.severity,
        "message": {"text": f"{found.message}; {found.hint}" if found.hint else found.message},
        "locations": [{"physicalLocation": location}],
    }
