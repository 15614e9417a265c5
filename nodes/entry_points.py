"""Entry points of installed packages."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import metadata
from typing import Any

_logger = logging.getLogger(__name__)


def load_entry_points(group: str, take: Callable[[str, Any], None]) -> None:
    """Load the entry points of a group from all installed packages.

    One that can't be loaded or is refused is skipped with a warning: a third-party package must
    not break the others.

    Args:
        group: the group, such as ``thinkgraph.tools``.
        take: called with each name and the loaded object, in the order of the names; it may
            refuse one by raising an exception.
    """
    for entry in sorted(metadata.entry_points(group=group), key=lambda each: each.name):
        try:
            take(entry.name, entry.load())
        except (Exception, SystemExit) as error:
            what = group.partition(".")[2]
            _logger.warning("%s of %s can't be loaded: %s", what, entry.value, error)


def origin(group: str, name: str) -> str:
    """The name and version of the package that provides an entry point."""
    for entry in metadata.entry_points(group=group, name=name):
        if entry.dist is not None:
            return f"{entry.dist.name} {entry.dist.version}"
    return "a package"
