"""``thinkgraph new``: the skeleton of a strategy or a node kind, with a test."""

from __future__ import annotations

import keyword
import re
import sys
from enum import StrEnum
from pathlib import Path
from string import Template
from typing import Annotated

import typer

from thinkgraph.cli.options import write_file
from thinkgraph.models.errors import ThinkgraphError


class What(StrEnum):
    """What to create."""

    STRATEGY = "strategy"
    KIND = "kind"


def new(
    what: Annotated[What, typer.Argument(help="A strategy in YAML, or a node kind in Python.")],
    name: Annotated[
        str, typer.Argument(help="Name of the strategy or node kind: letters, digits, - and _.")
    ],
    folder: Annotated[Path, typer.Option("--into", help="The folder to write to.")] = Path(),
) -> None:
    """Write the start of a strategy or a node kind, with a test that passes."""
    from thinkgraph.graphs.catalogue import names
    from thinkgraph.graphs.language.spec import NAME
    from thinkgraph.nodes.registry import node_kinds

    if not re.fullmatch(NAME.strip("^$"), name):
        raise ThinkgraphError(
            f"{name!r} is not a valid name; use letters, digits, - and _, starting with a letter"
        )
    if name in (names() if what is What.STRATEGY else node_kinds()):
        raise ThinkgraphError(f"there is a {what} {name!r} already; choose another name")
    module = name.replace("-", "_")
    if what is What.KIND and (keyword.iskeyword(module) or keyword.issoftkeyword(module)):
        raise ThinkgraphError(f"{name!r} is a word of Python; choose another name")
    if what is What.KIND and module in sys.stdlib_module_names:
        raise ThinkgraphError(f"{name!r} is a module of Python's; choose another name")
    classname = "".join(part.capitalize() for part in re.split("[-_]", name))
    files = {
        folder / path: Template(text).substitute(name=name, module=module, classname=classname)
        for path, text in _files(what, name, module)
    }
    for path in files:
        if path.exists():
            raise ThinkgraphError(
                f"{path} exists already, so nothing was written; use another name or --into FOLDER"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ThinkgraphError(f"{folder} can't be made: {error.strerror or error}") from None
    for path, text in files.items():
        write_file(path, text)
        print(path)


def _files(what: What, name: str, module: str) -> list[tuple[str, str]]:
    if what is What.STRATEGY:
        return [(f"{name}.yaml", STRATEGY), (f"test_{module}.py", STRATEGY_TEST)]
    return [(f"{module}.py", KIND), (f"test_{module}.py", KIND_TEST)]


STRATEGY = """\
thinkgraph: 1
name: $name
about: >
  What it does (its source). What it costs. When it helps, and when it hurts.
params:
  samples: {default: 4, minimum: 1, maximum: 256, about: how many answers vote}
  max_tokens: {default: 512, minimum: 1}
nodes:
  draft: {kind: generate, prompt: step-by-step, samples: $$samples, max_tokens: $$max_tokens}
  vote: {kind: vote}
edges:
  - START -> draft -> vote -> END
"""

STRATEGY_TEST = '''\
"""The logic of $name, with a model that says what it is told to."""

from pathlib import Path

import thinkgraph as tg
from thinkgraph.graphs.checker.check import check_files
from thinkgraph.models.backends.scripted import ScriptedModel

SPEC = Path(__file__).with_name("$name.yaml")


def test_the_checker_finds_no_problem():
    assert check_files([SPEC]) == []


def test_the_most_common_answer_wins():
    model = ScriptedModel(["It is 5.", "It is 6.", "It is 5."])
    result = tg.load(SPEC).run("What is 2 + 3?", model=model, samples=3)
    assert (result.answer.value, result.answer.votes) == ("5", 2)
'''

KIND = '''\
"""$name: each candidate → its first words."""

from typing import ClassVar

from pydantic import Field

import thinkgraph as tg


@tg.register
class $classname(tg.Node):
    """Cut every live candidate to its first words."""

    kind: ClassVar[str] = "$name"
    about: ClassVar[str] = "each candidate → its first words"
    input_channels: ClassVar[frozenset[str]] = frozenset({"candidates"})
    output_channels: ClassVar[frozenset[str]] = frozenset({"candidates"})

    words: int = Field(50, ge=1, description="how many words are kept")

    async def run(self, state: tg.State, step: tg.Step) -> tg.Update:
        """Cut them; a candidate of the same id takes the place of the old one."""
        cut = [self._cut(candidate) for candidate in state.live]
        return tg.Update(candidates=tuple(cut))

    def _cut(self, candidate: tg.Candidate) -> tg.Candidate:
        text = " ".join(candidate.text.split()[: self.words])
        return candidate.model_copy(update={"text": text})

    def cost(self, before: tg.PopulationBounds) -> tg.Cost:
        """It asks no model."""
        return tg.Cost(before)
'''

KIND_TEST = '''\
"""The node kind $name, in a graph with a model that says what it is told to."""

from $module import $classname

import thinkgraph as tg
from thinkgraph.models.backends.scripted import ScriptedModel


def test_the_first_words_are_kept():
    graph = tg.Graph("cutting")
    graph.add(draft=tg.Generate(), cut=$classname(words=2))
    graph.edge(tg.START, "draft", "cut", tg.END)
    result = graph.run("Say something.", model=ScriptedModel(["one two three"]))
    assert result.answer.text == "one two"
'''
