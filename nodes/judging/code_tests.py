"""The built-in verifier ``tests``: runs a candidate's code, and the tests that it must pass.

The code and the tests run in the sandbox of the tool ``python``: no files, no network, limits on
time and memory. The tests are statements such as ``assert add(1, 2) == 3``, in the spec's input or
state field ``tests``, as one text or a list of texts.
"""

from __future__ import annotations

import ast
import builtins
import secrets
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from thinkgraph.models.errors import ThinkgraphError
from thinkgraph.nodes.code_blocks import code_of
from thinkgraph.nodes.judging.judgement import Judgement

FIELD = "tests"
"""The input or state field with the tests."""
_SHOWN = 300


def tests(text: str, fields: Mapping[str, Any]) -> Judgement:
    """Judge a candidate by the share of tests that its code passes; it is accepted if all pass.

    Args:
        text: the candidate's text; the code is in its Markdown fences, or else the whole text.
        fields: the spec's inputs and state.

    Raises:
        ThinkgraphError: there are no tests, or the sandbox isn't installed.
    """
    statements = _statements(fields.get(FIELD))
    from langchain_core.tools import ToolException  # noqa: PLC0415 (slow to import)

    from thinkgraph.nodes.tools.python import PythonSession  # noqa: PLC0415 (optional)

    session = PythonSession()

    def runs(code: str) -> bool:
        try:
            session.run(code)
        except ToolException:
            return False
        return True

    redefined = _watched(_builtins(statement for statement, _ in statements), runs)
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
    if taken := ", ".join(redefined()):
        return Judgement(0.0, False, f"The code redefines {taken}, which the tests use.")
    passed = max(asserted - len(faults), 0)
    told = f"{passed} of {asserted} tests pass."
    reason = "\n".join([told, "These fail:", *faults]) if faults else told
    return Judgement(passed / asserted, not faults, reason)


def _statements(given: Any) -> list[tuple[str, bool]]:
    """The statements of the tests, each with whether it is an assertion."""
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


def _builtins(statements: Iterable[str]) -> set[str]:
    """The Python builtins that tests use, except names that they define themselves."""
    nodes = [node for statement in statements for node in ast.walk(ast.parse(statement))]
    names = [node for node in nodes if isinstance(node, ast.Name)]
    defined = {node.id for node in names if not isinstance(node.ctx, ast.Load)}
    defined |= {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    return {node.id for node in names if hasattr(builtins, node.id)} - defined


def _watched(names: Iterable[str], runs: Callable[[str], bool]) -> Callable[[], list[str]]:
    """Save builtins of a session; return a function that lists those redefined since.

    Args:
        names: names of the builtins; the sandbox doesn't have all of them.
        runs: runs code in the session, and returns whether it succeeded.
    """
    kept = f"_{secrets.token_hex(8)}_"  # a name that the code can't know
    known = {name: runs(f"{kept}{name} = {name}") for name in sorted(names)}

    def redefined() -> list[str]:
        same = {n: f"assert {kept}{n} is {n}" if is_known else n for n, is_known in known.items()}
        return [name for name, is_known in known.items() if runs(same[name]) != is_known]

    return redefined


def _last_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or ["it fails"])[-1][:_SHOWN]
