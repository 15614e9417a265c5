"""Strategies that a request brings along, where the server allows it."""

from __future__ import annotations

from thinkgraph.graphs.catalogue import names
from thinkgraph.graphs.checker.check import check
from thinkgraph.graphs.graph import Graph
from thinkgraph.graphs.language.document import Document
from thinkgraph.graphs.language.problem import SpecError
from thinkgraph.graphs.language.spec import Spec
from thinkgraph.serve.errors import RequestError
from thinkgraph.serve.service import Service


def parse_spec(service: Service, text: str) -> Graph:
    """The strategy of a YAML text, checked; it can use built-in and shared graphs, and no file.

    Raises:
        RequestError: the server takes no specs, or this one has errors; the message is the report.
    """
    if not service.settings.specs:
        raise RequestError(
            "this server runs no specs of requests; start it with --allow-specs",
            status=403,
            param="thinkgraph.spec",
        )
    document = Document.parse(text, "thinkgraph.spec")
    nodes = document.data.get("nodes") if isinstance(document.data, dict) else None
    for node in nodes.values() if isinstance(nodes, dict) else ():
        use = node.get("use") if isinstance(node, dict) else None
        if use is not None and use not in names():
            raise RequestError(
                f"a spec of a request can use built-in and shared graphs only, not {use!r}",
                param="thinkgraph.spec",
            )
    problems = check(document)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        raise RequestError(str(SpecError(errors)), param="thinkgraph.spec", code="invalid_spec")
    return Graph.of(Spec.model_validate(document.data))
