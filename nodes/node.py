"""What every node kind is: its settings, and what it does to the population.

A kind is one class in one file of this folder. Its fields are its settings in a spec, with
the same words; its :meth:`Node.run` reads a :class:`State` and returns an :class:`Update`.
"""

from __future__ import annotations

import importlib
import inspect
import logging
import pkgutil
import re
from abc import abstractmethod
from collections.abc import Mapping
from functools import cache
from importlib import metadata
from typing import Any, ClassVar, Self, TypeVar

from pydantic import BaseModel, ConfigDict

from thinkgraph.nodes.cost import Cost, Extent
from thinkgraph.nodes.param import Referable, bind, is_reference
from thinkgraph.nodes.population import State, Update
from thinkgraph.nodes.step import Step


class Node(BaseModel):
    """Base of the node kinds; a subclass that sets ``kind`` is one.

    Any setting may hold a reference to a param; :meth:`bound` replaces them before a run.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: ClassVar[str]
    """The word that names the kind in a spec."""
    about: ClassVar[str]
    """One line that says what it does to the population."""
    needs: ClassVar[frozenset[str]] = frozenset({"question"})
    """The channels that must have been written before it runs."""
    gives: ClassVar[frozenset[str]] = frozenset()
    """The channels that it writes."""
    variables: ClassVar[frozenset[str]] = frozenset()
    """What its prompts may name, beyond the question, the params and the spec's own state."""

    reading: ClassVar[tuple[str, ...]] = ("reads", "each")
    """Its settings that name a field of the spec's state, or an input, that it reads."""
    writing: ClassVar[tuple[str, ...]] = ("writes", "into")
    """Its settings that name a field of the spec's state that it writes."""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        for field in cls.model_fields.values():
            if not any(isinstance(item, Referable) for item in field.metadata):
                field.metadata.append(Referable())
        cls.model_rebuild(force=True)

    @property
    def consumes(self) -> frozenset[str]:
        """The channels that it needs with these settings, fields of the spec's state included."""
        return self.needs | self._named(*self.reading)

    @property
    def produces(self) -> frozenset[str]:
        """The channels that it writes with these settings, fields of the spec's state included."""
        return self.gives | self._named(*self.writing)

    def _named(self, *settings: str) -> frozenset[str]:
        values = (getattr(self, setting, None) for setting in settings)
        return frozenset(v for v in values if isinstance(v, str) and not is_reference(v))

    @abstractmethod
    async def run(self, state: State, step: Step) -> Update:
        """Do what the kind does, once."""

    def cost(self, before: Extent) -> Cost:
        """What one run may cost at most; a kind that doesn't say so makes a plan incomplete."""
        return Cost(before, exact=False, known=False)

    def settings(self) -> dict[str, Any]:
        """The settings that were given, as plain data."""
        return self.model_dump(mode="json", exclude_unset=True)

    def bound(self, params: dict[str, Any]) -> Self:
        """The same node with the params' values in place of their references.

        Raises:
            ValidationError: a param's value is none that its setting allows.
        """
        return type(self).model_validate(bind(self.settings(), params))


_own: dict[str, type[Node]] = {}
_logger = logging.getLogger(__name__)
K = TypeVar("K", bound=type[Node])

GROUP = "thinkgraph.nodes"
"""The group of entry points under which installed packages offer node kinds."""
_TAKEN = frozenset({"kind", "use", "params", "budget"})


def node_kinds() -> dict[str, type[Node]]:
    """Every kind by its name: the files of this folder, installed packages', and registered ones.

    A package offers a kind by an entry point of the group ``thinkgraph.nodes`` that names the
    class, or a module that registers some. One that can't be loaded is left out, and logged.
    """
    return {**built_in_kinds(), **_installed(), **_own}


def register(kind: K) -> K:
    """Make a class a kind that specs can name; returns it, so that it is a decorator.

    Raises:
        ValueError: it lacks a name or its line, or another kind has its name.
    """
    _check(kind, built_in_kinds())
    known = _own.get(kind.kind)
    if known is not None and _origin(known) != _origin(kind):
        raise ValueError(f"there is a node kind {kind.kind!r} already: {_origin(known)}")
    _own[kind.kind] = kind
    return kind


def _check(kind: Any, known: Mapping[str, type[Node]]) -> None:
    if not (inspect.isclass(kind) and issubclass(kind, Node)):
        raise ValueError(f"{kind!r} is not a class of node, a subclass of thinkgraph's Node")
    name = getattr(kind, "kind", None)
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_-]*", name):
        raise ValueError(f'{kind.__name__}: `kind` should be its name, such as "shout"')
    if not isinstance(getattr(kind, "about", None), str):
        raise ValueError(f"{kind.__name__}: `about` should be a line on what it does")
    if inspect.isabstract(kind) or kind.run is Node.run:
        raise ValueError(f"{kind.__name__}: it has no `run`")
    if taken := _TAKEN & kind.model_fields.keys():
        raise ValueError(f"{kind.__name__}: no setting can be called {', '.join(sorted(taken))}")
    if name in known:
        raise ValueError(f"there is a node kind {name!r} already: {_origin(known[name])}")


def _origin(kind: type[Node]) -> str:
    return f"{kind.__module__}.{kind.__qualname__}"


@cache
def built_in_kinds() -> dict[str, type[Node]]:
    """The kinds of this folder, by their names."""
    import thinkgraph.nodes as room  # noqa: PLC0415 (it imports this module)

    found: dict[str, type[Node]] = {}
    for module in pkgutil.iter_modules(room.__path__, f"{room.__name__}."):
        if module.ispkg:
            continue
        for _, member in inspect.getmembers(importlib.import_module(module.name), inspect.isclass):
            if issubclass(member, Node) and "kind" in vars(member):
                found[member.kind] = member
    return dict(sorted(found.items()))


@cache
def _installed() -> dict[str, type[Node]]:
    found: dict[str, type[Node]] = {}
    for entry in sorted(metadata.entry_points(group=GROUP), key=lambda each: each.name):
        try:
            offered = entry.load()
            if not inspect.ismodule(offered):  # a module has registered its kinds by now
                _check(offered, built_in_kinds() | found | _own)
                found[offered.kind] = offered
        except (Exception, SystemExit) as error:  # a stranger's package must not stop the rest
            _logger.warning("the node kinds of %s can't be loaded: %s", entry.value, error)
    return found
