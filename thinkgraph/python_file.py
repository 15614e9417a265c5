"""Functions and tools of a user's own Python file, which a command line names."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.nodes.python_file import load_python_file


def functions(what: str, path: str | Path) -> dict[str, Callable[..., Any]]:
    """The functions that a file defines, by name, but for those that begin with ``_``.

    Raises:
        ThinkgraphError: the file can't be loaded, or defines none.
    """
    module = load_python_file(what, path)
    found = {name: each for name, each in _public(module) if inspect.isfunction(each)}
    return _some(what, "function", path, found)


def tools(what: str, path: str | Path) -> dict[str, Any]:
    """The tools that a file defines, by name: functions, LangChain tools and ``ToolFactory``.

    Raises:
        ThinkgraphError: the file can't be loaded, or defines none.
    """
    module = load_python_file(what, path)
    found = {getattr(each, "name", "") or name: each for name, each in _public(module)}
    return _some(what, "function or tool", path, found)


def _public(module: ModuleType) -> list[tuple[str, Any]]:
    """What a module defines itself, and not what it imports."""
    return [
        (name, each)
        for name, each in vars(module).items()
        if not name.startswith("_") and module.__name__ in _homes(each)
    ]


def _homes(found: Any) -> list[str]:
    """The modules that a function, or what a tool is made of, may be defined in."""
    if inspect.isfunction(found):
        return [found.__module__]
    parts = (getattr(found, name, None) for name in ("func", "coroutine", "make"))
    return [part.__module__ for part in parts if callable(part)]


def _some(what: str, kind: str, path: str | Path, found: dict[str, Any]) -> dict[str, Any]:
    if not found:
        raise ThinkgraphError(f"{what}: {path} defines no {kind} whose name doesn't begin with _")
    return found
