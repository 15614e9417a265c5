"""The documentation: links lead somewhere, examples hold, and no strategy is forgotten."""

from __future__ import annotations

import re
import runpy
from pathlib import Path

import pytest

from thinkgraph import Graph, load
from thinkgraph.graphs.catalogue import builtin_names
from thinkgraph.graphs.checker.check import check_files
from thinkgraph.nodes import registry

ROOT = Path(__file__).parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")])
README = (ROOT / "README.md").read_text("utf-8")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", page.read_text("utf-8")), re.MULTILINE)
    found: list[str] = []
    for each in headings:
        anchor = re.sub(r"[^\w\- ]", "", each.lower()).replace(" ", "-")
        found.append(f"{anchor}-{again}" if (again := found.count(anchor)) else anchor)
    return set(found)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"`[^`\n]*`", "", FENCE.sub("", page.read_text("utf-8")))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        file = (page.parent / path).resolve() if path else page
        assert file.exists(), target
        assert not anchor or anchor in anchors(file), target


def test_the_index_lists_every_page() -> None:
    index = (ROOT / "docs" / "index.md").read_text("utf-8")
    for page in (ROOT / "docs").glob("*.md"):
        assert page.name == "index.md" or f"]({page.name})" in index, page.name


def test_every_strategy_is_described() -> None:
    page = (ROOT / "docs" / "strategies.md").read_text("utf-8")
    assert set(re.findall(r"`([a-z-]+)`", page)) >= set(builtin_names())
    assert f"the {len(builtin_names())} built-in strategies" in README


def test_the_strategy_of_the_readme_is_the_same_in_yaml_and_in_python(tmp_path: Path) -> None:
    (yaml,) = re.findall(r"```yaml\n(.*?)```", README, re.DOTALL)
    (python,) = re.findall(r"```python\n(from thinkgraph.*?)```", README, re.DOTALL)
    file = tmp_path / "my-refine.yaml"
    file.write_text(yaml, encoding="utf-8")
    assert check_files([str(file)]) == []
    made: dict[str, Graph] = {}
    exec(python.partition("graph.save")[0], made)  # the rest runs the model
    assert made["graph"].yaml == load(file).yaml


def test_the_reference_of_the_python_api_is_up_to_date() -> None:
    api = runpy.run_path(str(ROOT / "docs" / "api.py"))
    assert (ROOT / "docs" / "api.md").read_text("utf-8") == api["page"]()


def test_the_readme_is_read_in_three_minutes() -> None:
    assert len(README.splitlines()) < 170


@pytest.mark.slow
@pytest.mark.parametrize("page", ["langgraph.md", "streaming.md"])
def test_the_code_of_a_page_runs(
    page: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    text = (ROOT / "docs" / page).read_text("utf-8")
    names: dict[str, object] = {"__name__": page}
    for code in re.findall(r"```python\n(.*?)```", text, re.DOTALL):
        exec(compile(code, page, "exec"), names)
        assert "print(" not in code or capsys.readouterr().out.strip()
