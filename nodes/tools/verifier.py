"""Verifiers: functions that a host binds by name, and that judge candidates."""

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
    """Bind the verifiers that a host passes, by name.

    Raises:
        ArgumentError: one is not a function, or its name is invalid.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ArgumentError(f"verifiers are a mapping from names to functions, not {given!r}")
    return {name: _function(name, each) for name, each in given.items()}


def all_verifiers(given: Mapping[str, Verifier]) -> Mapping[str, Verifier]:
    """The verifiers of a run, by precedence: given ones, those of folders, those of packages."""
    return {name: each for name, (each, _) in shared_verifiers(setting()).items()} | dict(given)


@cache
def shared_verifiers(setting: tuple[str, str]) -> dict[str, tuple[Verifier, str]]:
    """The verifiers of installed packages and of folders, each with its origin.

    They come from entry points of the group ``thinkgraph.verifiers``, and from ``verifiers/*.py``
    in the folders of ``THINKGRAPH_PATH``.
    """
    return offered("verifier", python_file.functions, _function)


def _function(name: str, verifier: Any) -> Verifier:
    checked_name("verifier", name)
    if not callable(verifier):
        raise ArgumentError(f"verifier {name!r} should be a function, not {verifier!r}")
    function: Verifier = verifier
    return function
