"""The Python of docs/tracing.md runs as it stands there."""

import re
from pathlib import Path

import pytest

from thinkgraph.graphs.checker.check import check
from thinkgraph.graphs.language.document import Document

PAGE = (Path(__file__).parents[1] / "docs" / "tracing.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(BLOCKS)))
def test_a_block_of_python_runs(number, capsys):
    if "openinference" in BLOCKS[number]:
        pytest.importorskip("openinference.instrumentation.langchain")
        pytest.importorskip("opentelemetry.sdk.trace")
    exec(compile(BLOCKS[number], f"docs/tracing.md, block {number}", "exec"), {})
    assert capsys.readouterr().out.strip()


def test_the_spec_is_checked_without_errors():
    (spec,) = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    problems = check(Document.parse("thinkgraph: 1\nname: page\n" + spec))
    assert [problem for problem in problems if problem.severity == "error"] == []
