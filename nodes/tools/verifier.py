"""Verifiers by name: functions of the host's that judge what a model wrote."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from thinkgraph.models.arguments import ArgumentError
from thinkgraph.nodes import python_file
from thinkgraph.nodes.entry_points import load_entry_points
from thinkgraph.nodes.sharing import setting, shared_objects
from thinkgraph.nodes.tools.tool import accepted, checked_name

GROUP = "thinkgraph.verifiers"
"""The group of entry points under which installed packages offer verifiers."""

Verifier = Callable[..., Any]
"""A function that judges a candidate."""


def bind_verifiers(given: Mapping[str, Verifier] | None) -> dict[str, Verifier]:
    """Verifiers as a host gives them.

    Raises:
        ArgumentError: one is no function, or has no name that a spec could have.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ArgumentError(f"verifiers are a mapping from names to functions, not {given!r}")
    return {checked_name("verifier", name): _function(name, each) for name, each in given.items()}


def all_verifiers(given: Mapping[str, Verifier]) -> Mapping[str, Verifier]:
    """The verifiers that a run may use: those given, those of folders, then those of packages."""
    return ChainMap(dict(given), shared_verifiers(setting()), installed_verifiers())


@cache
def shared_verifiers(setting: tuple[str, str]) -> dict[str, Verifier]:
    """The verifiers of the folders of ``THINKGRAPH_PATH``: what ``verifiers/*.py`` define."""
    return accepted("verifier", shared_objects("verifiers", python_file.functions), _function)


@cache
def installed_verifiers() -> dict[str, Verifier]:
    """The verifiers of installed packages: entry points of ``thinkgraph.verifiers``."""
    found: dict[str, Verifier] = {}

    def take(name: str, verifier: Any) -> None:
        found[checked_name("verifier", name)] = _function(name, verifier)

    load_entry_points(GROUP, take)
    return found


def _function(name: str, verifier: Any) -> Verifier:
    if not callable(verifier):
        raise ArgumentError(f"verifier {name!r} should be a function, not {verifier!r}")
    function: Verifier = verifier
    return function
