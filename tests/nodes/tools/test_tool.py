"""Tools and verifiers by name: what a host may bind them to, and what is refused."""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import pytest
from langchain_core.tools import BaseTool, tool
from pydantic import BaseModel, Field

from thinkgraph.models.arguments import ArgumentError
from thinkgraph.nodes.tools.tool import (
    ToolFactory,
    all_tools,
    bind_tools,
    offered_tools,
    shared_tools,
)
from thinkgraph.nodes.tools.verifier import all_verifiers, bind_verifiers, shared_verifiers


class Place(BaseModel):
    """A place."""

    city: str


def add(a: int, b: int) -> int:
    """Add two numbers."""
    return a + b


async def weather(place: Place) -> str:
    """The weather."""
    return f"sunny in {place.city}"


@tool
def search(query: str) -> str:
    """Look something up."""
    return query.upper()


class Notebook(BaseTool):
    """A tool with state."""

    name: str = "notebook"
    description: str = "Keeps lines."
    lines: list[str] = Field(default_factory=list)

    def _run(self, line: str) -> str:
        self.lines.append(line)
        return "\n".join(self.lines)


def test_a_function_is_a_tool_with_the_schema_of_its_types():
    bound = bind_tools({"plus": add})["plus"].open()
    assert (bound.name, bound.description) == ("plus", "Add two numbers.")
    assert bound.invoke({"a": 1, "b": 2}) == 3


async def test_a_coroutine_with_a_pydantic_argument_is_a_tool():
    bound = bind_tools([weather])["weather"].open()
    assert await bound.ainvoke({"place": {"city": "Oslo"}}) == "sunny in Oslo"


def test_a_langchain_tool_keeps_its_name_in_a_list_and_takes_that_of_a_mapping():
    assert bind_tools([search]).keys() == {"search"}
    assert bind_tools({"look": search})["look"].open().name == "look"
    assert search.name == "search"


@pytest.mark.parametrize("given", [Notebook, ToolFactory(Notebook, name="notebook")])
def test_a_class_or_a_factory_makes_a_tool_for_each_trajectory(given):
    bound = bind_tools([given])["notebook"]
    one, two = bound.open(), bound.open()
    one.invoke("a")
    assert bound.factory
    assert (two.invoke("b"), one.invoke("c")) == ("b", "a\nc")


def untyped(a):
    """Say it."""


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"a b": add}, "a tool is called 'a b'"),
        ({"x": 3}, "tool 'x' should be a function"),
        ({"x": Place}, "is the class Place, which is not a tool"),
        ([untyped], "'a' has none"),
        ([add, add], "two tools are called 'add'"),
        ("add", "tools are a list, or a mapping"),
        ([lambda: "x"], "a tool is called '<lambda>'"),
    ],
)
def test_what_is_no_tool_is_refused_with_its_name(given, said):
    with pytest.raises(ArgumentError, match=said):
        bind_tools(given)


def test_a_verifier_is_a_function_under_a_name():
    assert bind_verifiers({"even": add}) == {"even": add}
    with pytest.raises(ArgumentError, match="verifier 'even' should be a function"):
        bind_verifiers({"even": 2})
    with pytest.raises(ArgumentError, match="mapping from names to functions"):
        bind_verifiers([add])


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A package with entry points, as pip lays it out."""
    info = tmp_path / "our_tools-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: our-tools\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[thinkgraph.tools]\nshout = our_tools:shout\ngone = our_tools:gone\n"
        "[thinkgraph.verifiers]\nloud = our_tools:loud\nodd = our_tools:NOT_CALLABLE\n"
    )
    (tmp_path / "our_tools.py").write_text(
        'def shout(text: str) -> str:\n    "Say it loud."\n    return text.upper()\n'
        "def loud(answer): return answer.isupper()\nNOT_CALLABLE = 1\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    shared_tools.cache_clear()
    shared_verifiers.cache_clear()
    yield
    sys.modules.pop("our_tools", None)
    shared_tools.cache_clear()
    shared_verifiers.cache_clear()


def test_a_package_offers_tools_and_verifiers_and_what_is_broken_is_logged(installed, caplog):
    with caplog.at_level(logging.WARNING):
        tools, verifiers = all_tools({}), all_verifiers({})
        assert tools["shout"].open().invoke("a") == "A"
        assert set(verifiers) == {"loud"}
        assert "gone" not in tools
        assert offered_tools()["shout"][1] == "our-tools 1.0"
        assert offered_tools()["python"][1] == "built in"
    assert "our_tools:gone" in caplog.text
    assert "our_tools:NOT_CALLABLE" in caplog.text


def test_what_the_host_gives_comes_before_what_is_installed(installed):
    assert all_tools(bind_tools({"shout": add}))["shout"].open().invoke({"a": 1, "b": 1}) == 2
