"""The decorator that makes a Python function a node kind."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, get_type_hints

from thinkgraph.models.arguments import suggesting
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.population import State, Update
from thinkgraph.nodes.registry import register
from thinkgraph.nodes.step import Step

Work = Callable[..., Update | Awaitable[Update]]


@suggesting
def node_kind(
    name: str,
    *,
    input_channels: Iterable[str] = ("question",),
    output_channels: Iterable[str] = (),
    variables: Iterable[str] = (),
) -> Callable[[Work], type[Node]]:
    """Register a function as a node kind that specs can use.

    The function takes the :class:`State` and the :class:`Step`, and as keyword arguments its
    settings, with their types and defaults; ``Annotated[int, Field(ge=1)]`` gives ranges. It
    returns an :class:`Update`, and may be a coroutine. The first line of its docstring says
    what the kind does::

        @node_kind("shorten", input_channels={"candidates"}, output_channels={"candidates"})
        def shorten(state: State, step: Step, *, words: int = 50) -> Update:
            "each candidate → its first words"
            ...

    Args:
        name: name of the kind in specs.
        input_channels: channels that must have been written before the node runs.
        output_channels: channels that the node writes.
        variables: variables of its prompts, beside those that every prompt has.

    Returns:
        A decorator that returns the node class, used in Python as ``Shorten(words=20)``.

    Raises:
        ValueError: an argument has no type, or another kind has the name.
    """

    def decorate(function: Work) -> type[Node]:
        types, defaults = _settings(function)
        about = inspect.getdoc(function) or ""
        members = {
            "__module__": function.__module__,
            "__doc__": about,
            "__annotations__": types,
            **defaults,
            "kind": name,
            "about": about.partition("\n")[0],
            "input_channels": frozenset(input_channels),
            "output_channels": frozenset(output_channels),
            "variables": frozenset(variables),
            "run": _running(function, list(types)),
        }
        title = "".join(part.capitalize() for part in name.replace("_", "-").split("-"))
        made: type[Node] = type(Node)(title, (Node,), members)  # type: ignore[misc]
        return register(made)

    return decorate


def _settings(function: Work) -> tuple[dict[str, Any], dict[str, Any]]:
    """The types and the defaults of a function's keyword arguments, which are its settings."""
    hints = get_type_hints(function, include_extras=True)
    settings = list(inspect.signature(function).parameters.values())[2:]
    for each in settings:
        if each.kind is not each.KEYWORD_ONLY or each.name not in hints:
            raise ValueError(
                f"{function.__name__}: after state, step and * come settings, each with its type; "
                f"{each.name!r} is not one"
            )
    types = {each.name: hints[each.name] for each in settings}
    return types, {e.name: e.default for e in settings if e.default is not e.empty}


def _running(function: Work, names: list[str]) -> Callable[..., Awaitable[Update]]:
    async def run(self: Node, state: State, step: Step) -> Update:
        settings = {name: getattr(self, name) for name in names}
        if inspect.iscoroutinefunction(function):
            update: Update | Awaitable[Update] = function(state, step, **settings)
        else:  # it would block other runs in the same event loop
            update = await asyncio.to_thread(function, state, step, **settings)
        return await update if inspect.isawaitable(update) else update

    return run
