"""What installed packages offer by entry points."""

from __future__ import annotations

import logging
from collections.abc import Callable
from importlib import metadata
from typing import Any

_logger = logging.getLogger(__name__)


def load_entry_points(group: str, take: Callable[[str, Any], None]) -> None:
    """Load what installed packages offer under a group of entry points.

    What can't be loaded or taken is left out, and logged: a stranger's package must not stop
    the rest.

    Args:
        group: the group, such as ``thinkgraph.tools``.
        take: is given each name with what it stands for, in the order of the names; it may
            refuse one by raising an exception.
    """
    for entry in sorted(metadata.entry_points(group=group), key=lambda each: each.name):
        try:
            take(entry.name, entry.load())
        except (Exception, SystemExit) as error:
            what = group.partition(".")[2]
            _logger.warning("%s of %s can't be loaded: %s", what, entry.value, error)


def origin(group: str, name: str) -> str:
    """The package that offers a name under a group of entry points, with its version."""
    for entry in metadata.entry_points(group=group, name=name):
        if entry.dist is not None:
            return f"{entry.dist.name} {entry.dist.version}"
    return "a package"
