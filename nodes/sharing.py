"""Shared files: those of installed packages and of the folders in ``THINKGRAPH_PATH``.

A folder in ``THINKGRAPH_PATH`` holds strategies (``*.yaml``), prompts (``prompts/*.yaml``), and
Python files with node kinds, tools and verifiers (``kinds/*.py`` and so on). An installed package
offers strategies or prompts by an entry point that names the package with the files.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, NamedTuple

from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.nodes.entry_points import load_entry_points, origin

PATH = "THINKGRAPH_PATH"
"""Environment variable that lists folders, separated by ``os.pathsep``."""
IMPORT = "THINKGRAPH_IMPORT"
"""The same for Python files with node kinds; set by ``--import``, so that processes inherit it."""
SUFFIX = ".yaml"

_logger = logging.getLogger(__name__)


class Shared(NamedTuple):
    """A shared file."""

    name: str
    file: Traversable
    origin: str
    """Source of the file: a package with its version, or a folder."""


def setting() -> tuple[str, str]:
    """The values of both environment variables: the key of caches of what was found."""
    return os.environ.get(PATH, ""), os.environ.get(IMPORT, "")


def folders() -> list[Path]:
    """The folders of ``THINKGRAPH_PATH``; a missing one is skipped with a warning."""
    return list(_existing(PATH, Path.is_dir, "folder"))


def imported_files() -> list[Path]:
    """The Python files of ``THINKGRAPH_IMPORT``."""
    return list(_existing(IMPORT, Path.is_file, "file"))


def shared_files(group: str, within: str, taken: Collection[str]) -> dict[str, Shared]:
    """The shared YAML files, by file name without suffix.

    Of several files with the same name the first is used (folders come before packages); the
    others are skipped with a warning.

    Args:
        group: group of the packages' entry points.
        within: subfolder of each folder in ``THINKGRAPH_PATH``; empty for the folder itself.
        taken: built-in names, which shared files can't have.
    """
    found: dict[str, Shared] = {}
    for each in [*_in_folders(within), *_in_packages(group)]:
        if each.name in taken or each.name in found:
            first = found[each.name].origin if each.name in found else "built in"
            said = "%s: %r of %s is skipped: the name is taken (%s)"
            _logger.warning(said, group.partition(".")[2], each.name, each.origin, first)
            continue
        found[each.name] = each
    return dict(sorted(found.items()))


def shared_objects(
    within: str, read: Callable[[str, Path], Mapping[str, Any]]
) -> dict[str, tuple[Any, str]]:
    """The objects that Python files in the folders of ``THINKGRAPH_PATH`` define, by name.

    Each comes with its file. Of several objects with the same name the first is used. A file that
    can't be loaded is skipped with a warning.

    Args:
        within: the subfolder: ``tools`` or ``verifiers``.
        read: returns the objects of a file, given a label for errors and the file.
    """
    found: dict[str, tuple[Any, str]] = {}
    for file in [f for folder in folders() for f in sorted((folder / within).glob("*.py"))]:
        try:
            defined = read(within, file)
        except ThinkgraphError as error:
            _logger.warning("%s", error)
            continue
        for name, each in defined.items():
            if name in found:
                said = "%s: %r of %s is skipped: the name is taken (%s)"
                _logger.warning(said, within, name, file, found[name][1])
            found.setdefault(name, (each, str(file)))
    return found


def _in_folders(within: str) -> Iterator[Shared]:
    for folder in folders():
        yield from _yaml_files(folder / within, str(folder))


def _in_packages(group: str) -> list[Shared]:
    found: list[Shared] = []

    def take(name: str, package: Any) -> None:
        found.extend(_yaml_files(resources.files(package), origin(group, name)))

    load_entry_points(group, take)
    return found


def _yaml_files(folder: Traversable, origin: str) -> Iterator[Shared]:
    if not folder.is_dir():
        return
    for file in sorted(folder.iterdir(), key=lambda each: each.name):
        if file.name.endswith(SUFFIX) and file.is_file():
            yield Shared(file.name.removesuffix(SUFFIX), file, origin)


def _existing(variable: str, exists: Any, what: str) -> Iterator[Path]:
    for text in os.environ.get(variable, "").split(os.pathsep):
        if not text.strip():
            continue
        path = Path(text).expanduser()
        if exists(path):
            yield path
        else:
            _logger.warning("%s: there is no %s %s", variable, what, text)
