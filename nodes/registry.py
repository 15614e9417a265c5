"""The registry of node kinds: built-in, installed as a plugin, or registered."""

from __future__ import annotations

import importlib
import inspect
import logging
import pkgutil
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.nodes import kinds, sharing
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.entry_points import load_entry_points, origin
from thinkgraph.nodes.python_file import load_python_file

_registered: dict[str, type[Node]] = {}
_imported: dict[Path, list[str]] = {}
_logger = logging.getLogger(__name__)
K = TypeVar("K", bound=type[Node])

GROUP = "thinkgraph.nodes"
"""The group of entry points under which installed packages offer node kinds."""
_TAKEN = frozenset({"kind", "use", "params", "budget"})


def node_kinds() -> dict[str, type[Node]]:
    """All node kinds by name: built-in ones, those of installed packages, and registered ones.

    A package offers kinds by an entry point of the group ``thinkgraph.nodes``, which names a class
    or a module that registers kinds. A folder of ``THINKGRAPH_PATH`` has Python files with kinds in
    ``kinds/``. What can't be loaded is skipped with a warning.
    """
    _load_files(sharing.setting())
    return {**built_in_kinds(), **_installed(), **_registered}


@cache
def _load_files(setting: tuple[str, str]) -> None:
    """Register the kinds of the files that the environment names; one that fails is logged."""
    files = [file for folder in sharing.folders() for file in sorted(folder.glob("kinds/*.py"))]
    for file in [*files, *sharing.imported_files()]:
        try:
            import_kinds(file)
        except ThinkgraphError as error:
            _logger.warning("%s", error)


def import_kinds(file: str | Path) -> list[str]:
    """Register the node kinds of a Python file and return their names.

    These are the classes of the file that set ``kind``, and those that it registers itself.

    Raises:
        ThinkgraphError: the file can't be run, or a name is taken.
    """
    path = Path(file).resolve()
    if path in _imported:
        return _imported[path]
    before = dict(_registered)
    _imported[path] = []  # the file may list the kinds while it is loaded
    try:
        module = load_python_file("node kinds", path)
        for _, member in inspect.getmembers(module, inspect.isclass):
            own = member.__module__ == module.__name__ and "kind" in vars(member)
            if own and issubclass(member, Node) and _registered.get(member.kind) is not member:
                register(member)
    except (ValueError, ThinkgraphError) as error:
        del _imported[path]
        _registered.clear()
        _registered.update(before)
        said = error if isinstance(error, ThinkgraphError) else f"node kinds of {file}: {error}"
        raise ThinkgraphError(str(said)) from None
    _imported[path] = [name for name in _registered if name not in before]
    return _imported[path]


def register(kind: K) -> K:
    """Register a class as a node kind and return it, so that it can be used as a decorator.

    Raises:
        ValueError: the class is not a valid node kind, or another kind has its name.
    """
    _check(kind, built_in_kinds())
    known = _registered.get(kind.kind)
    if known is not None and _origin(known) != _origin(kind):
        raise ValueError(f"there is a node kind {kind.kind!r} already: {_origin(known)}")
    _registered[kind.kind] = kind
    return kind


def shared_kinds() -> dict[str, tuple[type[Node], str]]:
    """The kinds that aren't built in, each with its origin."""
    known = {n: kind for n, kind in node_kinds().items() if n not in built_in_kinds()}
    files = {name: str(file) for file, names in _imported.items() for name in names}
    packages = {name: origin(GROUP, name) for name in known if name in _installed()}
    return {n: (kind, (packages | files).get(n, _origin(kind))) for n, kind in known.items()}


def _check(kind: Any, known: Mapping[str, type[Node]]) -> None:
    if not (inspect.isclass(kind) and issubclass(kind, Node)):
        raise ValueError(f"{kind!r} is not a node kind: a subclass of thinkgraph's Node")
    name = getattr(kind, "kind", None)
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise ValueError(f'{kind.__name__}: `kind` should be its name, such as "shout"')
    if not isinstance(getattr(kind, "about", None), str):
        raise ValueError(f"{kind.__name__}: `about` should be a line on what it does")
    if inspect.isabstract(kind) or kind.run is Node.run:
        raise ValueError(f"{kind.__name__}: it has no `run`")
    if taken := _TAKEN & kind.model_fields.keys():
        raise ValueError(f"{kind.__name__}: no setting can be called {', '.join(sorted(taken))}")
    if name in known:
        raise ValueError(f"there is a node kind {name!r} already: {_origin(known[name])}")


def _origin(kind: type[Node]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


@cache
def built_in_kinds() -> dict[str, type[Node]]:
    """The kinds of ``nodes/kinds/``, by their names."""
    found: dict[str, type[Node]] = {}
    for module in pkgutil.iter_modules(kinds.__path__, f"{kinds.__name__}."):
        for _, member in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(member, Node) and "kind" in vars(member):
                found[member.kind] = member
    return dict(sorted(found.items()))


@cache
def _installed() -> dict[str, type[Node]]:
    found: dict[str, type[Node]] = {}

    def take(name: str, offered: Any) -> None:
        if not inspect.ismodule(offered):  # importing a module has registered its kinds
            _check(offered, built_in_kinds() | found | _registered)
            found[offered.kind] = offered

    load_entry_points(GROUP, take)
    return found
