"""A Python file of a user's own: what it offers."""

from thinkgraph.nodes.python_file import functions, tools

FILE = """
from langchain_core.tools import BaseTool, StructuredTool, tool
from pathlib import Path
from thinkgraph.nodes.tools.tool import ToolFactory

class Look(BaseTool):
    name: str = "look"
    description: str = "Look."
    def _run(self, word: str) -> str:
        return word

class Other:
    pass

shared = Look(name="shared")
made = ToolFactory(Look)

@tool
def search(word: str) -> str:
    "Search."
    return word

def _own(): ...
def add(a: int) -> int:
    "Add."
    return a
"""


def test_tools_are_functions_langchain_tools_classes_of_them_and_factories(tmp_path):
    file = tmp_path / "own.py"
    file.write_text(FILE)
    assert tools("--tools", file).keys() == {"look", "shared", "made", "search", "add"}


def test_files_of_one_name_are_modules_of_their_own(tmp_path):
    found = []
    for folder in ("tools", "verifiers"):
        (tmp_path / folder).mkdir()
        file = tmp_path / folder / "a.py"
        file.write_text("def it(text: str) -> str:\n    return text\n")
        found.append(functions("--tools", file)["it"].__module__)
    assert found[0] != found[1]
