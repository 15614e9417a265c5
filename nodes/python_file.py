"""Python files of users: the functions and tools that they define."""

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
        what: label for errors, such as the option that names the file.
        path: the file.

    Raises:
        ThinkgraphError: there is no such file, or it fails when it is run.
    """
    file = Path(path)
    if not file.is_file():
        raise ThinkgraphError(f"{what}: there is no file {file}")
    own = hashlib.sha256(str(file.resolve()).encode()).hexdigest()[:12]  # stems are not unique
    spec = importlib.util.spec_from_file_location(f"thinkgraph_file_{file.stem}_{own}", file)
    if spec is None or spec.loader is None:
        raise ThinkgraphError(f"{what}: {file} is not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # pydantic resolves annotations of the file there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[spec.name]
        raise ThinkgraphError(
            f"{what}: {file} can't be loaded: {type(error).__name__}: {error}"
        ) from error
    return module


def functions(what: str, path: str | Path) -> dict[str, Callable[..., Any]]:
    """The functions that a file defines, by name, except those that begin with ``_``.

    Raises:
        ThinkgraphError: the file can't be loaded, or defines none.
    """
    module = load_python_file(what, path)
    found = {name: each for name, each in _public(module) if inspect.isfunction(each)}
    return _some(what, "function", path, found)


def tools(what: str, path: str | Path) -> dict[str, Any]:
    """The tools that a file defines, by name: functions, LangChain tools and ``ToolFactory``.

    Functions and classes that the file imports don't count; imported tool objects do.

    Raises:
        ThinkgraphError: the file can't be loaded, or defines none.
    """
    module = load_python_file(what, path)
    found = {_name(each) or name: each for name, each in _public(module)}
    return _some(what, "function or tool", path, found)


def _name(tool: Any) -> str:
    """The tool's own name; for a class, the default of its field ``name``."""
    field = getattr(tool, "model_fields", {}).get("name") if inspect.isclass(tool) else None
    own = field.default if field else getattr(tool, "name", "")
    return own if isinstance(own, str) else ""


def _public(module: ModuleType) -> list[tuple[str, Any]]:
    """The public tools and functions of a module, without imported functions and classes."""
    return [
        (name, each)
        for name, each in vars(module).items()
        if not name.startswith("_") and _is_offered(each, module.__name__)
    ]


def _is_offered(found: Any, module: str) -> bool:
    from langchain_core.tools import BaseTool  # noqa: PLC0415 (slow to import)

    if inspect.isfunction(found):
        return found.__module__ == module
    if inspect.isclass(found):
        return issubclass(found, BaseTool) and found.__module__ == module
    is_factory = not inspect.ismodule(found) and callable(getattr(found, "make", None))
    return isinstance(found, BaseTool) or is_factory


def _some(what: str, kind: str, path: str | Path, found: dict[str, Any]) -> dict[str, Any]:
    if not found:
        raise ThinkgraphError(f"{what}: {path} defines no {kind} whose name doesn't begin with _")
    return found
