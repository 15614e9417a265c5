"""Tools and verifiers of installed packages and of the folders in ``THINKGRAPH_PATH``."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from thinkgraph.models.arguments import ArgumentError
from thinkgraph.nodes.entry_points import load_entry_points, origin
from thinkgraph.nodes.sharing import shared_objects

T = TypeVar("T")
_logger = logging.getLogger(__name__)


def offered(
    what: str,
    read: Callable[[str, Path], Mapping[str, Any]],
    take: Callable[[str, Any], T],
) -> dict[str, tuple[T, str]]:
    """Tools or verifiers by name, each with its origin: a file or a package.

    Folders take precedence over packages with the same name. What can't be used is skipped with a
    warning.

    Args:
        what: ``tool`` or ``verifier``; a tool is in a file in ``tools/`` of a folder, or an entry
            point of the group ``thinkgraph.tools``.
        read: returns the objects that a Python file defines.
        take: checks an object, and returns what a run uses.

    Returns:
        Those of packages, then those of folders.
    """
    found: dict[str, tuple[T, str]] = {}
    group = f"thinkgraph.{what}s"

    def installed(name: str, each: Any) -> None:
        found[name] = take(name, each), origin(group, name)

    load_entry_points(group, installed)
    for name, (each, file) in shared_objects(f"{what}s", read).items():
        try:
            found[name] = take(name, each), file
        except ArgumentError as error:
            _logger.warning("%s is skipped: %s", file, error)
    return found
