"""What packages, folders and files add: strategies, prompts, kinds, tools and verifiers."""

import json
import os
import re
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from typer.testing import CliRunner

import thinkgraph as tg
from thinkgraph.cli.app import app
from thinkgraph.graphs.catalogue import find, names
from thinkgraph.graphs.checker.check import check_files
from thinkgraph.models.backends.scripted import ScriptedModel
from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.nodes import registry
from thinkgraph.nodes.prompts.prompt import load_prompt, prompt_names
from thinkgraph.nodes.sharing import IMPORT, PATH
from thinkgraph.nodes.tools.tool import all_tools
from thinkgraph.nodes.tools.verifier import all_verifiers

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "sharing"
KIND = """\
from typing import ClassVar
import thinkgraph as tg

class Shout(tg.Node):
    kind: ClassVar[str] = "shout"
    about: ClassVar[str] = "each candidate → the same, louder"
    input_channels: ClassVar[frozenset[str]] = frozenset({"candidates"})
    output_channels: ClassVar[frozenset[str]] = frozenset({"candidates"})

    async def run(self, state, step):
        loud = [c.model_copy(update={"text": c.text.upper()}) for c in state.live]
        return tg.Update(candidates=tuple(loud))
"""
SPEC = """\
thinkgraph: 1
name: loud
about: Somebody shouts.
nodes:
  draft: {kind: generate, prompt: PROMPT}
  shout: {kind: shout}
edges: START -> draft -> shout -> END
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registered: None) -> Path:
    """A folder of ``THINKGRAPH_PATH`` with a strategy, a prompt and a kind."""
    shared = tmp_path / "shared"
    (shared / "prompts").mkdir(parents=True)
    (shared / "kinds").mkdir()
    (shared / "loud.yaml").write_text(SPEC.replace("PROMPT", "politely"))
    prompt = "about: says please\nuser: '{{ question }} Please.'"
    (shared / "prompts" / "politely.yaml").write_text(prompt)
    (shared / "kinds" / "shout.py").write_text(KIND)
    monkeypatch.setenv(PATH, os.pathsep.join([str(tmp_path / "nowhere"), str(shared)]))
    return shared


def command(*words: str) -> str:
    done = CliRunner().invoke(app, list(words))
    if isinstance(done.exception, ThinkgraphError):
        raise done.exception
    return done.output


def test_a_folder_adds_strategies_prompts_and_kinds(folder: Path):
    assert "loud" in names()
    assert check_files(["loud"]) == []
    model = ScriptedModel(["it is 5"])
    result = tg.load("loud").run("What is 2 + 3?", model=model)
    assert result.answer.text == "IT IS 5"
    assert model.calls[0].messages[-1].content == "What is 2 + 3? Please."


def using(name: str, nodes: str, path: str) -> str:
    return f"thinkgraph: 1\nname: {name}\nnodes: {nodes}\nedges: START -> {path} -> END\n"


def test_a_spec_may_use_what_is_shared_by_its_name(folder: Path, tmp_path: Path):
    outer = tmp_path / "outer.yaml"
    outer.write_text(using("outer", "{a: {use: loud}}", "a"))
    assert tg.load(outer).run("?", model=ScriptedModel(["it is 5"])).answer.text == "IT IS 5"


def test_files_beside_a_shared_strategy_are_its_own(folder: Path, tmp_path: Path):
    part = "{a: {kind: generate, prompt: {user: WHERE}}}"
    (folder / "two.yaml").write_text(using("two", "{a: {use: part.yaml}}", "a"))
    (folder / "part.yaml").write_text(using("part", part.replace("WHERE", "shared"), "a"))
    (tmp_path / "part.yaml").write_text(using("part", part.replace("WHERE", "own"), "a"))
    nodes = "{own: {use: part.yaml}, other: {use: two}, vote: {kind: vote}}"
    (tmp_path / "outer.yaml").write_text(using("outer", nodes, "own -> other -> vote"))
    model = ScriptedModel(["It is 5.", "It is 5."])
    tg.load(tmp_path / "outer.yaml").run("?", model=model)
    assert [call.messages[-1].content for call in model.calls] == ["own", "shared"]


def test_a_folder_adds_tools_and_verifiers(folder: Path, caplog: pytest.LogCaptureFixture):
    for part, text in {
        "tools": "def count(text: str) -> int:\n    'Count.'\n    return len(text.split())\n",
        "verifiers": "def is_brief(text):\n    return len(text) < 9\n",
    }.items():
        (folder / part).mkdir()
        (folder / part / "a.py").write_text(text)
        (folder / part / "b.py").write_text(text)
        (folder / part / "odd.py").write_text("1 / 0")
    assert all_tools({})["count"].open().invoke({"text": "a b c"}) == 3
    assert all_verifiers({})["is_brief"]("short") is True
    assert "ZeroDivisionError" in caplog.text
    assert f"'is_brief' of {folder / 'verifiers' / 'b.py'} is skipped" in caplog.text
    lines = [line.split(maxsplit=1) for line in command("list").splitlines() if line]
    told = {name: rest for name, *rest in lines}
    assert told["count"] == [f"Count. ({folder / 'tools' / 'a.py'})"]
    assert told["is_brief"] == [f"({folder / 'verifiers' / 'a.py'})"]


def test_list_says_where_each_is_from(folder: Path):
    said = command("list")
    assert re.search(rf"Strategies of {re.escape(str(folder))}:\nloud +Somebody shouts\n", said)
    assert f"says please ({folder})" in said
    assert f"each candidate → the same, louder ({folder / 'kinds' / 'shout.py'})" in said


def test_a_clash_of_names_is_told_and_the_first_is_taken(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    other = tmp_path / "other"
    other.mkdir()
    (other / "loud.yaml").write_text("not even a spec")
    (other / "direct.yaml").write_text("not even a spec")
    monkeypatch.setenv(PATH, os.pathsep.join([str(folder), str(other)]))
    assert str(find("loud")) == str(folder / "loud.yaml")
    assert "direct" in names()
    assert tg.load("direct").name == "direct"
    assert f"'loud' of {other} is skipped: the name is taken ({folder})" in caplog.text
    assert f"'direct' of {other} is skipped: the name is taken (built in)" in caplog.text


def test_what_is_broken_is_told_and_left_out(folder: Path, caplog: pytest.LogCaptureFixture):
    (folder / "odd.yaml").write_text("about: [")
    (folder / "prompts" / "odd.yaml").write_text("about: no text")
    (folder / "kinds" / "odd.py").write_text("import nothing_of_that_name")
    (folder / "kinds" / "vote.py").write_text(KIND.replace('"shout"', '"vote"'))
    said = command("list")
    assert re.search(r"odd +can't be read: .*; see thinkgraph check odd\n", said)
    assert "odd" not in prompt_names()
    assert registry.node_kinds()["vote"].__module__ == "thinkgraph.nodes.kinds.vote"
    assert "shout" in registry.node_kinds()
    for part in ("prompts/odd.yaml", "nothing_of_that_name", "there is a node kind 'vote' already"):
        assert part in caplog.text
    assert load_prompt("politely").about == "says please"


def test_import_registers_the_kinds_of_a_file(tmp_path: Path, registered: None):
    (tmp_path / "shout.py").write_text(KIND)
    (tmp_path / "loud.yaml").write_text(SPEC.replace("PROMPT", "question"))
    spec, file = str(tmp_path / "loud.yaml"), str(tmp_path / "shout.py")
    assert "unknown node kind `shout`" in command("check", spec)
    assert command("check", spec, "--import", file) == "no problems\n"
    assert os.environ[IMPORT] == file  # for the processes of a comparison
    assert "shout" in command("show", spec, "--import", file)
    assert json.loads(command("schema"))["$defs"]["Shout"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "there is no file"),
        ("1 / 0", "ZeroDivisionError"),
        (KIND.replace('"shout"', '"vote"'), "there is a node kind 'vote' already"),
    ],
)
def test_a_file_that_cannot_be_imported_is_an_error(
    tmp_path: Path, registered: None, text: str | None, said: str
):
    if text is not None:
        (tmp_path / "kinds.py").write_text(text)
    with pytest.raises(ThinkgraphError, match=said):
        command("list", "--import", str(tmp_path / "kinds.py"))
    assert registry._registered == {}


def test_a_kind_whose_name_another_file_has_taken_is_an_error(tmp_path: Path, registered: None):
    for name in ("one", "two"):
        (tmp_path / f"{name}.py").write_text(KIND)
    command("list", "--import", str(tmp_path / "one.py"))
    with pytest.raises(ThinkgraphError, match="there is a node kind 'shout' already"):
        command("list", "--import", str(tmp_path / "two.py"))


@pytest.mark.parametrize("what", ["strategy", "kind"])
def test_new_writes_a_start_whose_test_passes(tmp_path: Path, what: str):
    said = command("new", what, "my-own_thing", "--into", str(tmp_path / "mine"))
    written = said.split()
    assert all(Path(path).is_file() for path in written)
    run = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(tmp_path / "mine")]
    done = subprocess.run(run, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stdout
    before = {path: Path(path).read_text() for path in written}
    Path(written[0]).unlink()
    with pytest.raises(ThinkgraphError, match="exists already, so nothing was written"):
        command("new", what, "my-own_thing", "--into", str(tmp_path / "mine"))
    assert not Path(written[0]).exists()
    assert Path(written[1]).read_text() == before[written[1]]


@pytest.mark.parametrize(
    ("what", "name", "said"),
    [
        ("strategy", "direct", "there is a strategy 'direct' already"),
        ("kind", "vote", "there is a kind 'vote' already"),
        ("kind", "class", "is a word of Python"),
        ("kind", "json", "is a module of Python's"),
        ("strategy", "../up", "is not a valid name"),
        ("strategy", "a b", "is not a valid name"),
    ],
)
def test_new_refuses_a_name_that_cannot_be(tmp_path: Path, what: str, name: str, said: str):
    with pytest.raises(ThinkgraphError, match=said):
        command("new", what, name, "--into", str(tmp_path / "mine"))
    assert not (tmp_path / "mine").exists()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with the package of the documentation, built and installed offline."""
    if int(version("setuptools").partition(".")[0]) < 77:
        pytest.skip("needs setuptools 77, as `make test` installs it")
    place = tmp_path_factory.mktemp("package")
    shutil.copytree(EXAMPLE, place / "source")
    target = place / "target"
    pip = [sys.executable, "-m", "pip", "install", "-q", "--no-index", "--no-build-isolation"]
    pip += ["--no-deps", "--disable-pip-version-check", "--target", str(target)]
    subprocess.run([*pip, str(place / "source")], check=True, capture_output=True)
    broken = target / "broken-0.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 0\n")
    groups = ("nodes", "strategies", "prompts", "tools", "verifiers")
    (broken / "entry_points.txt").write_text(
        "".join(f"[thinkgraph.{group}]\nodd = nothing_of_that_name\n" for group in groups)
    )
    return {**os.environ, "PYTHONPATH": str(target)}


def python(environment: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, env=environment, check=False
    )


def test_an_installed_package_adds_all_of_its_own(installed: dict[str, str]):
    done = python(installed, "-m", "thinkgraph", "list")
    assert done.returncode == 0
    assert "Strategies of thinkgraph-brief 0.1.0:\nbrief-vote " in done.stdout
    assert "the answer in one line, without its derivation (thinkgraph-brief 0.1.0)" in done.stdout
    assert "each candidate → its first words (thinkgraph-brief 0.1.0)" in done.stdout
    for group in ("strategies", "prompts", "nodes"):  # the broken package
        assert f"{group} of nothing_of_that_name can't be loaded" in done.stderr


def test_an_installed_package_passes_its_own_tests(installed: dict[str, str]):
    done = python(installed, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(EXAMPLE / "tests"))
    assert done.returncode == 0, done.stdout
    code = "from thinkgraph.nodes.tools import tool, verifier as v; "
    code += "print(*tool.all_tools({}), *v.all_verifiers({}))"
    assert {"count_words", "is_brief"} <= set(python(installed, "-c", code).stdout.split())
