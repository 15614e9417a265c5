"""The registry of node kinds: built-in, installed as a plugin, or registered."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from collections.abc import Mapping
from functools import cache
from typing import Any, TypeVar

from thinkgraph.nodes import kinds
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.entry_points import load_entry_points

_registered: dict[str, type[Node]] = {}
K = TypeVar("K", bound=type[Node])

GROUP = "thinkgraph.nodes"
"""The group of entry points under which installed packages offer node kinds."""
_TAKEN = frozenset({"kind", "use", "params", "budget"})


def node_kinds() -> dict[str, type[Node]]:
    """Every kind by its name: built-in ones, those of installed packages, and registered ones.

    A package offers a kind by an entry point of the group ``thinkgraph.nodes`` that names the
    class, or a module that registers some. One that can't be loaded is left out, and logged.
    """
    return {**built_in_kinds(), **_installed(), **_registered}


def register(kind: K) -> K:
    """Register a class as a node kind; returns it, so it can be a decorator.

    Raises:
        ValueError: it lacks a name or its line, or another kind has its name.
    """
    _check(kind, built_in_kinds())
    known = _registered.get(kind.kind)
    if known is not None and _origin(known) != _origin(kind):
        raise ValueError(f"there is a node kind {kind.kind!r} already: {_origin(known)}")
    _registered[kind.kind] = kind
    return kind


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
        if not inspect.ismodule(offered):  # a module has registered its kinds by now
            _check(offered, built_in_kinds() | found | _registered)
            found[offered.kind] = offered

    load_entry_points(GROUP, take)
    return found
