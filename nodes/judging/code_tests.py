"""The built-in verifier ``tests``: runs a candidate's code, and the tests that it must pass.

The code and the tests run in the sandbox of the tool ``python``: no files, no network, limits on
time and memory. The tests are statements such as ``assert add(1, 2) == 3``, in the spec's input or
state field ``tests``, as one text or a list of texts.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.nodes.judging.judgement import Judgement
from thinkgraph.nodes.tools.code_blocks import code_of

FIELD = "tests"
"""The input, or state field, that holds the tests."""
_SHOWN = 300


def tests(text: str, fields: Mapping[str, Any]) -> Judgement:
    """Judge a candidate by the share of the tests that its code passes; all are accepted.

    Args:
        text: the candidate's; its code is what stands in its Markdown fences, or all of it.
        fields: the spec's inputs and state.

    Raises:
        ThinkgraphError: there are no tests, or the sandbox isn't installed.
    """
    statements = _statements(fields.get(FIELD))
    from langchain_core.tools import ToolException  # noqa: PLC0415 (slow to import)

    from thinkgraph.nodes.tools.python import PythonSession  # noqa: PLC0415 (optional)

    session = PythonSession()
    try:
        session.run(code_of(text))
    except ToolException as error:
        return Judgement(0.0, False, f"The code fails: {_last_line(error)}")
    faults, asserted = list[str](), 0
    for statement, is_test in statements:
        asserted += is_test
        try:
            session.run(statement)
        except ToolException as error:
            faults.append(f"{statement[:_SHOWN]}\n  {_last_line(error)}")
    passed = max(asserted - len(faults), 0)
    told = f"{passed} of {asserted} tests pass."
    reason = "\n".join([told, "These fail:", *faults]) if faults else told
    return Judgement(passed / asserted, not faults, reason)


def _statements(given: Any) -> list[tuple[str, bool]]:
    """The statements of the tests, each with whether it is one that can pass or fail."""
    source = "\n".join(map(str, given)) if isinstance(given, list | tuple) else str(given or "")
    try:
        body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise ThinkgraphError(f"the field `{FIELD}` isn't Python: {error}") from None
    found = [
        (ast.get_source_segment(source, each) or "", isinstance(each, ast.Assert)) for each in body
    ]
    if not any(is_test for _, is_test in found):
        raise ThinkgraphError(
            f"the verifier `tests` needs assert statements in an input or state field `{FIELD}`"
        )
    return found


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["it fails"])[-1][:_SHOWN]
