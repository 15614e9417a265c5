"""A Python file of a user's own, run as a module."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

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
    spec = importlib.util.spec_from_file_location(f"thinkgraph_file_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise ThinkgraphError(f"{what}: {file} is no Python file")
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
