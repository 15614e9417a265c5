"""The checker's entry point: all errors of a spec at once, before a model is loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

from thinkgraph.graphs.catalogue import GraphNotFound, find
from thinkgraph.graphs.checker.checks import CHECKS
from thinkgraph.graphs.checker.checks.subgraphs import MAX_SUBGRAPHS, params, used
from thinkgraph.graphs.checker.context import CheckContext, TooManyProblems
from thinkgraph.graphs.checker.python_document import PythonDocument
from thinkgraph.graphs.checker.reporters import render
from thinkgraph.graphs.language.document import DataPath, Document
from thinkgraph.graphs.language.problem import Location, Problem, SpecError
from thinkgraph.graphs.language.rules import problem
from thinkgraph.graphs.language.spec import Spec


def load(source: str | Path | Traversable) -> Spec:
    """Load a graph by its built-in name or the path of its file, and check it.

    Raises:
        GraphNotFound: there is no such graph.
        SpecError: it has errors; the message is the whole report.
    """
    document = Document.read(find(source) if isinstance(source, str | Path) else source)
    problems = check(document)
    if any(found.severity == "error" for found in problems):
        raise SpecError(problems)
    return Spec.model_validate(document.data)


def check(
    document: Document,
    *,
    tools: Collection[str] | None = None,
    verifiers: Collection[str] | None = None,
) -> list[Problem]:
    """All problems of a spec and of the graphs that it uses.

    Args:
        document: the spec, read by :meth:`Document.read` or :meth:`Document.parse`.
        tools: the names of the tools that a run would be given; None skips the check.
        verifiers: the same for verifiers.

    Returns:
        Errors and warnings in the order of the text, followed by those of used graphs; empty if
        there are none.
    """
    return _Check(tools, verifiers).problems(document)


def check_spec(
    spec: Spec | Mapping[str, Any],
    locations: Mapping[DataPath, tuple[str, int]] | None = None,
    folder: Path | None = None,
) -> list[Problem]:
    """All problems of a graph composed in Python.

    Args:
        spec: the graph; plain data need not be a valid :class:`Spec`.
        locations: the file and line of Python that made each part, by its path in the spec, such
            as ``("nodes", "draft")``, ``("edges", 0)`` or ``()`` for the whole.
        folder: the folder of the files that it uses.
    """
    data = spec.plain if isinstance(spec, Spec) else dict(spec)
    return check(PythonDocument(data, locations, folder))


def check_files(
    paths: Iterable[str | Path],
    *,
    tools: Collection[str] | None = None,
    verifiers: Collection[str] | None = None,
) -> list[Problem]:
    """All problems of several specs; a missing file is a problem too.

    Args:
        paths: the files, or names of built-in graphs.
        tools: the names of the tools that a run would be given; None skips the check.
        verifiers: the same for verifiers.
    """
    found: dict[Problem, None] = {}
    for path in paths:
        try:
            found |= dict.fromkeys(
                check(Document.read(find(path)), tools=tools, verifiers=verifiers)
            )
        except GraphNotFound as error:
            message, _, hint = str(error).partition("; ")
            found[problem("TG001", message, Location(str(path)), hint)] = None
    return list(found)


__all__ = ["check", "check_files", "check_spec", "load", "render"]


class _Check:
    """One check of a spec and of all the graphs that it uses, each of them once."""

    def __init__(self, tools: Collection[str] | None, verifiers: Collection[str] | None) -> None:
        self._tools, self._verifiers = tools, verifiers
        self._contexts: dict[str, CheckContext] = {}
        self._open: list[str] = []

    def problems(self, document: Document) -> list[Problem]:
        """The problems of the spec, and then those of each graph that it uses."""
        self._check(document)
        return [
            found
            for context in self._contexts.values()
            for found in sorted(context.found, key=lambda each: (each.file, each.line, each.column))
        ]

    def _check(self, document: Document) -> CheckContext:
        context = CheckContext.of(document, self._tools, self._verifiers)
        self._contexts[_key(document)] = context
        self._open.append(_key(document))
        try:
            context.check_schema()
            for each in CHECKS:
                each(context)
            params(context, self._used(context))
        except TooManyProblems:
            pass
        self._open.pop()
        return context

    def _used(self, context: CheckContext) -> dict[str, CheckContext]:
        graphs = {}
        for name, document in used(context).items():
            node = next(
                node
                for node, spec in context.nodes.items()
                if spec.used and spec.used.graph == name
            )
            path = ("nodes", node, "use")
            key = _key(document)
            if key in self._open:
                context.report("TG502", path, f"`{name}` uses itself")
                continue
            if key not in self._contexts and len(self._contexts) > MAX_SUBGRAPHS:
                context.report("TG502", path, f"a graph can use at most {MAX_SUBGRAPHS} others")
                continue
            graphs[name] = self._contexts.get(key) or self._check(document)
            if any(found.severity == "error" for found in graphs[name].found):
                hint = "they are reported at that file"
                context.report("TG506", path, f"the graph `{name}` has errors", hint)
        return graphs


def _key(document: Document) -> str:
    return (
        document.file
        if isinstance(document, PythonDocument)
        else str(Path(document.file).resolve())
    )
