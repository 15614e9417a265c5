"""Own node kinds: a class or a function becomes one by a decorator or an entry point."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Annotated, ClassVar

import pytest
from pydantic import Field

from thinkgraph.graphs.checker.check import check
from thinkgraph.graphs.language.document import Document
from thinkgraph.graphs.language.json_schema import schema
from thinkgraph.nodes import registry as room
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.function_node import node_kind
from thinkgraph.nodes.population import Answer, State, Update
from thinkgraph.nodes.registry import node_kinds, register
from thinkgraph.nodes.step import Step

SPEC = """\
thinkgraph: 1
name: own
nodes:
  draft: {{kind: generate}}
  last: {{kind: {kind}}}
edges:
  - START -> draft -> last -> END
"""


@pytest.fixture(autouse=True)
def forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Kinds that a test registers are gone after it."""
    monkeypatch.setattr(room, "_registered", {})
    room._installed.cache_clear()
    yield
    room._installed.cache_clear()


def codes(text: str) -> list[str]:
    return [found.code for found in check(Document.parse(text))]


def step() -> Step:
    return Step(node="n", round=0, seed=1, params={}, models=pytest.fail)


def shout(name: str = "shout") -> type[Node]:
    @node_kind(name, input_channels={"question"}, output_channels={"answer"})
    def work(
        state: State, step: Step, *, times: Annotated[int, Field(ge=1)] = 1, mark: str = "!"
    ) -> Update:
        """question → the question, loud"""
        text = state.question.upper() + mark * times
        return Update(answer=Answer(value=text, text=text, candidate=None, votes=0, of=0))

    return work


class Softly(Node):
    """A class of kind."""

    kind: ClassVar[str] = "whisper"
    about: ClassVar[str] = "question → the question, softly"
    output_channels: ClassVar[frozenset[str]] = frozenset({"answer"})

    volume: float = 0.1

    async def run(self, state: State, step: Step) -> Update:
        text = state.question.lower()
        return Update(answer=Answer(value=text, text=text, candidate=None, votes=0, of=0))


async def test_a_function_becomes_a_kind_that_runs_with_its_settings():
    kind = shout()
    update = await kind(times=3).run(State(question="why"), step())
    assert update.answer is not None
    assert update.answer.value == "WHY!!!"
    assert kind.about == "question → the question, loud"


async def test_a_coroutine_function_becomes_a_kind():
    @node_kind("later")
    async def later(state: State, step: Step) -> Update:
        """question → nothing"""
        return Update(fields={"seen": state.question})

    assert (await later().run(State(question="q"), step())).fields == {"seen": "q"}


def test_the_checker_knows_a_kind_and_its_settings():
    assert codes(SPEC.format(kind="shout")) == ["TG201"]
    shout()
    assert codes(SPEC.format(kind="shout, times: 2")) == []
    assert codes(SPEC.format(kind="shout, tines: 2")) == ["TG101"]
    assert codes(SPEC.format(kind="shout, times: 0")) == ["TG104"]
    assert codes(SPEC.format(kind="shout, times: soon")) == ["TG103"]


def test_the_schema_knows_a_kind_and_its_settings():
    shout()
    found = schema()["$defs"]["Shout"]["properties"]
    assert found["kind"]["const"] == "shout"
    assert set(found) == {"kind", "times", "mark", "budget", "retry", "fallback"}


def test_a_setting_of_an_own_kind_may_be_a_param():
    shout()
    text = SPEC.format(kind="shout, times: $n").replace("nodes:", "params: {n: 2}\nnodes:")
    assert codes(text) == []


def test_a_class_becomes_a_kind_by_the_decorator():
    assert "whisper" not in node_kinds()
    assert register(Softly) is Softly
    assert node_kinds()["whisper"] is Softly
    register(Softly)  # a cell that runs twice


def test_a_class_that_isnt_registered_is_no_kind():
    assert codes(SPEC.format(kind="whisper")) == ["TG201"]


def test_a_built_in_kind_cant_be_replaced():
    with pytest.raises(ValueError, match="'vote' already"):
        shout("vote")


def test_two_kinds_cant_have_one_name():
    shout("whisper")
    with pytest.raises(ValueError, match="'whisper' already"):
        register(Softly)


def test_a_setting_without_a_type_is_refused():
    with pytest.raises(ValueError, match="'times' is not one"):

        @node_kind("untyped")
        def untyped(state, step, *, times=1):
            return Update()


def test_a_setting_that_specs_need_for_themselves_is_refused():
    with pytest.raises(ValueError, match="called budget"):

        @node_kind("greedy")
        def greedy(state: State, step: Step, *, budget: int = 1) -> Update:
            """question → nothing"""
            return Update()


def test_a_spec_cant_name_code():
    for kind in ("os.system", "os:system", "thinkgraph.nodes.kinds.vote:Vote", "__import__"):
        assert codes(SPEC.format(kind=f'"{kind}"')) == ["TG201"]


PLUGIN = '''
from typing import ClassVar
from thinkgraph.nodes.base.node import Node
from thinkgraph.nodes.registry import register
from thinkgraph.nodes.population import Update

class Echo(Node):
    """Says it again."""
    kind: ClassVar[str] = "echo"
    about: ClassVar[str] = "question → the question"
    async def run(self, state, step):
        return Update()

@register
class Twice(Echo):
    """Says it twice."""
    kind: ClassVar[str] = "twice"
'''


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Install a package with entry points, as pip lays it out."""

    def install(entries: str) -> None:
        info = tmp_path / "echo_kinds-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: echo-kinds\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[thinkgraph.nodes]\n{entries}\n")
        (tmp_path / "echo_kinds.py").write_text(PLUGIN)
        monkeypatch.syspath_prepend(str(tmp_path))
        monkeypatch.delitem(sys.modules, "echo_kinds", raising=False)
        room._installed.cache_clear()

    yield install
    sys.modules.pop("echo_kinds", None)


def test_an_installed_package_offers_a_class_by_an_entry_point(installed):
    installed("echo = echo_kinds:Echo")
    assert node_kinds()["echo"].about == "question → the question"
    assert codes(SPEC.format(kind="echo")) == []


def test_an_installed_package_offers_a_module_that_registers_kinds(installed):
    installed("all = echo_kinds")
    assert "twice" in node_kinds()
    assert "echo" not in node_kinds()


def test_a_broken_package_is_logged_and_leaves_the_others(installed, caplog):
    installed("broken = echo_kinds:NoSuch\necho = echo_kinds:Echo\nodd = echo_kinds:PLUGIN_NAME")
    with caplog.at_level(logging.WARNING):
        assert {"echo", "generate", "vote"} <= node_kinds().keys()
    assert "NoSuch" in caplog.text


def test_a_package_cant_take_the_name_of_a_built_in_kind(installed, tmp_path, caplog):
    installed("echo = echo_kinds:Echo")
    (tmp_path / "echo_kinds.py").write_text(PLUGIN.replace('"echo"', '"vote"'))
    with caplog.at_level(logging.WARNING):
        assert node_kinds()["vote"].__module__ == "thinkgraph.nodes.kinds.vote"
    assert "'vote' already" in caplog.text
