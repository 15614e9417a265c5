"""Tools: a spec names them, a host binds them, and a node calls them."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from thinkgraph.models.arguments import ArgumentError
from thinkgraph.nodes import python_file
from thinkgraph.nodes.sharing import setting
from thinkgraph.nodes.tools import python
from thinkgraph.nodes.tools.offered import offered

if TYPE_CHECKING:
    from langchain_core.tools import BaseTool

NAME = r"[A-Za-z_][A-Za-z0-9_-]{0,63}"
"""Pattern of the names of tools and verifiers, which the API of every provider accepts."""


@dataclass(frozen=True)
class ToolFactory:
    """A factory that makes a new tool for each trajectory, for tools that keep state.

    Args:
        make: returns a LangChain tool or a typed function. If that has a method ``close``, it is
            called when the trajectory has ended.
        name: name of the tool in specs, if tools are given as a list; by default that of the
            function.
    """

    make: Callable[[], Any]
    name: str = ""


AnyTool = Any
"""A LangChain tool (or a class of one, of which each trajectory gets an instance), a function with
typed arguments and a docstring, or a :class:`ToolFactory`."""
Tools = Mapping[str, AnyTool] | Sequence[AnyTool]
"""Tools by their names in specs; in a list, each tool is bound to its own name."""


@dataclass(frozen=True)
class BoundTool:
    """A tool that is bound to a name.

    Attributes:
        name: name of the tool in the spec and for the model.
        factory: whether each trajectory gets a new tool.
    """

    name: str
    factory: bool
    _source: Any

    @property
    def about(self) -> str:
        """The first line of the tool's description or docstring; for a factory, of ``make``."""
        made = getattr(self._source, "make", self._source)
        text = getattr(made, "description", "") or inspect.getdoc(made) or ""
        return str(text).strip().partition("\n")[0]

    def open(self) -> BaseTool:
        """The tool as a LangChain tool; a new one if it comes from a factory.

        Raises:
            ArgumentError: the factory returned something that is not a tool.
        """
        made = self._source.make() if isinstance(self._source, ToolFactory) else self._source
        return _langchain(self.name, made() if inspect.isclass(made) else made)


def bind_tools(given: Tools | None) -> dict[str, BoundTool]:
    """Bind the tools that a host passes, by name.

    Raises:
        ArgumentError: one is not a tool, or its name is invalid or taken.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping | Sequence) or isinstance(given, str | bytes):
        raise ArgumentError(f"tools are a list, or a mapping from names to tools, not {given!r}")
    if isinstance(given, Mapping):
        return {name: bound_tool(name, tool) for name, tool in given.items()}
    found: dict[str, BoundTool] = {}
    for tool in given:
        name = checked_name("tool", _own_name(tool))
        if name in found:
            raise ArgumentError(f"two tools are called {name!r}; give them as {{name: tool}}")
        found[name] = _bound(name, tool)
    return found


def all_tools(given: Mapping[str, BoundTool]) -> Mapping[str, BoundTool]:
    """The tools of a run, by precedence: given ones, those of folders, of packages, built in."""
    return {name: tool for name, (tool, _) in offered_tools().items()} | dict(given)


def offered_tools() -> dict[str, tuple[BoundTool, str]]:
    """The tools that a host doesn't have to bind, each with its origin."""
    built_in = BUILT_IN if python.is_installed() else {}
    return {n: (tool, "built in") for n, tool in built_in.items()} | shared_tools(setting())


@cache
def shared_tools(setting: tuple[str, str]) -> dict[str, tuple[BoundTool, str]]:
    """The tools of installed packages and of folders, each with its origin.

    They come from entry points of the group ``thinkgraph.tools``, and from ``tools/*.py`` in the
    folders of ``THINKGRAPH_PATH``.
    """
    return offered("tool", python_file.tools, bound_tool)


BUILT_IN = {"python": BoundTool("python", True, ToolFactory(python.make))}


def bound_tool(name: str, tool: AnyTool) -> BoundTool:
    """Bind a tool to a name.

    Raises:
        ArgumentError: the object is not a tool, or the name is invalid.
    """
    return _bound(checked_name("tool", name), tool)


def _bound(name: str, tool: AnyTool) -> BoundTool:
    if isinstance(tool, BoundTool):
        return BoundTool(name, tool.factory, tool._source)
    if isinstance(tool, ToolFactory) or inspect.isclass(tool):
        if inspect.isclass(tool) and not _is_langchain_class(tool):
            raise ArgumentError(f"tool {name!r} is the class {tool.__name__}, which is not a tool")
        return BoundTool(name, True, tool)
    return BoundTool(name, False, _langchain(name, tool))


def _langchain(name: str, tool: Any) -> BaseTool:
    """Convert a tool to a LangChain tool with the name ``name``."""
    from langchain_core.tools import BaseTool, StructuredTool  # noqa: PLC0415 (slow to import)

    if isinstance(tool, BaseTool):
        return tool if tool.name == name else tool.model_copy(update={"name": name})
    if callable(tool) and not inspect.isroutine(tool) and not inspect.isclass(tool):
        return _langchain(name, tool.__call__)
    if not callable(tool) or inspect.isclass(tool):
        raise ArgumentError(f"tool {name!r} should be a function or a LangChain tool, not {tool!r}")
    untyped = [
        each.name
        for each in inspect.signature(tool).parameters.values()
        if each.annotation is each.empty or each.kind in (each.VAR_POSITIONAL, each.VAR_KEYWORD)
    ]
    if untyped:
        raise ArgumentError(
            f"tool {name!r}: each argument needs a type, which the model is told; "
            f"{untyped[0]!r} has none"
        )
    about = inspect.getdoc(tool) or name.replace("_", " ")
    is_async = inspect.iscoroutinefunction(tool)
    try:
        made: BaseTool = StructuredTool.from_function(
            func=None if is_async else tool,
            coroutine=tool if is_async else None,
            name=name,
            description=about,
        )
    except (TypeError, ValueError, NameError) as error:
        raise ArgumentError(f"tool {name!r} can't be used: {error}") from error
    return made


def _own_name(tool: AnyTool) -> str:
    if isinstance(tool, ToolFactory):
        return tool.name or getattr(tool.make, "__name__", "")
    if _is_langchain_class(tool):
        return str(getattr(tool.model_fields.get("name"), "default", "") or tool.__name__)
    return str(getattr(tool, "name", "") or getattr(tool, "__name__", ""))


def _is_langchain_class(tool: Any) -> bool:
    if not inspect.isclass(tool):
        return False
    from langchain_core.tools import BaseTool  # noqa: PLC0415

    return issubclass(tool, BaseTool)


def checked_name(what: str, name: Any) -> str:
    """Return a name if it is valid in specs.

    Raises:
        ArgumentError: the name is invalid.
    """
    if not isinstance(name, str) or not re.fullmatch(NAME, name):
        raise ArgumentError(
            f"a {what} is called {name!r}; its name should be letters, digits, `-` and `_`, "
            f'as in {{"search": …}}'
        )
    return name
