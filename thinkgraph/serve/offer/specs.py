"""Specs from requests and from the page's editor, which can't use files."""

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
"""Folder of such a spec; since it doesn't exist, the spec can name strategies, but no files."""


def parse_spec(service: Service, text: str) -> Graph:
    """Parse and check the YAML spec of a request, which can't use files.

    Raises:
        RequestError: the server allows no specs, or this one has errors; the message lists them.
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
    """Parse a spec that isn't the server's own; ``file`` is its name in error messages."""
    return Document.parse(text, file, folder=NOWHERE)


def foreign_graph(text: str, file: str) -> Graph:
    """Check a spec that isn't the server's own, and return its graph.

    Raises:
        SpecError: the spec has errors.
    """
    document = foreign_document(text, file)
    problems = check(document)
    if any(each.severity == "error" for each in problems):
        raise SpecError(problems)
    return Graph.of(Spec.model_validate(document.data), NOWHERE)
