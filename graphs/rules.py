"""The rules of the checker: every code, what it means, a bad example and its mend."""

from __future__ import annotations

from thinkgraph.graphs.problem import Place, Problem

WARNINGS = {"TG211", "TG212", "TG213"}


def problem(code: str, message: str, place: Place, hint: str = "") -> Problem:
    """A problem with a rule's code and severity."""
    return Problem(
        code=code,
        severity="warning" if code in WARNINGS else "error",
        message=message,
        hint=hint,
        **place._asdict(),
    )
