"""Verifiers by name: functions of the host's that judge what a model wrote."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from thinkgraph.models.arguments import ArgumentError
from thinkgraph.nodes import python_file
from thinkgraph.nodes.sharing import setting
from thinkgraph.nodes.tools.offered import offered
from thinkgraph.nodes.tools.tool import checked_name

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
    return {name: _function(name, each) for name, each in given.items()}


def all_verifiers(given: Mapping[str, Verifier]) -> Mapping[str, Verifier]:
    """The verifiers that a run may use: those given, those of folders, then those of packages."""
    return {name: each for name, (each, _) in shared_verifiers(setting()).items()} | dict(given)


@cache
def shared_verifiers(setting: tuple[str, str]) -> dict[str, tuple[Verifier, str]]:
    """The verifiers of installed packages and of folders, each with where it is from.

    They are entry points of the group ``thinkgraph.verifiers``, and what ``verifiers/*.py`` define
    in the folders of ``THINKGRAPH_PATH``.
    """
    return offered("verifier", python_file.functions, _function)


def _function(name: str, verifier: Any) -> Verifier:
    checked_name("verifier", name)
    if not callable(verifier):
        raise ArgumentError(f"verifier {name!r} should be a function, not {verifier!r}")
    function: Verifier = verifier
    return function
