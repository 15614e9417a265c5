"""The checker: every error of a spec at once, each at its place, before a model is loaded."""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from thinkgraph.graphs.catalogue import find
from thinkgraph.graphs.document import Document
from thinkgraph.graphs.problem import Problem, SpecError
from thinkgraph.graphs.rules import problem
from thinkgraph.graphs.spec import Spec


def load(source: str | Path) -> Spec:
    """A graph by its built-in name or its file's path, checked.

    Raises:
        GraphNotFound: there is no such graph.
        SpecError: it has errors; the message is the whole report.
    """
    document = Document.read(find(source))
    problems = check(document)
    if any(found.severity == "error" for found in problems):
        raise SpecError(problems)
    return Spec.model_validate(document.data)


def check(document: Document) -> list[Problem]:
    """Everything that is wrong with a spec, in the order of its text."""
    found = list(document.problems)
    if document.data is not None:
        try:
            Spec.model_validate(document.data)
        except ValidationError as error:
            for e in error.errors():
                found.append(problem("TG101", e["msg"], document.place(tuple(e["loc"]))))
    return sorted(found, key=lambda p: (p.line, p.column))


def check_spec(spec: Spec) -> list[Problem]:
    """Everything that is wrong with a graph made in Python."""
    return []
