"""The architecture: modules import each other one way, layer by layer, and no folder is crowded."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("models", "nodes", "graphs", "thinkgraph")
"""The folders of the package, the lowest first."""
LAYERS = {
    "graphs": (
        "language.problem",
        "catalogue",
        "language",
        "record|requirements",
        "checker",
        "pictures",
        "runtime",
        "graph",
        "planning",
    ),
    "graphs.checker": (
        "schema_errors|python_document|reporters",
        "context",
        "checks",
        "check|given",
    ),
    "nodes": (
        "code_blocks|event|population|answers|request|entry_points|python_file|person",
        "sharing",
        "tools|prompts|quality",
        "step",
        "base",
        "budget_forcing|judging|trajectory",
        "kinds",
        "registry",
        "function_node",
    ),
}
"""By the folder, its parts from the lowest to the highest; each may import those before it."""
MOST_MODULES = 14


def modules() -> dict[str, Path]:
    """Every module of the package by its name without `thinkgraph.`; of a package, its folder's."""
    found = {}
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(part for part in parts if part != "__init__")] = path
    return found


MODULES = modules()


def imported(path: Path) -> Iterator[str]:
    """The package's modules that a file imports anywhere: late, and for types alone, too."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path} has a relative import"
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            yield from module_of(name)


def module_of(name: str) -> Iterator[str]:
    """The module that has a name of the package, if one has."""
    if name.partition(".")[0] != "thinkgraph":
        return
    inner = name.removeprefix("thinkgraph.")
    for candidate in (inner, inner.rpartition(".")[0], name, name.rpartition(".")[0]):
        if candidate in MODULES:
            yield candidate
            return


IMPORTS = {name: set(imported(path)) - {name} for name, path in MODULES.items()}


def test_every_import_of_the_package_was_found() -> None:
    assert len(MODULES) > 100
    assert "graphs.language.spec" in IMPORTS["graphs.graph"]
    assert "graphs.graph" in IMPORTS["thinkgraph"]
    assert sum(map(len, IMPORTS.values())) > 3 * len(MODULES)


def test_no_modules_import_each_other_in_a_circle() -> None:
    try:
        TopologicalSorter(IMPORTS).prepare()
    except CycleError as error:
        pytest.fail(f"modules import each other: {' <- '.join(error.args[1])}")


def test_rooms_import_only_the_rooms_below_them() -> None:
    rank = {room: number for number, room in enumerate(ROOMS)}
    upward = [
        f"{name} imports {other}"
        for name, others in IMPORTS.items()
        for other in others
        if rank[room(other)] > rank[room(name)]
    ]
    assert not upward


def room(name: str) -> str:
    return name.partition(".")[0]


@pytest.mark.parametrize("folder", LAYERS)
def test_layers_import_only_the_layers_below_them(folder: str) -> None:
    inside = [name for name in IMPORTS if name.startswith(f"{folder}.")]
    assert inside
    upward = [
        f"{name} imports {other}"
        for name in inside
        for other in IMPORTS[name] & set(inside)
        if layer(folder, other) > layer(folder, name)
    ]
    assert not upward


def layer(folder: str, name: str) -> int:
    """The number of a module's layer in its folder, from the lowest; the longest name counts."""
    part = name.removeprefix(f"{folder}.")
    found = [
        (len(each), number)
        for number, layer in enumerate(LAYERS[folder])
        for each in layer.split("|")
        if part == each or part.startswith(f"{each}.")
    ]
    assert found, f"{name} is in no layer of {folder}: {', '.join(LAYERS[folder])}"
    return max(found)[1]


def test_no_folder_holds_more_than_about_a_dozen_modules() -> None:
    folders = {path.parent for path in MODULES.values()}
    counts = {
        str(folder.relative_to(ROOT)): sum(path.name != "__init__.py" for path in each)
        for folder, each in ((folder, list(folder.glob("*.py"))) for folder in folders)
    }
    crowded = {folder: count for folder, count in counts.items() if count > MOST_MODULES}
    assert not crowded
