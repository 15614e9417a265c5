"""Strategies that a request or the page's editor brings along; they can use no file."""

from __future__ import annotations

from pathlib import Path

from thinkgraph.graphs.checker.check import check
from thinkgraph.graphs.graph import Graph
from thinkgraph.graphs.language.document import Document
from thinkgraph.graphs.language.problem import SpecError
from thinkgraph.graphs.language.spec import Spec
from thinkgraph.serve.errors import RequestError
from thinkgraph.serve.service import Service

NOWHERE = Path("/a folder that does not exist")
"""Where the files lie that such a spec may use: it can name strategies, and no file."""


def parse_spec(service: Service, text: str) -> Graph:
    """The strategy of a request's YAML text, checked; it can use no file.

    Raises:
        RequestError: the server takes no specs, or this one has errors; the message is the report.
    """
    if not service.settings.specs:
        raise RequestError(
            "this server runs no specs of requests; start it with --allow-specs",
            status=403,
            param="thinkgraph.spec",
        )
    try:
        return foreign_graph(text, "thinkgraph.spec")
    except SpecError as error:
        raise RequestError(str(error), param="thinkgraph.spec", code="invalid_spec") from None


def foreign_document(text: str, file: str) -> Document:
    """A spec that isn't the server's own, parsed; ``file`` is its name in problems."""
    return Document.parse(text, file, folder=NOWHERE)


def foreign_graph(text: str, file: str) -> Graph:
    """The strategy of such a spec.

    Raises:
        SpecError: it has errors.
    """
    document = foreign_document(text, file)
    problems = check(document)
    if any(each.severity == "error" for each in problems):
        raise SpecError(problems)
    return Graph.of(Spec.model_validate(document.data), NOWHERE)
