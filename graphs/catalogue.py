"""The catalogue of saved graphs: built-in and shared ones by name, other files by path."""

from __future__ import annotations

import difflib
import os
import re
from functools import cache
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path, PurePosixPath, PureWindowsPath

from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.nodes.sharing import Shared, setting, shared_files

SUFFIXES = (".yaml", ".yml", ".json")


class GraphNotFound(ThinkgraphError):
    """There is no graph of this name, or no file at this path.

    Attributes:
        nearest: the most similar name of a graph or file, or None.
    """

    def __init__(self, message: str, nearest: str | None = None) -> None:
        self.nearest = nearest
        super().__init__(message)


@cache
def builtin_names() -> tuple[str, ...]:
    """The names of the built-in graphs, sorted."""
    return tuple(sorted(file.name.removesuffix(".yaml") for file in _strategies()))


GROUP = "thinkgraph.strategies"
"""Entry point group through which installed packages provide folders of strategies."""


def names() -> tuple[str, ...]:
    """The names of all graphs: the built-in ones, followed by shared ones."""
    return (*builtin_names(), *shared_graphs(setting()))


@cache
def shared_graphs(setting: tuple[str, str]) -> dict[str, Shared]:
    """Shared graphs of packages and ``THINKGRAPH_PATH``, by name, cached per ``setting``."""
    return shared_files(GROUP, "", builtin_names())


def _strategies() -> list[Traversable]:
    folder = resources.files("thinkgraph.graphs").joinpath("strategies")
    return [file for file in folder.iterdir() if file.name.endswith(".yaml")]


def about(name: str) -> str:
    """The ``about`` text of a graph on one line, read without checking the graph.

    Raises:
        GraphNotFound: there is no such graph.
        ValueError: the file is not UTF-8.
        YAMLError: the text is not YAML.
    """
    from ruamel.yaml import YAML  # noqa: PLC0415 (not needed to find a graph)

    sections = re.split(r"^(?=[a-z]+:)", find(name).read_text("utf-8"), flags=re.MULTILINE)
    said = next((section for section in sections if section.startswith("about:")), "about: ''")
    return " ".join(str(YAML(typ="safe").load(said)["about"]).split())


def find(source: str | Path) -> Traversable:
    """The file of a graph: a built-in or shared one by its name, or the path itself.

    Raises:
        GraphNotFound: there is neither; the message suggests the nearest name.
    """
    if isinstance(source, str) and source in builtin_names():
        return resources.files("thinkgraph.graphs").joinpath("strategies", f"{source}.yaml")
    if isinstance(source, str) and source in (shared := shared_graphs(setting())):
        return shared[source].file
    path = Path(source).expanduser()
    if _exists(path):
        return path
    if isinstance(source, Path) or _looks_like_a_path(source):
        raise GraphNotFound(f"there is no file {str(source)!r}; {_beside(path)}")
    raise _unknown(source)


def find_used(use: str, folder: Path | None) -> Traversable:
    """The file of a spec's ``use``: a built-in or shared graph, or one below the spec's folder.

    Args:
        use: the name of a graph, or a path relative to the spec's folder.
        folder: the spec's folder; None if the spec isn't a file.

    Raises:
        GraphNotFound: there is none, or the path leads out of the spec's folder.
    """
    if use in names():
        return find(use)
    if not _looks_like_a_path(use):
        raise _unknown(use)
    if "://" in use or PureWindowsPath(use).anchor or ".." in PurePosixPath(use).parts:
        raise GraphNotFound(f"{use!r} is not a file beside this one; copy it into this folder")
    path = (folder or Path()) / use
    if not _exists(path) or not path.resolve().is_relative_to((folder or Path()).resolve()):
        raise GraphNotFound(f"there is no file {use!r} beside this one")
    return path


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _looks_like_a_path(source: str) -> bool:
    return "/" in source or "\\" in source or source.lower().endswith(SUFFIXES)


def _beside(path: Path) -> str:
    """A hint for a missing file: the most similar spec in its folder, or where to find a list."""
    try:
        specs = [each.name for each in path.parent.iterdir() if each.suffix.lower() in SUFFIXES]
    except (OSError, ValueError):
        specs = []
    near = difflib.get_close_matches(path.name, specs, n=1)
    if near:
        return f"did you mean {str(path.parent / near[0])!r}?"
    return "`thinkgraph list` shows the built-in strategies"


def _unknown(name: str) -> GraphNotFound:
    near = difflib.get_close_matches(name, names(), n=1)
    near = [f"{name}{end}" for end in SUFFIXES if os.path.isfile(f"{name}{end}")][:1] or near
    known = ", ".join(names())
    hint = (
        f"did you mean {near[0]!r}?" if near else f"expected the path of a file, or one of {known}"
    )
    return GraphNotFound(f"there is no graph {name!r}; {hint}", near[0] if near else None)
