"""A Python file of a user's own: the functions and tools that it defines."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

from thinkgraph.models.errors import ThinkgraphError


def load_python_file(what: str, path: str | Path) -> ModuleType:
    """Run a Python file as a module.

    Args:
        what: who asks for it, such as an option, for the errors.
        path: the file.

    Raises:
        ThinkgraphError: there is no such file, or it fails when it is run.
    """
    file = Path(path)
    if not file.is_file():
        raise ThinkgraphError(f"{what}: there is no file {file}")
    digest = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:12]  # of two of one name
    spec = importlib.util.spec_from_file_location(f"thinkgraph_file_{file.stem}_{digest}", file)
    if spec is None or spec.loader is None:
        raise ThinkgraphError(f"{what}: {file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where pydantic looks for the types of its functions
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[spec.name]
        raise ThinkgraphError(
            f"{what}: {file} can't be loaded: {type(error).__name__}: {error}"
        ) from error
    return module


def functions(what: str, path: str | Path) -> dict[str, Callable[..., Any]]:
    """The functions that a file defines, by name, but for those that begin with ``_``.

    Raises:
        ThinkgraphError: the file can't be loaded, or defines none.
    """
    return defined(what, "function", path, is_function)


def defined(
    what: str, kind: str, path: str | Path, takes: Callable[[ModuleType, Any], bool]
) -> dict[str, Any]:
    """What a file defines of a kind, by name, but for names that begin with ``_``.

    Args:
        what: who asks for it, for the errors.
        kind: what it is called in them.
        path: the file.
        takes: whether something in the module is of the kind, and not imported.

    Raises:
        ThinkgraphError: the file can't be loaded, or defines none.
    """
    module = load_python_file(what, path)
    found = {n: v for n, v in vars(module).items() if not n.startswith("_") and takes(module, v)}
    if not found:
        raise ThinkgraphError(f"{what}: {path} defines no {kind} whose name doesn't begin with _")
    return found


def is_function(module: ModuleType, found: Any) -> bool:
    """Whether something is a function that the module defines."""
    return inspect.isfunction(found) and found.__module__ == module.__name__
